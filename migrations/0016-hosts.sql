-- Hosts whose reverse proxies ask Gatehouse about each request, and the browsers that are signed in at them. What a browser has
-- at a host ends with its session.
CREATE TABLE hosts (
  -- Lower case, with a port where it is not the scheme's own.
  name        text COLLATE "C" PRIMARY KEY,
  -- Audience of the access tokens that its proxy is handed.
  resource    text COLLATE "C",
  -- Whether only the people of some organizations may reach it: those of host_organizations, be they none.
  is_limited  boolean NOT NULL DEFAULT false,
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE host_organizations (
  host             text COLLATE "C" NOT NULL REFERENCES hosts ON DELETE CASCADE,
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  PRIMARY KEY (host, organization_id)
);
CREATE INDEX host_organizations_by_organization ON host_organizations (organization_id);

CREATE TABLE host_sessions (
  -- Of the secret in the host's own cookie.
  secret_digest    bytea PRIMARY KEY,
  -- Of the ticket that it was given for: a ticket is used once.
  ticket_digest    bytea NOT NULL UNIQUE,
  host             text COLLATE "C" NOT NULL REFERENCES hosts ON DELETE CASCADE,
  organization_id  uuid NOT NULL,
  session_id       uuid NOT NULL,
  -- The access and the refresh token for the host's resource, encrypted, and when they are to be renewed.
  sealed_tokens    text,
  renew_at         timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (organization_id, session_id) REFERENCES sessions (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX host_sessions_by_session ON host_sessions (organization_id, session_id);
CREATE INDEX host_sessions_by_host ON host_sessions (host);

-- What was found out about a cookie is held in memory, so every process is told of whatever may end it.
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON hosts
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'name');
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON host_organizations
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'host');
CREATE TRIGGER notify_end AFTER DELETE ON host_sessions
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'session_id');
CREATE TRIGGER notify_end AFTER DELETE ON sessions
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
CREATE TRIGGER notify_change AFTER UPDATE ON sessions FOR EACH ROW
  WHEN (OLD.secret_digest <> NEW.secret_digest OR OLD.connection_id <> NEW.connection_id
        OR NEW.expires_at < OLD.expires_at OR NEW.idle_expires_at < OLD.idle_expires_at)
  EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
CREATE TRIGGER notify_end AFTER DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
CREATE TRIGGER notify_change AFTER UPDATE ON users FOR EACH ROW
  WHEN (OLD.* IS DISTINCT FROM NEW.*)
  EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
