-- When an older state of the database was last put back. What was issued before may have been used since that state was saved, so
-- nothing issued before counts any more.
CREATE TABLE restores (
  is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  at       timestamptz NOT NULL
);
