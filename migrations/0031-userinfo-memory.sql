-- What was answered about an access token is held in memory, so every process is told of whatever ends it before its time. What goes
-- with a session, an application or what those rest on is told by theirs.
CREATE TRIGGER notify_end AFTER UPDATE OF revoked_at ON grants FOR EACH ROW
  WHEN (NEW.revoked_at IS NOT NULL)
  EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
CREATE TRIGGER notify_end AFTER DELETE ON grant_tokens FOR EACH ROW
  WHEN (OLD.kind = 'AccessToken' AND OLD.expires_at > now() AND pg_trigger_depth() = 0)
  EXECUTE FUNCTION notify_gatehouse_change('', 'grant_id');
CREATE TRIGGER notify_change AFTER UPDATE OF expires_at ON grant_tokens FOR EACH ROW
  WHEN (NEW.kind = 'AccessToken' AND NEW.expires_at < OLD.expires_at)
  EXECUTE FUNCTION notify_gatehouse_change('', 'grant_id');
