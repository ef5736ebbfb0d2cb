-- Files of different releases that may be the same one, though not both tell an info-hash: whether head and tail were equal.
CREATE TABLE compared_files (
    -- Numbers of the files: their 64 bits as signed numbers.
    file INTEGER NOT NULL,
    other INTEGER NOT NULL,
    equal INTEGER NOT NULL,
    -- When they were compared, in microseconds since 1970.
    at INTEGER NOT NULL,
    PRIMARY KEY (file, other)
) WITHOUT ROWID;
