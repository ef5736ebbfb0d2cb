-- What was found in the one archive into which the provider packed the files: JSON; NULL until somebody looked into it.
ALTER TABLE torrents ADD COLUMN archive TEXT;
