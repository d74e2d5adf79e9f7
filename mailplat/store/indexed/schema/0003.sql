-- What an account's store remembers of its room.  Limits are the account's own: NULL
-- where the house's counts, -1 for none.
CREATE TABLE store_quotas (
    account     TEXT PRIMARY KEY,
    storage     INTEGER,
    messages    INTEGER,
    full_since  REAL,                 -- when the first message was refused since one fitted
    crossing    INTEGER NOT NULL,     -- how often it came to be nearly full
    warned      INTEGER NOT NULL      -- whether it has heard of that
) WITHOUT ROWID;

-- Places whose messages were expunged and can be brought back.  Their emails stay,
-- also those without any other place, until these rows have gone.
CREATE TABLE store_expunged (
    account   TEXT NOT NULL,
    email     INTEGER NOT NULL,
    mailbox   INTEGER NOT NULL,
    uid       INTEGER NOT NULL,       -- that it had
    name      TEXT NOT NULL,          -- of the mailbox, at that time
    flags     INTEGER NOT NULL,       -- a set of `store_flag_sets`
    modseq    INTEGER NOT NULL,       -- of the expunge
    expunged  REAL NOT NULL,
    PRIMARY KEY (account, email, mailbox, uid)
) WITHOUT ROWID;

CREATE TABLE store_scripts (
    account  TEXT NOT NULL,
    name     TEXT NOT NULL,
    active   INTEGER NOT NULL,        -- of one script at most
    octets   BLOB NOT NULL,
    PRIMARY KEY (account, name)
);

-- Mailbox 0 stands for the account itself.  Only the reader sees what is private; what
-- all see has no reader.
CREATE TABLE store_annotations (
    account  TEXT NOT NULL,
    mailbox  INTEGER NOT NULL,
    reader   TEXT NOT NULL,
    entry    TEXT NOT NULL,           -- in small letters
    octets   BLOB NOT NULL,
    PRIMARY KEY (account, mailbox, reader, entry)
);

-- What others may do, or with a negative entry may not.
CREATE TABLE store_rights (
    account     TEXT NOT NULL,        -- the owner
    mailbox     INTEGER NOT NULL,
    identifier  TEXT NOT NULL,        -- an account, or anyone
    negative    INTEGER NOT NULL,
    rights      TEXT NOT NULL,        -- letters in order
    PRIMARY KEY (account, mailbox, identifier, negative)
) WITHOUT ROWID;
CREATE INDEX store_right_identifiers ON store_rights (identifier, account, mailbox);
