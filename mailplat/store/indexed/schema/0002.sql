-- Contents that lie elsewhere: which email has which.  Several may have the same one.
-- The finder is a hash: of the content, where the place of contents can tell it, and
-- else of the key.
CREATE TABLE store_keys (
    email    INTEGER PRIMARY KEY,
    account  TEXT NOT NULL,
    key      TEXT NOT NULL,
    finder   BLOB NOT NULL
);
CREATE INDEX store_finders ON store_keys (finder);

-- Where it is that they lie: the name of its instance, and the key of the mark there.
CREATE TABLE store_place (
    name  TEXT NOT NULL,
    mark  TEXT NOT NULL
);

-- Up to which mod-sequence an account was shown to a place that shows mailboxes.
CREATE TABLE store_shown (
    account  TEXT PRIMARY KEY,
    modseq   INTEGER NOT NULL
) WITHOUT ROWID;
