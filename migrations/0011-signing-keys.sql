-- Keys that sign what applications get. A key is published from its creation, signs from `activates_at` until its successor
-- does, and stays published until nothing that it signed is good any more.
CREATE TABLE signing_keys (
  kid           text COLLATE "C" PRIMARY KEY,
  algorithm     text COLLATE "C" NOT NULL,
  sealed_jwk    text NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  activates_at  timestamptz NOT NULL,
  retires_at    timestamptz
);
CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON signing_keys
  FOR EACH ROW EXECUTE FUNCTION notify_gatehouse_change('', 'kid');
