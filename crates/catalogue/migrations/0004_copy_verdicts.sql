-- What a provider said last of a copy, where it ever refused it. No row: it never did.
CREATE TABLE copy_verdicts (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    -- The word of the refusal; NULL once the provider answered again.
    verdict TEXT,
    words TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (provider, id)
) WITHOUT ROWID;
