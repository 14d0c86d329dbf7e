-- What the provider of a session called it, and the ID token that tells the provider whose session is to end, encrypted.
ALTER TABLE sessions
  ADD COLUMN provider_issuer   text COLLATE "C",
  ADD COLUMN provider_subject  text COLLATE "C",
  ADD COLUMN provider_session  text COLLATE "C",
  ADD COLUMN sealed_id_token   text,
  ADD COLUMN authentication_methods text[];
CREATE INDEX sessions_by_provider ON sessions (connection_id, provider_subject);

-- Applications that are to be told that a session ended (OpenID Connect Back-Channel Logout 1.0): written with the end,
-- whatever ended it, and kept until the application has heard.
CREATE TABLE logout_notices (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  client_id        text COLLATE "C" NOT NULL REFERENCES applications ON DELETE CASCADE,
  organization_id  uuid NOT NULL,
  user_id          uuid NOT NULL,
  session_id       uuid NOT NULL,
  attempts         integer NOT NULL DEFAULT 0,
  next_attempt_at  timestamptz NOT NULL DEFAULT now(),
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX logout_notices_by_attempt ON logout_notices (next_attempt_at);
CREATE TRIGGER notify_change AFTER INSERT ON logout_notices
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'client_id');

CREATE FUNCTION note_session_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO logout_notices (client_id, organization_id, user_id, session_id)
  SELECT DISTINCT g.client_id, OLD.organization_id, OLD.user_id, OLD.id
  FROM grants g JOIN applications a ON a.client_id = g.client_id
  WHERE g.organization_id = OLD.organization_id AND g.session_id = OLD.id
    AND a.settings ->> 'backchannelLogoutUri' IS NOT NULL;
  RETURN OLD;
END
$$;
CREATE TRIGGER note_end BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION note_session_end();
