-- People whom only an opaque token names may have no address; they are found by their identities, and managed by id.
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
