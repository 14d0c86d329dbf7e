-- Browsers signed in at Gatehouse. The session's secret id is in the browser's cookie alone; here is its digest.
CREATE TABLE sessions (
  id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  secret_digest     bytea NOT NULL UNIQUE,
  organization_id   uuid NOT NULL,
  user_id           uuid NOT NULL,
  connection_id     uuid NOT NULL,
  authenticated_at  timestamptz NOT NULL DEFAULT now(),
  idle_expires_at   timestamptz NOT NULL,
  expires_at        timestamptz NOT NULL,
  FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id) ON DELETE CASCADE,
  FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (organization_id, user_id);
CREATE INDEX sessions_by_connection ON sessions (organization_id, connection_id);
