-- Names are in the spelling of `Address.key`, domains in that of `domain_of`.

CREATE TABLE directory_domains (
    name    TEXT PRIMARY KEY,
    number  INTEGER NOT NULL          -- in the order in which they were added
);

CREATE TABLE directory_accounts (
    id        TEXT PRIMARY KEY,       -- never given twice
    name      TEXT NOT NULL UNIQUE,
    domain    TEXT NOT NULL REFERENCES directory_domains (name),
    password  TEXT NOT NULL,          -- an argon2id hash
    enabled   INTEGER NOT NULL,
    version   INTEGER NOT NULL,       -- of the credentials
    number    INTEGER NOT NULL        -- in the order in which they were added
);

CREATE TABLE directory_aliases (
    source  TEXT NOT NULL,            -- an address, or @domain for all the rest of one
    number  INTEGER NOT NULL,         -- in the order in which they were given
    domain  TEXT NOT NULL REFERENCES directory_domains (name),
    target  TEXT NOT NULL,            -- an address as it was written
    PRIMARY KEY (source, number)
);
