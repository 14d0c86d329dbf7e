-- Programs that cannot receive an answer, and ask for it until a person has decided in a browser (RFC 8628). Of both codes only
-- digests are stored. What the program gets once the person approves is a token under a grant, of the same digest.
CREATE TABLE device_codes (
  digest            bytea PRIMARY KEY,
  user_code_digest  bytea NOT NULL UNIQUE,
  client_id         text COLLATE "C" NOT NULL REFERENCES applications ON DELETE CASCADE,
  -- What was asked for: the payloads of the token and of its grant, but for the person.
  payload           jsonb NOT NULL,
  -- Every poll must show the verifier of it (RFC 7636).
  code_challenge    text COLLATE "C",
  -- Where the program runs, for the person to compare.
  address_block     text NOT NULL,
  user_agent        text,
  poll_interval     interval NOT NULL,
  next_poll_at      timestamptz NOT NULL DEFAULT now(),
  -- Digest of the secret of the one browser that may decide.
  claimed_by        bytea,
  decision          text COLLATE "C" CHECK (decision IN ('approved', 'denied')),
  created_at        timestamptz NOT NULL DEFAULT now(),
  expires_at        timestamptz NOT NULL
);
CREATE INDEX device_codes_by_application ON device_codes (client_id);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);

ALTER TABLE grant_tokens
  DROP CONSTRAINT grant_tokens_kind_check,
  ADD CONSTRAINT grant_tokens_kind_check
    CHECK (kind IN ('AuthorizationCode', 'RefreshToken', 'AccessToken', 'DeviceCode'));
