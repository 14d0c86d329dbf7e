-- Organizations and the domains that route to them. Every table below an organization carries its id, and every
-- reference between such tables carries it too, so that no row can point across organizations.
-- Text that is compared is canonical before it gets here and compared byte by byte (COLLATE "C").
CREATE TABLE organizations (
  id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  slug          text COLLATE "C" NOT NULL UNIQUE,
  name          text NOT NULL,
  provisioning  text NOT NULL DEFAULT 'manual' CHECK (provisioning IN ('manual', 'just-in-time')),
  return_url    text,
  disabled_at   timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE domains (
  name             text COLLATE "C" PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  verified_at      timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX domains_by_organization ON domains (organization_id);
