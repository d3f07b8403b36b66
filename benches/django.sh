#!/usr/bin/env bash
# Measures the Django example with many tenants: verification, a start with nothing pending, and migrating with one
# Python for many against one for each. It needs a running cluster: scripts/cluster benches/django.sh [TENANTS...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/django-venv.sh
portcullis=$PWD/target/${PROFILE:-release}/portcullis
export PATH=$PWD/target/venv/bin:$PATH

address=${PORTCULLIS_TEST_POSTGRES#postgres://}
login=${address%%@*} place=${address#*@} place=${place%%/*}
export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=django_bench
export DJANGO_SETTINGS_MODULE=invoicing.settings
sql() { PGPASSWORD=$DB_PASSWORD psql -qtAX -v ON_ERROR_STOP=1 -h "$DB_HOST" -p "$DB_PORT" -U "$DB_USER" "$@"; }
took() { # took WHAT COMMAND...: wall and processor time of its end
  local what=$1 TIMEFORMAT='%R s wall, %U s user, %S s system'; shift
  printf '%s: ' "$what"
  { time "$@" > /dev/null 2> "$work/err" || { cat "$work/err" >&2; exit 1; }; } 2>&1
}

work=$(mktemp -d)
trap 'sql -d postgres -c "DROP DATABASE IF EXISTS django_bench WITH (FORCE)"; rm -rf "$work"' EXIT
cp -r examples/django/. "$work"
cd "$work"
sql -d postgres -c 'DROP DATABASE IF EXISTS django_bench WITH (FORCE)' -c 'CREATE DATABASE django_bench'
# A start up to the last verification: what follows is the application's own, on both sides.
python - <<'CUT'
text = open("config.toml").read()
open("config.toml", "w").write(text[: text.index('[[step]]\nname = "invoice totals"')])
CUT
"$portcullis" manifest django > /dev/null
"$portcullis" migrate --shared > /dev/null
python manage.py bootstrap_demo_tenants demo -v0 > /dev/null

made=1
for wanted in ${*:-1 100 1000}; do
  while [ "$made" -lt "$wanted" ]; do
    sql -d django_bench > /dev/null <<SQL
      INSERT INTO customers_client (schema_name, name, created_on) VALUES ('t$made', 't$made', now());
      CREATE SCHEMA t$made;
      SELECT format('CREATE TABLE t$made.%I (LIKE demo.%I INCLUDING ALL)', tablename, tablename)
        FROM pg_tables WHERE schemaname = 'demo' \gexec
      INSERT INTO t$made.django_migrations SELECT * FROM demo.django_migrations;
      SELECT setval(pg_get_serial_sequence('t$made.django_migrations', 'id'), 1000);
SQL
    made=$((made + 1))
  done
  echo "== $made tenants"
  took "portcullis verify" "$portcullis" verify
  took "migrate_schemas --check" python manage.py migrate_schemas --check
  took "portcullis run, nothing pending" "$portcullis" run --no-server
  took "migrate_schemas --shared, then migrate_schemas, then --check, nothing pending" \
    sh -c 'python manage.py migrate_schemas --shared && python manage.py migrate_schemas && python manage.py migrate_schemas --check'
done

# Half of them, at most fifty, are put one migration behind.
behind=$(((made + 1) / 2))
[ "$behind" -le 50 ] || behind=50
fall_behind() {
  for number in $(seq 1 $((behind - 1))); do
    echo "DELETE FROM t$number.django_migrations WHERE name = '0004_invoice_payment';
      ALTER TABLE t$number.finance_invoice DROP COLUMN IF EXISTS total, DROP COLUMN IF EXISTS paid_on;"
  done | sql -d django_bench
}
echo "== $((behind - 1)) of $made tenants behind by one migration"
fall_behind
took "one Python for many" "$portcullis" migrate
fall_behind
sed -i 's/^apply *= {/& run = ["python", "manage.py", "migrate_schemas", "--schema={schema}"],/' config.toml
took "one Python for each" "$portcullis" migrate
