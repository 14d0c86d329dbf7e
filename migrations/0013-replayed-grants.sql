-- A grant that ended because a code or a refresh token of it was used twice: its person is told.
ALTER TABLE grants ADD COLUMN replayed_at timestamptz;
