-- A document's number is that of its account times 2 to the fortieth, plus its email's,
-- so that the documents of one account lie together and are searched without the others.

CREATE TABLE search_state (
    version  TEXT NOT NULL,           -- of the texts and of how they are kept
    indexed  INTEGER NOT NULL         -- emails up to this one have been looked at
);
INSERT INTO search_state VALUES ('', 0);

CREATE TABLE search_accounts (
    number   INTEGER PRIMARY KEY,
    account  TEXT NOT NULL UNIQUE
);

-- Emails that were looked at before their content was there.
CREATE TABLE search_late (
    email  INTEGER PRIMARY KEY
);

-- What there is; of those that are not whole some text may be missing.
CREATE TABLE search_documents (
    document  INTEGER PRIMARY KEY,
    whole     INTEGER NOT NULL
);
CREATE INDEX search_cut_documents ON search_documents (document) WHERE whole = 0;
