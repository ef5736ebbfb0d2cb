-- Info-hashes that were told of releases which were shown without one. They keep the id, the name and the time that they were shown with.
CREATE TABLE learnt_hashes (
    -- What the release is shown as: see `torrents.hash`.
    shown TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL,
    -- The copy that it was told of: its paths are those that were shown.
    provider TEXT NOT NULL,
    id TEXT NOT NULL
) WITHOUT ROWID;
