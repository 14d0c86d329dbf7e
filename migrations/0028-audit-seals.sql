-- Rows of the audit trail are only ever added. Triggers that always fire: neither a slip of ours nor a session that pretends to be a
-- replica gets around them without changing the schema.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are only ever added: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER append_only;

-- The place of each event in the chain of its organization, given a moment after the event was written. `digest` is over the event and the
-- digest of the one before. `chain` is an organization, there or gone; the nil UUID (RFC 9562) for events of none. `number` counts all seals.
CREATE TABLE audit_seals (
  event_id  bigint PRIMARY KEY,
  chain     uuid NOT NULL,
  position  bigint NOT NULL CHECK (position > 0),
  digest    bytea NOT NULL CHECK (length(digest) = 32),
  number    bigint NOT NULL UNIQUE CHECK (number > 0),
  UNIQUE (chain, position)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_seals ENABLE ALWAYS TRIGGER append_only;

-- Where each chain ends, encrypted: nobody without SECRET_KEY can write another end, and so nobody can cut or rewrite a chain unnoticed.
CREATE TABLE audit_heads (
  chain   uuid PRIMARY KEY,
  sealed  text NOT NULL
);

-- One row, which the node that seals holds. `sealed` is the end of the chain of all seals, encrypted as well: nobody can set one chain back to
-- an end that it had. Events up to `through` are sealed; the next such number is `next_through` once every transaction that was under way
-- at `next_horizon` has ended, as ids are given before a transaction commits.
CREATE TABLE audit_sealing (
  id            boolean PRIMARY KEY DEFAULT true CHECK (id),
  sealed        text,
  through       bigint NOT NULL DEFAULT 0,
  next_through  bigint NOT NULL DEFAULT 0,
  next_horizon  xid8,
  noted_at      timestamptz NOT NULL DEFAULT now()
);
INSERT INTO audit_sealing DEFAULT VALUES;
