-- What is known of things that end by themselves. TLS certificates of providers, as the server saw them when it last looked:
CREATE TABLE peer_certificates (
  origin       text COLLATE "C" PRIMARY KEY,
  valid_until  timestamptz NOT NULL,
  -- Why it is not trusted; null: it is.
  problem      text,
  seen_at      timestamptz NOT NULL DEFAULT now()
);

-- What was said already: of each thing, and how few days it had left. Its name holds its date, so what was renewed is told of anew.
CREATE TABLE expiry_notices (
  thing           text COLLATE "C" NOT NULL,
  threshold_days  integer NOT NULL,
  noticed_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (thing, threshold_days)
);

-- One row: when the next look is due, which one node takes.
CREATE TABLE expiry_watch (
  id            boolean PRIMARY KEY DEFAULT true CHECK (id),
  next_look_at  timestamptz NOT NULL
);
