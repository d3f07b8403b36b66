-- The registry: one row per tenant. `schema_name` is the PostgreSQL schema, or the SQLite file, of its own.
CREATE TABLE tenants (
    schema_name text PRIMARY KEY,
    name        text NOT NULL DEFAULT '',
    created_at  timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);
