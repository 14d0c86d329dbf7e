-- An index of a connection's people was taken for finding one of them by their name, as plans are made before there is anybody: each
-- sign-in read all that the connection knows. Only the whole name begins with the connection now.
DROP INDEX CONCURRENTLY IF EXISTS identities_by_person;
CREATE UNIQUE INDEX CONCURRENTLY identities_by_person ON identities (user_id, connection_id);
ALTER TABLE identities DROP CONSTRAINT IF EXISTS identities_connection_id_user_id_key;
