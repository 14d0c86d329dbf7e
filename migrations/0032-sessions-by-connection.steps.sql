-- Sessions of a connection are found by sessions_by_provider, which begins with it.
DROP INDEX CONCURRENTLY IF EXISTS sessions_by_connection;
