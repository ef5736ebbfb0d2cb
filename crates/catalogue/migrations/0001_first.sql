-- Times are microseconds since the Unix epoch, UTC.
CREATE TABLE torrents (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    hash TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    status TEXT NOT NULL,
    added INTEGER NOT NULL,
    ended INTEGER,
    -- JSON array of restricted links, in the order of the selected files.
    links TEXT NOT NULL,
    -- What the info call told; both NULL until one was answered.
    original_filename TEXT,
    -- JSON array of {id, path, bytes, selected}.
    files TEXT,
    -- Soft delete.
    removed INTEGER,
    -- Fingerprint of the line of the list that was seen last.
    list_print INTEGER NOT NULL,
    -- 1 while an info call is owed.
    info_due INTEGER NOT NULL,
    -- When it was first seen ready.
    ready_seen INTEGER,
    PRIMARY KEY (provider, id)
);

-- Names once shown; they never change.
CREATE TABLE shown (
    hash TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    added INTEGER NOT NULL,
    -- 1 when it was ever shown as good.
    good INTEGER NOT NULL
) WITHOUT ROWID;

-- Views as last published.
CREATE TABLE views (
    name TEXT NOT NULL PRIMARY KEY,
    changed INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE view_members (
    view TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (view, hash)
) WITHOUT ROWID;

-- Ids that a collision kept from being the first choice.
CREATE TABLE id_overrides (
    -- SHA-256 of what the node is.
    node BLOB NOT NULL PRIMARY KEY,
    id INTEGER NOT NULL UNIQUE
) WITHOUT ROWID;

CREATE TABLE links (
    provider TEXT NOT NULL,
    hoster TEXT NOT NULL,
    url TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER,
    resolved_at INTEGER NOT NULL,
    PRIMARY KEY (provider, hoster)
) WITHOUT ROWID;

-- What came, went and changed.
CREATE TABLE history (
    at INTEGER NOT NULL,
    provider TEXT NOT NULL,
    torrent TEXT NOT NULL,
    hash TEXT NOT NULL,
    -- added, changed, removed, returned, held, accepted, purged
    what TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE INDEX history_by_time ON history (at);

-- Names that left a directory.
CREATE TABLE retired (
    at INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL
);
CREATE INDEX retired_by_time ON retired (at);

CREATE TABLE sync_state (
    provider TEXT NOT NULL PRIMARY KEY,
    listed INTEGER NOT NULL,
    last_full INTEGER,
    held_counted INTEGER
) WITHOUT ROWID;

-- Torrents missing in a list that lost too much at once.
CREATE TABLE held (
    provider TEXT NOT NULL,
    torrent TEXT NOT NULL,
    since INTEGER NOT NULL,
    confirmations INTEGER NOT NULL,
    PRIMARY KEY (provider, torrent)
) WITHOUT ROWID;

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
