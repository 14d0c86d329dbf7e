-- How much was counted of what is limited, by all nodes together: of a key only where a node found it suspicious. Keys are digests.
-- Nothing of it has to outlive a crash.
CREATE UNLOGGED TABLE limit_counts (
  key         text COLLATE "C" PRIMARY KEY,
  points      integer NOT NULL,
  most        integer NOT NULL,
  -- When the window ends in which it was counted.
  expires_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX limit_counts_by_expiry ON limit_counts (expires_at);
-- Every node is told as soon as a limit is reached, and once.
CREATE TRIGGER notify_reached AFTER INSERT ON limit_counts FOR EACH ROW
  WHEN (NEW.points >= NEW.most) EXECUTE FUNCTION notify_gatehouse_change('', 'key');
CREATE TRIGGER notify_reached_by_more AFTER UPDATE ON limit_counts FOR EACH ROW
  WHEN (NEW.points >= NEW.most AND (OLD.points < NEW.most OR OLD.expires_at <> NEW.expires_at))
  EXECUTE FUNCTION notify_gatehouse_change('', 'key');

-- One row: when expired rows are looked for next, which one node does.
CREATE TABLE housekeeping (
  id             boolean PRIMARY KEY DEFAULT true CHECK (id),
  next_round_at  timestamptz NOT NULL
);
INSERT INTO housekeeping (next_round_at) VALUES (now());

-- A session that ran out by itself long ago is no news when its row goes: whatever it gave ended with it then.
CREATE OR REPLACE FUNCTION note_session_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO logout_notices (client_id, organization_id, user_id, session_id)
  SELECT DISTINCT g.client_id, OLD.organization_id, OLD.user_id, OLD.id
  FROM grants g JOIN applications a ON a.client_id = g.client_id
  WHERE g.organization_id = OLD.organization_id AND g.session_id = OLD.id
    AND a.settings ->> 'backchannelLogoutUri' IS NOT NULL
    AND OLD.expires_at > now() - interval '1 hour';
  RETURN OLD;
END
$$;
