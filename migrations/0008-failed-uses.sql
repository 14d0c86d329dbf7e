-- A callback that arrives twice at once: whichever of the two loses the race for its code fails, perhaps before the other one
-- has finished. What spent an attempt by failing is therefore kept, and the very same callback may still succeed.
ALTER TABLE single_use_tokens ADD COLUMN failed_use bytea;
