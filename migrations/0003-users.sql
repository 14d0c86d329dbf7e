-- Users of one organization, and the identities (connection and subject) that belong to them. A subject is unique to the
-- issuer that gave it: where a connection is pointed at another provider, the old subjects are nobody's.
CREATE TABLE users (
  id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  email            text COLLATE "C" NOT NULL,
  name             text,
  disabled_at      timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (organization_id, email),
  UNIQUE (organization_id, id)
);

CREATE TABLE identities (
  organization_id  uuid NOT NULL,
  connection_id    uuid NOT NULL,
  issuer           text COLLATE "C" NOT NULL,
  subject          text COLLATE "C" NOT NULL,
  user_id          uuid NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (connection_id, issuer, subject),
  UNIQUE (connection_id, user_id),
  FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE,
  FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX identities_by_user ON identities (organization_id, user_id);
