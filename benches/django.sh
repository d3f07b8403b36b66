#!/usr/bin/env bash
# Measures the Django example with many tenants against the framework's own commands, and prints the tables that
# docs/from-entrypoint-sh.md quotes: one verification, a start with nothing pending, and migrating with one Python
# process for many tenants against one process for each.
# usage: benches/django.sh [TENANTS...]        (1 100 1000 by default; a start is measured at each, too)
# PORTCULLIS names the binary (target/release/portcullis by default), RUNS the number of measurements (3).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  scripts/packages
  exec scripts/cluster "$0" "$@"
fi
scripts/django-venv.sh
PORTCULLIS=$(realpath "${PORTCULLIS:-target/release/portcullis}")
export PORTCULLIS RUNS=${RUNS:-3} PATH=$PWD/target/venv/bin:$PATH

address=${PORTCULLIS_TEST_POSTGRES#postgres://}
login=${address%%@*} place=${address#*@} place=${place%%/*}
export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=django_bench
export DJANGO_SETTINGS_MODULE=invoicing.settings
sql() { PGPASSWORD=$DB_PASSWORD psql -qtAX -v ON_ERROR_STOP=1 -h "$DB_HOST" -p "$DB_PORT" -U "$DB_USER" "$@"; }

work=$(mktemp -d)
redis=
finish() {
  [ -z "$redis" ] || kill "$redis"
  sql -d postgres -c 'DROP DATABASE IF EXISTS django_bench WITH (FORCE)'
  rm -rf "$work"
}
trap finish EXIT
redis_port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --bind 127.0.0.1 --save '' --port "$redis_port" >/dev/null &
redis=$!
export REDIS_URL=redis://127.0.0.1:$redis_port/0

cp -r examples/django/. "$work"
cd "$work"
sql -d postgres -c 'DROP DATABASE IF EXISTS django_bench WITH (FORCE)' -c 'CREATE DATABASE django_bench'
# A start up to the last verification: the later steps belong to the application on both sides.
sed -i '/^name = "invoice totals"/,$d' config.toml
sed -i '$d' config.toml
"$PORTCULLIS" manifest django >/dev/null
"$PORTCULLIS" migrate --shared >/dev/null
python manage.py bootstrap_demo_tenants demo -v0 >/dev/null
# Copies of the tenant that Django created: its tables and its ledger. A thousand copies take seconds.
sql -d django_bench >/dev/null <<'END'
CREATE PROCEDURE copies(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
  name text;
  copied text;
BEGIN
  FOR number IN first..last LOOP
    name := 't' || number;
    INSERT INTO customers_client (schema_name, name, created_on) VALUES (name, name, now());
    EXECUTE format('CREATE SCHEMA %I', name);
    FOR copied IN SELECT tablename FROM pg_tables WHERE schemaname = 'demo' LOOP
      EXECUTE format('CREATE TABLE %I.%I (LIKE demo.%I INCLUDING ALL)', name, copied, copied);
    END LOOP;
    EXECUTE format('INSERT INTO %I.django_migrations SELECT * FROM demo.django_migrations', name);
    PERFORM setval(pg_get_serial_sequence(format('%I.django_migrations', name), 'id'), 1000);
    IF number % 20 = 0 THEN COMMIT; END IF;
  END LOOP;
END $$;
END

# measure NAME COMMAND: the medians of wall and processor time, with all descendants, written to the file NAME.
measure() {
  python - "$@" <<'END'
import os, statistics, subprocess, sys, time

name, *command = sys.argv[1:]
walls, processors = [], []
for _ in range(int(os.environ["RUNS"])):
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command} failed\n{errors.decode()}")
    walls.append(time.monotonic() - start)
    processors.append(used.ru_utime + used.ru_stime)
with open(name, "w") as file:
    print(statistics.median(walls), statistics.median(processors), file=file)
END
}
# row WHAT PORTCULLIS FRAMEWORK: a line of a table from two files that `measure` wrote.
row() {
  cat "$2" "$3" | awk -v what="$1" '
    function time(s) { return s < 1 ? sprintf("%.0f ms", s * 1000) : sprintf("%.1f s", s) }
    function ratio(of, r) { r = of[2] / of[1]; return sprintf(r < 10 ? "%.1f times" : "%.0f times", r) }
    { wall[NR] = $1; processor[NR] = $2 }
    END { printf "| %s | %s | %s | %s | %s | %s | %s |\n", what, time(wall[1]), time(wall[2]), ratio(wall),
      time(processor[1]), time(processor[2]), ratio(processor) }'
}
head() {
  printf '\n| %s | wall: %s | %s | | processor: %s | %s | |\n|---|---|---|---|---|---|---|\n' "$1" "$2" "$3" "$2" "$3"
}

made=1 verified='' started=''
shell='python manage.py migrate_schemas --shared && python manage.py migrate_schemas && python manage.py migrate_schemas --check'
for wanted in ${*:-1 100 1000}; do
  if [ "$wanted" -gt "$made" ]; then
    sql -d django_bench -c "CALL copies($made, $((wanted - 1)))" -c ANALYZE
    made=$wanted
  fi
  echo "measuring $made tenants" >&2
  measure portcullis "$PORTCULLIS" verify
  measure framework python manage.py migrate_schemas --check
  verified+=$(row "$made" portcullis framework)$'\n'
  measure portcullis "$PORTCULLIS" run --no-server
  measure framework sh -c "$shell"
  started+=$(row "$made" portcullis framework)$'\n'
done

# Half of the tenants, at most fifty, lose one migration.
behind=$(((made + 1) / 2))
[ "$behind" -le 50 ] || behind=50
cat >fall-behind <<END
#!/bin/sh
for number in \$(seq 1 $((behind - 1))); do
  echo "DELETE FROM t\$number.django_migrations WHERE name = '0004_invoice_payment';
    ALTER TABLE t\$number.finance_invoice DROP COLUMN IF EXISTS total, DROP COLUMN IF EXISTS paid_on;"
done | PGPASSWORD=$DB_PASSWORD psql -qX -h $DB_HOST -p $DB_PORT -U $DB_USER -d django_bench
END
RUNS=1
sh fall-behind
measure many "$PORTCULLIS" migrate
sh fall-behind
sed -i 's/^apply *= {/& run = ["python", "manage.py", "migrate_schemas", "--schema={schema}"],/' config.toml
measure each "$PORTCULLIS" migrate

head 'tenants, one verification' '`portcullis verify`' '`migrate_schemas --check`'
printf %s "$verified"
head 'tenants, a start with nothing pending' '`portcullis run`' 'three calls of `manage.py`'
printf %s "$started"
head 'tenants behind by one migration' 'one Python for many' 'one for each'
row "$((behind - 1)) of $made" many each
