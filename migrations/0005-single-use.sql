-- What may be used once: a row is the use. Kept until nothing could accept the token any more.
CREATE TABLE single_use_tokens (
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  purpose          text COLLATE "C" NOT NULL,
  digest           bytea NOT NULL,
  expires_at       timestamptz NOT NULL,
  PRIMARY KEY (organization_id, purpose, digest)
);
CREATE INDEX single_use_tokens_by_expiry ON single_use_tokens (expires_at);
