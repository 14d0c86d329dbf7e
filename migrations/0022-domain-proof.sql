-- What the DNS of a domain has to hold to prove it, and what was found there. Kept apart from the domain itself, which every process is
-- told of when it changes: what a check finds alters no way that a person goes.
CREATE TABLE domain_proofs (
  domain            text COLLATE "C" PRIMARY KEY REFERENCES domains ON DELETE CASCADE,
  -- What the TXT record holds. It is public as soon as it is set.
  challenge         text COLLATE "C" NOT NULL,
  -- When the record was found first; null: never, and the domain is proved by an operator's word or not at all.
  proved_at         timestamptz,
  -- When DNS was asked last, and since when it has not answered.
  checked_at        timestamptz,
  unanswered_since  timestamptz,
  -- Since when the record of a domain that it had proved is absent, until when nothing comes of that, and when that was said.
  missing_since     timestamptz,
  grace_ends_at     timestamptz,
  lapsed_at         timestamptz,
  -- A node is asking until then.
  claimed_until     timestamptz,
  -- Domains that were added together are not asked for together for ever.
  spread            real NOT NULL DEFAULT random(),
  created_at        timestamptz NOT NULL DEFAULT now(),
  CHECK (missing_since IS NULL OR (proved_at IS NOT NULL AND grace_ends_at IS NOT NULL))
);
CREATE INDEX domain_proofs_found ON domain_proofs (checked_at)
  WHERE proved_at IS NOT NULL AND missing_since IS NULL AND unanswered_since IS NULL;
CREATE INDEX domain_proofs_not_found ON domain_proofs (checked_at)
  WHERE proved_at IS NOT NULL AND (missing_since IS NOT NULL OR unanswered_since IS NOT NULL);

-- Domains that are to become another organization's as soon as their DNS says so.
CREATE TABLE domain_transfers (
  domain           text COLLATE "C" PRIMARY KEY REFERENCES domains ON DELETE CASCADE,
  organization_id  uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
  challenge        text COLLATE "C" NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX domain_transfers_by_organization ON domain_transfers (organization_id);
