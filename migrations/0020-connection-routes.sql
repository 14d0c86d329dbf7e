-- Several ways in for one organization. A draft lets nobody in; a retiring connection is where nobody is sent any more, while
-- sign-ins under way finish and its sessions go on.
ALTER TABLE connections
  DROP CONSTRAINT connections_status_check,
  ADD CONSTRAINT connections_status_check CHECK (status IN ('draft', 'active', 'retiring', 'disabled')),
  -- What people read where they choose.
  ADD COLUMN label text;

-- Whom a connection is for: an address, a domain, or everybody whom nothing more precise speaks of. Two connections with the same
-- route leave the choice to the person. A connection without any is for whoever is left, if it is the only one of that sort.
CREATE TABLE connection_routes (
  organization_id  uuid NOT NULL,
  kind             text COLLATE "C" NOT NULL CHECK (kind IN ('address', 'domain', 'everybody')),
  -- Canonical; empty for everybody.
  value            text COLLATE "C" NOT NULL,
  connection_id    uuid NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (organization_id, kind, value, connection_id),
  FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX connection_routes_by_connection ON connection_routes (connection_id);
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON connection_routes
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'connection_id');
-- What was alone until now stays everybody's when another one comes.
INSERT INTO connection_routes (organization_id, kind, value, connection_id)
SELECT organization_id, 'everybody', '', id FROM connections WHERE kind IN ('oidc', 'jwt-callback');
