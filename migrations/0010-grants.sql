-- What a session gave to an application: a grant is one authorization, and everything issued under it ends with it. A grant
-- ends with its session, and so with its user, organization and connection, and with its application.
ALTER TABLE sessions ADD CONSTRAINT sessions_organization_id_id_key UNIQUE (organization_id, id);

CREATE TABLE grants (
  id               text COLLATE "C" PRIMARY KEY,
  organization_id  uuid NOT NULL,
  session_id       uuid NOT NULL,
  client_id        text COLLATE "C" NOT NULL REFERENCES applications ON DELETE CASCADE,
  payload          jsonb NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  revoked_at       timestamptz,
  FOREIGN KEY (organization_id, session_id) REFERENCES sessions (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX grants_by_session ON grants (organization_id, session_id);
CREATE INDEX grants_by_application ON grants (client_id);

-- Codes and tokens that are looked up when they come back; of their values only digests are stored.
CREATE TABLE grant_tokens (
  digest       bytea PRIMARY KEY,
  kind         text COLLATE "C" NOT NULL CHECK (kind IN ('AuthorizationCode', 'RefreshToken', 'AccessToken')),
  grant_id     text COLLATE "C" NOT NULL REFERENCES grants ON DELETE CASCADE,
  payload      jsonb NOT NULL,
  consumed_at  timestamptz,
  expires_at   timestamptz NOT NULL
);
CREATE INDEX grant_tokens_by_grant ON grant_tokens (grant_id);
CREATE INDEX grant_tokens_by_expiry ON grant_tokens (expires_at);

-- Assertions by which applications prove who they are, used once (RFC 7523 section 3).
CREATE TABLE client_assertions (
  digest      bytea PRIMARY KEY,
  expires_at  timestamptz NOT NULL
);
CREATE INDEX client_assertions_by_expiry ON client_assertions (expires_at);
