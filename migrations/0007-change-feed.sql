-- Tells every process what changed of the things that processes hold in memory (see database/change-feed.ts).
CREATE FUNCTION notify_gatehouse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb;
BEGIN
  FOREACH changed IN ARRAY CASE TG_OP
    WHEN 'INSERT' THEN ARRAY[to_jsonb(NEW)]
    WHEN 'DELETE' THEN ARRAY[to_jsonb(OLD)]
    ELSE ARRAY[to_jsonb(OLD), to_jsonb(NEW)]
  END LOOP
    PERFORM pg_notify('gatehouse_changes', jsonb_build_object(
      'table', TG_TABLE_NAME,
      'organizationId', changed -> TG_ARGV[0],
      'key', changed -> TG_ARGV[1]
    )::text);
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON organizations
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('id', 'slug');
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON domains
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'name');
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON connections
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('organization_id', 'id');
