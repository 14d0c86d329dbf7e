-- Connections whose providers do not answer, as the nodes see it that ask them. A node says so again and again while it lasts; what
-- it has not said for two minutes is no longer so.
CREATE TABLE connection_troubles (
  connection_id  uuid NOT NULL REFERENCES connections ON DELETE CASCADE,
  node           uuid NOT NULL,
  -- Of the connection: a changed one may have another provider.
  revision       integer NOT NULL,
  since          timestamptz NOT NULL,
  reason         text NOT NULL,
  seen_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (connection_id, node)
);
CREATE INDEX connection_troubles_by_age ON connection_troubles (seen_at);
