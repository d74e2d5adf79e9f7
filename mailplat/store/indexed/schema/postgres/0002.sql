
-- The account is part of this key too; emails are found in their order.

ALTER TABLE store_keys DROP CONSTRAINT store_keys_pkey, ADD PRIMARY KEY (email, account);
