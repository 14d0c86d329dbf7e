-- Where an organization lives, if that is another region than this database's own: people are sent there, and here are only its
-- name and its domains. Null: it lives here.
ALTER TABLE organizations ADD COLUMN region text COLLATE "C";
