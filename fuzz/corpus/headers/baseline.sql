-- no-transaction
-- replaces: 1-42, 44
CREATE INDEX i ON t (a);
