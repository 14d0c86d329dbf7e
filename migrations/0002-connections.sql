-- How an organization's people prove who they are. `settings` is typed per kind by the code that reads it.
-- `revision` counts every change; a sign-in started before `login_revision` may not finish, which adding a key,
-- for one, leaves alone.
CREATE TABLE connections (
  id               uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  kind             text COLLATE "C" NOT NULL,
  status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  settings         jsonb NOT NULL,
  sealed_secret    text,
  revision         integer NOT NULL DEFAULT 1,
  login_revision   integer NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (organization_id, id)
);
