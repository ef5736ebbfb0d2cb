-- How far each account is in its first sync. No row: the version before showed whatever it knew of it.
CREATE TABLE first_sync (
    provider TEXT NOT NULL PRIMARY KEY,
    -- 0: its list or some of its names are not known yet. 1: its own view is shown. 2: it was part of an `__all__` that was shown.
    stage INTEGER NOT NULL,
    -- The latest time in its first list, by the provider's clock: what was ready by then is not new.
    until INTEGER
) WITHOUT ROWID;
