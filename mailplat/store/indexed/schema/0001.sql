-- Most keys begin with the account.  Mailboxes and flag sets have numbers of their
-- account's; emails have numbers of the whole file's, and what is added with every
-- delivery is kept in the order in which it comes, so that the deliveries of one
-- commit fill a few pages and do not touch one in each account.  No number is given
-- twice.

CREATE TABLE store_accounts (
    account       TEXT PRIMARY KEY,
    modseq        INTEGER NOT NULL,   -- the newest
    uid_validity  INTEGER NOT NULL,   -- the highest that a mailbox got
    number        INTEGER NOT NULL,   -- the highest of a mailbox
    forgotten     INTEGER NOT NULL    -- `store_changes` begin after this mod-sequence
) WITHOUT ROWID;

CREATE TABLE store_mailboxes (
    account       TEXT NOT NULL,
    mailbox       INTEGER NOT NULL,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    uid_validity  INTEGER NOT NULL,
    uid_next      INTEGER NOT NULL,
    modseq        INTEGER NOT NULL,
    messages      INTEGER NOT NULL,
    unseen        INTEGER NOT NULL,
    deleted       INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    PRIMARY KEY (account, mailbox)
) WITHOUT ROWID;
CREATE UNIQUE INDEX store_mailbox_names ON store_mailboxes (account, name);

CREATE TABLE store_subscriptions (
    account  TEXT NOT NULL,
    name     TEXT NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;

-- The highest number that an email got.
CREATE TABLE store_numbers (email INTEGER NOT NULL);
INSERT INTO store_numbers VALUES (0);

-- What all places of one message share.  The index holds only what came later than
-- the email that began its thread.
CREATE TABLE store_emails (
    email     INTEGER PRIMARY KEY,
    account   TEXT NOT NULL,
    thread    INTEGER,                -- the email that began it, unless that is this one
    size      INTEGER NOT NULL,
    received  REAL NOT NULL,
    places    INTEGER NOT NULL,       -- rows of `store_messages` that name it
    summary   BLOB NOT NULL
);
CREATE INDEX store_threads ON store_emails (account, thread) WHERE thread IS NOT NULL;

-- The octets: in one piece where there are few, else in pieces of equal size.  A
-- piece has its email's number times 2 to the twentieth, plus its place.
CREATE TABLE store_contents (
    piece    INTEGER PRIMARY KEY,
    account  TEXT NOT NULL,
    octets   BLOB NOT NULL
);

-- Contents to be swept away: those that no place names any more since a
-- mod-sequence, and those whose message was never finished (mod-sequence 0).
CREATE TABLE store_unnamed (
    account  TEXT NOT NULL,
    email    INTEGER NOT NULL,
    modseq   INTEGER NOT NULL,
    PRIMARY KEY (account, email)
) WITHOUT ROWID;

-- One place of a message.  Narrow, since ranges of it are rewritten.
CREATE TABLE store_messages (
    account  TEXT NOT NULL,
    mailbox  INTEGER NOT NULL,
    uid      INTEGER NOT NULL,
    modseq   INTEGER NOT NULL,
    flags    INTEGER NOT NULL,        -- a set of `store_flag_sets`
    email    INTEGER NOT NULL,
    saved    REAL NOT NULL,
    PRIMARY KEY (account, mailbox, uid)
) WITHOUT ROWID;

CREATE TABLE store_flag_sets (
    account  TEXT NOT NULL,
    flags    INTEGER NOT NULL,
    names    TEXT NOT NULL,           -- in order, parted by spaces
    PRIMARY KEY (account, flags)
) WITHOUT ROWID;
CREATE UNIQUE INDEX store_flag_set_names ON store_flag_sets (account, names);

CREATE TABLE store_keywords (
    account  TEXT NOT NULL,
    folded   TEXT NOT NULL,
    name     TEXT NOT NULL,           -- as the account spelt it first
    PRIMARY KEY (account, folded)
) WITHOUT ROWID;

CREATE TABLE store_references (
    account    TEXT NOT NULL,
    reference  BLOB NOT NULL,         -- a message identifier, hashed
    thread     INTEGER NOT NULL,      -- what it was at first; see `store_joined_threads`
    PRIMARY KEY (account, reference)
) WITHOUT ROWID;

-- Threads that have become one with an older one.
CREATE TABLE store_joined_threads (
    account  TEXT NOT NULL,
    thread   INTEGER NOT NULL,
    root     INTEGER NOT NULL,        -- the older one, which has joined no other
    PRIMARY KEY (account, thread)
) WITHOUT ROWID;
CREATE INDEX store_joined_roots ON store_joined_threads (account, root);

-- What was done, by ranges of UIDs; see `queries.What`.
CREATE TABLE store_changes (
    account  TEXT NOT NULL,
    modseq   INTEGER NOT NULL,
    mailbox  INTEGER NOT NULL,
    what     INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    PRIMARY KEY (account, modseq, mailbox, what, first)
) WITHOUT ROWID;

-- Keys of deliveries that were made, so that a repeat adds nothing.  They begin with
-- the time at which their message came.
CREATE TABLE store_deliveries (
    account  TEXT NOT NULL,
    key      TEXT NOT NULL,
    made     REAL NOT NULL,           -- 1e18 where it is kept as long as the account
    detail   TEXT NOT NULL,
    PRIMARY KEY (key, account)
) WITHOUT ROWID;

-- Accounts whose mail is being forgotten.
CREATE TABLE store_removals (
    account  TEXT PRIMARY KEY
) WITHOUT ROWID;
