-- What the queue tried; a message's attempts are found by its id.
CREATE TABLE attempts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,             -- the message's
    made REAL NOT NULL,           -- seconds since 1970
    attempt TEXT NOT NULL         -- all of it, as JSON
);
CREATE INDEX attempts_by_message ON attempts (id);
CREATE INDEX attempts_by_time ON attempts (made);
