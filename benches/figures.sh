#!/usr/bin/env bash
# Measures the figures that the README quotes, all in one run on one machine, and prints them as ratios.
# usage: benches/figures.sh        (TENANTS=1000 by default)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  scripts/packages $(command -v hyperfine >/dev/null || echo hyperfine) $([ -x /usr/bin/time ] || echo time) \
    $(command -v jq >/dev/null || echo jq)
  exec scripts/cluster "$0"
fi

tenants=${TENANTS:-1000}
binaries=$(scripts/static)
portcullis=$binaries/portcullis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R config.toml migrations portcullis.manifest.json "$work"
# Copied in one write, as in an image: the linker leaves the file in the page cache in small pieces.
cp "$portcullis" "$work/portcullis"
portcullis=$work/portcullis
cd "$work"
export INVOICES=$binaries/examples/invoices PORT=0

# medians FILE: the median of each command in seconds, one per line; a mean would depend on the machine's other work.
medians() { jq -r '.results[].median' "$1"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", a / b }'; }
megabytes() { awk -v kb="$1" 'BEGIN { printf "%.1f", kb / 1024 }'; }
peak() { /usr/bin/time -f %M -o peak.txt "$@" >/dev/null 2>&1; cat peak.txt; }

hyperfine --shell=none --warmup 20 --runs 300 --export-json init.json --style none \
  'true' 'tini -s -- true' "$portcullis run --no-config -- true" >/dev/null 2>&1
{ read -r plain; read -r tini; read -r run; } < <(medians init.json)

server=${PORTCULLIS_TEST_POSTGRES%/*}
psql --quiet "$PORTCULLIS_TEST_POSTGRES" --command='CREATE DATABASE figures'
export DATABASE_URL=$server/figures
"$portcullis" run --no-server >/dev/null 2>&1
# Copies of one migrated tenant: the benchmark measures the gate, not the migrations.
psql --quiet "$DATABASE_URL" >/dev/null <<END
CREATE PROCEDURE copies(how_many int) LANGUAGE plpgsql AS \$\$
DECLARE
  name text;
BEGIN
  FOR number IN 1..how_many LOOP
    name := 'tenant_' || number;
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('CREATE TABLE %I.crm_customer (LIKE demo.crm_customer INCLUDING ALL)', name);
    EXECUTE format('CREATE TABLE %I.finance_invoice (LIKE demo.finance_invoice INCLUDING ALL)', name);
    EXECUTE format('CREATE TABLE %I._sqlx_migrations (LIKE demo._sqlx_migrations INCLUDING ALL)', name);
    EXECUTE format('INSERT INTO %I._sqlx_migrations SELECT * FROM demo._sqlx_migrations', name);
    INSERT INTO tenants (schema_name) VALUES (name);
    IF number % 50 = 0 THEN COMMIT; END IF;
  END LOOP;
END \$\$;
END
gate() { hyperfine --shell=none --warmup 2 --runs 15 --export-json gate.json --style none "$@" >/dev/null 2>&1; }
gate "$portcullis verify --quiet" "psql $DATABASE_URL -qAtc 'SELECT 1'"
{ read -r few; read -r psql; } < <(medians gate.json)
psql --quiet "$DATABASE_URL" --command="CALL copies($((tenants - 3)))" --command=ANALYZE
gate "$portcullis verify --quiet"
read -r many < <(medians gate.json)

echo "| measured | value |"
echo "|---|---|"
echo "| duration of a run without steps, \`run --no-config -- true\`, relative to plain \`true\` | $(ratio "$run" "$plain") times |"
echo "| the same, relative to \`tini -s -- true\` | $(ratio "$run" "$tini") times |"
echo "| size of the static binary ($(basename "$(dirname "$binaries")")) | $(megabytes $(($(stat -c %s "$portcullis") / 1024))) MiB |"
echo "| peak memory of a start with nothing to do, 3 tenants | $(megabytes "$(TENANTS=3 peak "$portcullis" run --no-server)") MiB |"
echo "| duration of the gate on $tenants tenants (PostgreSQL, one schema each), relative to the gate on 3 tenants | $(ratio "$many" "$few") times |"
echo "| the same, relative to \`psql -c 'SELECT 1'\` | $(ratio "$many" "$psql") times |"
echo
echo "gate on $tenants tenants: $(awk -v s="$many" 'BEGIN { printf "%.0f", s * 1000 }') ms on this machine; on 3: $(awk -v s="$few" 'BEGIN { printf "%.0f", s * 1000 }') ms" >&2
