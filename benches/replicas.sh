#!/usr/bin/env bash
# Measures one native migration of many tenants, in one run on one machine: by one replica and by four that cooperate,
# against one psql per tenant, the framework's own executor, and one script on one connection.
# Prints a table with ratios to the last one, and the time until a waiting run continues.
# usage: benches/replicas.sh        (TENANTS=1000 by default; DJANGO=0 omits the framework; PORTCULLIS=a binary)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  exec scripts/cluster "$0"
fi

tenants=${TENANTS:-1000}
portcullis=${PORTCULLIS:-$(scripts/static)/portcullis}
portcullis=$(realpath "$portcullis")
repository=$PWD
work=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]:-}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
cd "$work"
server=${PORTCULLIS_TEST_POSTGRES%/*}
sql() { psql --quiet --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 "$DATABASE_URL" "$@"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.3f", b - a }'; }

mkdir shared tenant
echo 'CREATE TABLE tenants (name text PRIMARY KEY);' >shared/1_tenants.sql
echo 'CREATE TABLE invoice (id bigint PRIMARY KEY, number text);' >tenant/1_invoice.sql
cat >config.toml <<'END'
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
apply = { jobs = 4 }
[[step]]
name = "tenants"
migrate.tenants = {}
END
change='ALTER TABLE invoice ADD COLUMN due date'

# fresh NAME: a database in which every tenant has the first migration, and the second one is pending.
fresh() {
  psql --quiet "$PORTCULLIS_TEST_POSTGRES" --command="CREATE DATABASE $1"
  export DATABASE_URL=$server/$1
  rm -f tenant/2_due.sql
  "$portcullis" manifest sql >/dev/null 2>&1
  "$portcullis" migrate --shared >/dev/null 2>&1
  sql >/dev/null <<END
CREATE PROCEDURE tenants(how_many int, checksum bytea) LANGUAGE plpgsql AS \$\$
DECLARE name text;
BEGIN
  FOR number IN 1..how_many LOOP
    name := 'tenant_' || number;
    INSERT INTO public.tenants VALUES (name);
    EXECUTE format('CREATE SCHEMA %I; CREATE TABLE %1\$I.invoice (id bigint PRIMARY KEY, number text);
      CREATE TABLE %1\$I._sqlx_migrations (LIKE public._sqlx_migrations INCLUDING ALL);
      INSERT INTO %1\$I._sqlx_migrations VALUES (1, ''invoice'', now(), true, %2\$L, 1)', name, checksum);
    -- So that the lock table holds.
    IF number % 100 = 0 THEN COMMIT; END IF;
  END LOOP;
END \$\$;
CALL tenants($tenants, decode('$(sha384sum tenant/1_invoice.sql | cut -d' ' -f1)', 'hex'));
END
  echo "$change;" >tenant/2_due.sql
  "$portcullis" manifest sql >/dev/null 2>&1
}
# assert_complete: fails unless every tenant is complete.
assert_complete() { "$portcullis" verify >/dev/null 2>&1 || { echo "not everything was migrated" >&2; exit 1; }; }

fresh one
start=$(now); "$portcullis" migrate --all >/dev/null 2>&1; one=$(since "$start"); assert_complete

fresh four
start=$(now)
pids=()
for _ in 1 2 3 4; do
  "$portcullis" migrate --all --cooperate >/dev/null 2>&1 &
  pids+=($!)
done
wait "${pids[@]}"; pids=()
four=$(since "$start"); assert_complete

# The statements of every method: the change and its ledger row, one transaction per tenant.
statements() {
  echo "BEGIN; SET LOCAL search_path = $1; $change; INSERT INTO $1._sqlx_migrations VALUES (2, 'due', now(), true, decode('$checksum', 'hex'), 1); COMMIT;"
}
checksum=$(sha384sum tenant/2_due.sql | cut -d' ' -f1)
fresh each
start=$(now)
for number in $(seq "$tenants"); do statements "tenant_$number" | sql; done
each=$(since "$start"); assert_complete

fresh raw
for number in $(seq "$tenants"); do statements "tenant_$number"; done >script.sql
start=$(now); sql --file=script.sql; raw=$(since "$start"); assert_complete

# The framework's own executor, on a limited number of tenants, because it is slow.
framework=
python=$repository/target/venv/bin/python
if [ "${DJANGO:-1}" = 1 ] && [ -x "$python" ]; then
  some=$((tenants < 100 ? tenants : 100))
  psql --quiet "$PORTCULLIS_TEST_POSTGRES" --command="CREATE DATABASE framework"
  export DATABASE_URL=$server/framework
  parts=${server#*://}
  export DB_USER=${parts%%:*} DB_NAME=framework
  DB_PASSWORD=${parts#*:} DB_PASSWORD=${DB_PASSWORD%@*} DB_HOST=${parts#*@}
  export DB_PASSWORD DB_PORT=${DB_HOST#*:} DB_HOST=${DB_HOST%:*}
  cp -R "$repository/examples/django" django
  cd django
  "$python" manage.py migrate_schemas --shared -v0 >/dev/null 2>&1
  "$python" manage.py bootstrap_demo_tenants demo -v0 >/dev/null 2>&1
  tables=$(sql --command="SELECT tablename FROM pg_tables WHERE schemaname = 'demo'")
  for number in $(seq "$some"); do
    name=tenant_$number
    echo "INSERT INTO customers_client (schema_name, name, created_on) VALUES ('$name', '$name', now()); CREATE SCHEMA $name;"
    for table in $tables; do echo "CREATE TABLE $name.$table (LIKE demo.$table INCLUDING ALL);"; done
    echo "INSERT INTO $name.django_migrations SELECT * FROM demo.django_migrations WHERE name <> '0004_invoice_payment';"
    echo "ALTER TABLE $name.finance_invoice DROP COLUMN total, DROP COLUMN paid_on;"
    echo "SELECT setval(pg_get_serial_sequence('$name.django_migrations', 'id'), 1000);"
  done | sql >/dev/null
  start=$(now); "$python" manage.py migrate_schemas --tenant -v0 >/dev/null 2>&1; took=$(since "$start")
  framework=$(awk -v took="$took" -v some="$some" -v all="$tenants" 'BEGIN { printf "%.3f", took / some * all }')
  cd ..
fi

# The time until a waiting run continues: after the lock is released, and after its holder is killed.
fresh handing
echo "DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM public.released) LOOP PERFORM pg_sleep(0.005); END LOOP; END \$\$;" >tenant/2_due.sql
sql --command='CREATE TABLE released (n int); INSERT INTO released VALUES (1)'
"$portcullis" manifest sql >/dev/null 2>&1
sql --command='TRUNCATE released'
holder="SELECT coalesce(min(application_name), '') FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'portcullis % since %'"
until_holder() { until [ -n "$(sql --command="$holder AND application_name <> '$1'")" ]; do sleep 0.01; done; }
"$portcullis" run --no-server >/dev/null 2>&1 & first=$!
until_holder ''
name=$(sql --command="$holder")
"$portcullis" run --no-server >waiter.log 2>&1 & second=$!
pids=("$first" "$second")
until grep -q 'waiting for the lock' waiter.log; do sleep 0.05; done
start=$(now); kill -9 "$first"; until_holder "$name"; killed=$(since "$start")
name=$(sql --command="$holder")
"$portcullis" run --no-server >waiter2.log 2>&1 & third=$!
pids=("$second" "$third")
until grep -q 'waiting for the lock' waiter2.log; do sleep 0.05; done
sql --command='INSERT INTO released VALUES (1)'
wait "$second"; start=$(now); wait "$third"; released=$(since "$start"); pids=()

row() { printf '| %s | %s | %s |\n' "$1" "$2" "$(awk -v a="$2" -v b="$raw" 'BEGIN { printf "%.1f", a / b }')"; }
echo
echo "One migration (a column and its ledger row) of $tenants tenants, $(nproc) cores, $(psql --version | awk '{ print "PostgreSQL " $3 }'), $("$portcullis" --version)"
echo
echo '| method | seconds | relative to the raw script |'
echo '|---|---|---|'
row 'one connection, one script (the limit)' "$raw"
row 'portcullis migrate, jobs = 4' "$one"
row 'four cooperating replicas, jobs = 4 each' "$four"
row 'one psql per tenant' "$each"
[ -z "$framework" ] || row "the framework's own executor (from $some tenants)" "$framework"
echo
echo "a waiting run continues $killed s after its lock holder is killed, and ends $released s after its lock holder"
