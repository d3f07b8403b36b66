#!/usr/bin/env bash
# Creates a project and many tenants for a benchmark; the other scripts of this folder source it.

# fleet_project FOLDER MIGRATIONS: a configuration whose tenants have four tables, two indexes and MIGRATIONS migrations.
fleet_project() {
  local folder=$1 migrations=$2 number
  mkdir -p "$folder/shared" "$folder/tenant"
  cat >"$folder/config.toml" <<'END'
database = { url = "${DATABASE_URL:?}" }
tenants = { registry = { table = "tenants", schema_column = "schema_name" } }
migrations = { shared = "shared", tenant = "tenant" }
[server]
command = ["true"]
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "tenant schemas"
migrate.tenants = {}
[[step]]
name = "demo tenant"
bootstrap = { tenants = ["demo"] }
[[step]]
name = "demo tenant is complete"
verify = { tenants = ["demo"] }
[[step]]
name = "every tenant is complete"
verify = { tenants = "all" }
END
  echo 'CREATE TABLE tenants (schema_name text PRIMARY KEY);' >"$folder/shared/1_tenants.sql"
  rm -f "$folder"/tenant/*
  echo 'CREATE TABLE crm_customer (id bigint PRIMARY KEY, name text NOT NULL, email text, phone text, city text, created_at timestamptz NOT NULL);' >"$folder/tenant/1_customer.sql"
  echo 'CREATE TABLE crm_contact (id bigint PRIMARY KEY, customer bigint NOT NULL, name text NOT NULL, email text, created_at timestamptz NOT NULL); CREATE INDEX ON crm_contact (customer);' >"$folder/tenant/2_contact.sql"
  echo 'CREATE TABLE finance_invoice (id bigint PRIMARY KEY, customer bigint NOT NULL, number text NOT NULL, total numeric, paid_on date, note text); CREATE INDEX ON finance_invoice (customer);' >"$folder/tenant/3_invoice.sql"
  echo 'CREATE TABLE finance_line (id bigint PRIMARY KEY, invoice bigint NOT NULL, text text NOT NULL, amount numeric NOT NULL);' >"$folder/tenant/4_line.sql"
  for number in $(seq 5 "$migrations"); do
    echo "COMMENT ON TABLE crm_customer IS 'as of $number';" >"$folder/tenant/${number}_change_of_the_customers.sql"
  done
}

# fleet_procedures: SQL to run once in the database. copies(a, b) creates the tenants a to b as copies of the migrated
# tenant `demo`: the benchmark measures the inspection, not the migrations.
fleet_procedures() {
  cat <<'END'
CREATE OR REPLACE PROCEDURE copies(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
  name text;
  source text;
BEGIN
  FOR number IN first..last LOOP
    name := 'tenant_' || lpad(number::text, 5, '0');
    EXECUTE format('CREATE SCHEMA %I', name);
    FOREACH source IN ARRAY ARRAY['crm_customer', 'crm_contact', 'finance_invoice', 'finance_line', '_sqlx_migrations'] LOOP
      EXECUTE format('CREATE TABLE %I.%I (LIKE demo.%I INCLUDING ALL)', name, source, source);
    END LOOP;
    EXECUTE format('INSERT INTO %I._sqlx_migrations SELECT * FROM demo._sqlx_migrations', name);
    INSERT INTO tenants (schema_name) VALUES (name);
    -- Limits the locks and the caches of one transaction.
    IF number % 50 = 0 THEN COMMIT; END IF;
  END LOOP;
END $$;
END
}
