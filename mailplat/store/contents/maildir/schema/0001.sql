-- By what the house knows its own names and folders again.
CREATE TABLE maildir_house (
    token  TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Where each account's maildir is, below the folder of all.  Taken is 1 when the numbers
-- that another program had given there were taken over, and 2 when it has been shown.
CREATE TABLE maildir_accounts (
    account  TEXT PRIMARY KEY,
    folder   TEXT NOT NULL,
    taken    INTEGER NOT NULL
) WITHOUT ROWID;

-- Files that other programs brought: the content that was made of each, and its UID,
-- which is 0 until the index has given one.
CREATE TABLE maildir_names (
    key      TEXT PRIMARY KEY,
    account  TEXT NOT NULL,
    mailbox  TEXT NOT NULL,
    name     BLOB NOT NULL,
    uid      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX maildir_places ON maildir_names (account, mailbox, uid);
