-- The newest test of each sort: `checks` were made from here, a `sign_in` by a person who was signed in nowhere by it. It speaks of
-- the connection as it was at its login revision; a draft is not activated on the word of an older one.
CREATE TABLE connection_tests (
  organization_id  uuid NOT NULL,
  connection_id    uuid NOT NULL,
  kind             text COLLATE "C" NOT NULL CHECK (kind IN ('checks', 'sign_in')),
  login_revision   integer NOT NULL,
  passed           boolean NOT NULL,
  reason           text,
  at               timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (connection_id, kind),
  FOREIGN KEY (organization_id, connection_id) REFERENCES connections (organization_id, id) ON DELETE CASCADE
);
