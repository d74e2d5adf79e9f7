
-- Octets are kept as they are: squeezing what is mostly base64 gains nothing.

ALTER TABLE queue_contents ALTER octets SET STORAGE EXTERNAL;

-- Room in each page for what every commit changes, so that no index has to.

ALTER TABLE queue_numbers SET (fillfactor = 10);
ALTER TABLE queue_lanes SET (fillfactor = 50);
