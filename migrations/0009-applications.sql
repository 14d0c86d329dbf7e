-- Applications: what people sign in to through Gatehouse by OpenID Connect. `settings` is typed by the code that reads it;
-- `sealed_secrets` holds one secret, or two during a rotation, encrypted.
CREATE TABLE applications (
  client_id       text COLLATE "C" PRIMARY KEY,
  settings        jsonb NOT NULL,
  sealed_secrets  jsonb NOT NULL DEFAULT '[]',
  -- Whether only the people of some organizations may sign in to it: those of application_organizations, be they none.
  is_limited      boolean NOT NULL DEFAULT false,
  disabled_at     timestamptz,
  revision        integer NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE application_organizations (
  client_id        text COLLATE "C" NOT NULL REFERENCES applications ON DELETE CASCADE,
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  PRIMARY KEY (client_id, organization_id)
);
CREATE INDEX application_organizations_by_organization ON application_organizations (organization_id);

-- Both belong to no single organization: whoever holds an application in memory drops it.
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON applications
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'client_id');
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON application_organizations
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'client_id');

-- What happened at an application.
ALTER TABLE audit_events ADD COLUMN client_id text COLLATE "C";
