ALTER TABLE tenants ADD COLUMN plan text NOT NULL DEFAULT 'starter';
