-- Sessions whose provider is asked again and again whether it still stands by the sign-in: by which refresh token (encrypted),
-- when next, and how often it could not be asked since it last could. A session that nobody follows has none of it.
ALTER TABLE sessions
  ADD COLUMN sealed_refresh_token  text,
  ADD COLUMN next_check_at         timestamptz,
  ADD COLUMN check_failures        integer NOT NULL DEFAULT 0;
CREATE INDEX sessions_by_check ON sessions (next_check_at) WHERE next_check_at IS NOT NULL;
