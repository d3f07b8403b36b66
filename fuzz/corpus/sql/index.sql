-- no-transaction
CREATE INDEX CONCURRENTLY i ON t (a);
DO $$ BEGIN PERFORM 1; END $$;