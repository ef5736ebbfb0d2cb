-- Direct links by the key they were made with: their bytes count as that key's traffic.
-- An empty key is the provider's first one, for links that are older than this table.
-- `links` is not written any more; it stays for the version before.
CREATE TABLE key_links (
    provider TEXT NOT NULL,
    hoster TEXT NOT NULL,
    key TEXT NOT NULL,
    url TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER,
    resolved_at INTEGER NOT NULL,
    PRIMARY KEY (provider, hoster, key)
) WITHOUT ROWID;

INSERT INTO key_links (provider, hoster, key, url, filename, bytes, resolved_at)
SELECT provider, hoster, '', url, filename, bytes, resolved_at FROM links;
