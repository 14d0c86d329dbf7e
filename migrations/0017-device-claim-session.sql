-- The session that was signed in where a code was claimed: requests of one browser that overlap do not share a new cookie yet.
-- No foreign key: codes live five minutes, and a session that is gone fits nobody.
ALTER TABLE device_codes ADD COLUMN claimed_session uuid;
