CREATE TABLE records (
    id TEXT PRIMARY KEY,          -- the message's, as in log and trace field
    arrived REAL NOT NULL,        -- seconds since 1970
    message_id TEXT NOT NULL,     -- the field, without its angle brackets
    people TEXT NOT NULL,         -- every address that had to do with it, each between line ends
    record TEXT NOT NULL          -- all of it, as JSON
);
CREATE INDEX records_by_arrival ON records (arrived);
CREATE INDEX records_by_message_id ON records (message_id);
