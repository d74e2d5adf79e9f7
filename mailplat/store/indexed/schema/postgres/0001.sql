
-- The account is part of every key, so that a distributed server can part the tables by
-- it, and leads where an account's rows are looked for; keys of deliveries lead their own,
-- for they come and are forgotten in their order.
-- Numbers of emails are the whole database's none the less: one server of ours writes.

ALTER TABLE store_emails DROP CONSTRAINT store_emails_pkey, ADD PRIMARY KEY (account, email);
ALTER TABLE store_contents DROP CONSTRAINT store_contents_pkey, ADD PRIMARY KEY (account, piece);

-- Octets are kept as they are: squeezing what is mostly base64 gains nothing.

ALTER TABLE store_contents ALTER octets SET STORAGE EXTERNAL;

-- Room in each page for what every commit changes, so that no index has to.

ALTER TABLE store_accounts SET (fillfactor = 50);
ALTER TABLE store_mailboxes SET (fillfactor = 50);
ALTER TABLE store_numbers SET (fillfactor = 10);
