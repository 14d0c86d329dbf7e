-- A connection may have two client secrets while they are exchanged at its provider: each encrypted, with when it was added and until
-- when it is good. The first is in `sealed_secret` as well, where the release before this one looks; it alone counts where the two differ.
ALTER TABLE connections ADD COLUMN client_secrets jsonb NOT NULL DEFAULT '[]';

-- Client secrets that a provider refused, of one revision of a connection; `accepted_at`: it took the secret again since.
CREATE TABLE refused_client_secrets (
  connection_id  uuid NOT NULL REFERENCES connections ON DELETE CASCADE,
  revision       integer NOT NULL,
  secret_id      text COLLATE "C" NOT NULL,
  refused_at     timestamptz NOT NULL DEFAULT now(),
  accepted_at    timestamptz,
  PRIMARY KEY (connection_id, revision, secret_id)
);
