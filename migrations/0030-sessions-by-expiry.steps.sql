-- Sessions that are over are found by their end. Made beside the work: a large installation has many.
DROP INDEX CONCURRENTLY IF EXISTS sessions_by_expiry;
CREATE INDEX CONCURRENTLY sessions_by_expiry ON sessions (expires_at);
