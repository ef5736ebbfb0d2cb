-- What was asked for, by info-hash (40 hexadecimal digits).
CREATE TABLE jobs (
    hash TEXT NOT NULL PRIMARY KEY,
    -- JSON: `Job` without what is only true while running.
    job TEXT NOT NULL
) WITHOUT ROWID;

-- What to hand to a provider: apart from the job, as it may be large and never changes.
CREATE TABLE sources (
    hash TEXT NOT NULL PRIMARY KEY,
    magnet TEXT,
    torrent BLOB
);

CREATE TABLE categories (
    name TEXT NOT NULL PRIMARY KEY,
    -- '' = below the downloads folder.
    save_path TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tags (
    name TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- Torrents that are to be deleted from an account.
CREATE TABLE deletions (
    provider TEXT NOT NULL,
    torrent TEXT NOT NULL,
    hash TEXT NOT NULL,
    -- Microseconds since the Unix epoch.
    due INTEGER NOT NULL,
    PRIMARY KEY (provider, torrent)
) WITHOUT ROWID;
