-- Copies that gave other bytes of a file than another copy of it. They are not read for that file again.
CREATE TABLE differing_copies (
    -- Number of the file: its 64 bits as a signed number.
    file INTEGER NOT NULL,
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (file, provider, id)
) WITHOUT ROWID;
