-- What happened. Rows are only ever added; they outlive what they speak of, so nothing references from here.
CREATE TABLE audit_events (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at               timestamptz NOT NULL DEFAULT now(),
  action           text COLLATE "C" NOT NULL,
  outcome          text NOT NULL CHECK (outcome IN ('success', 'failure')),
  code             text COLLATE "C",
  reason           text,
  reference        text COLLATE "C",
  organization_id  uuid,
  connection_id    uuid,
  user_id          uuid,
  email            text,
  actor            text
);
CREATE INDEX audit_events_by_organization ON audit_events (organization_id, id);
CREATE INDEX audit_events_by_reference ON audit_events (reference) WHERE reference IS NOT NULL;
