-- An organization that moves from one connection to another, step by step. The row stays when it is over: for as long as both
-- connections are there, people whom one of them knows may be known by the other one, too.
CREATE TABLE cutovers (
  organization_id     uuid PRIMARY KEY REFERENCES organizations ON DELETE CASCADE,
  -- Who is moved at which share depends on it, so that another cut-over moves others first.
  id                  uuid NOT NULL,
  from_connection_id  uuid NOT NULL,
  to_connection_id    uuid NOT NULL,
  state               text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'rolled_back')),
  -- Of a hundred people of the old connection, how many the new one signs in.
  share               smallint NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 100),
  -- Whose users the new provider may take over by their address: everybody's at a proved domain, or of those that are included.
  relink              text NOT NULL CHECK (relink IN ('domain', 'list')),
  started_at          timestamptz NOT NULL DEFAULT now(),
  ended_at            timestamptz,
  FOREIGN KEY (organization_id, from_connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE,
  FOREIGN KEY (organization_id, to_connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE,
  UNIQUE (organization_id, id),
  CHECK (from_connection_id <> to_connection_id)
);
-- People who are moved, or are not, whatever the share is.
CREATE TABLE cutover_people (
  organization_id  uuid NOT NULL,
  cutover_id       uuid NOT NULL,
  email            text COLLATE "C" NOT NULL,
  is_moved         boolean NOT NULL,
  PRIMARY KEY (cutover_id, email),
  FOREIGN KEY (organization_id, cutover_id) REFERENCES cutovers (organization_id, id) ON DELETE CASCADE
);
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON cutovers
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON cutover_people
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'cutover_id');
