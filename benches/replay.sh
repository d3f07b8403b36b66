#!/usr/bin/env bash
# Measures migrating many Django tenants that are behind by one AddField and one CreateModel: by replay, with one Python process for
# many tenants, and the same statements by psql alone. Prints the table that docs/replay.md quotes.
# usage: benches/replay.sh [TENANTS]       (1000 by default)
# PORTCULLIS names the binary (target/release/portcullis by default).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  exec scripts/cluster "$0" "$@"
fi
scripts/django-venv.sh
tenants=${1:-1000}
PORTCULLIS=$(realpath "${PORTCULLIS:-target/release/portcullis}")
export PORTCULLIS PATH=$PWD/target/venv/bin:$PATH

address=${PORTCULLIS_TEST_POSTGRES#postgres://}
login=${address%%@*} place=${address#*@} place=${place%%/*}
export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=replay_bench
export PGUSER=$DB_USER PGPASSWORD=$DB_PASSWORD PGHOST=$DB_HOST PGPORT=$DB_PORT
sql() { psql -qtAX -v ON_ERROR_STOP=1 "$@"; }

work=$(mktemp -d)
finish() {
  sql -d postgres -c 'DROP DATABASE IF EXISTS replay_bench WITH (FORCE)'
  rm -rf "$work"
}
trap finish EXIT
cp -r examples/django/. "$work"
cd "$work"
sql -d postgres -c 'DROP DATABASE IF EXISTS replay_bench WITH (FORCE)' -c 'CREATE DATABASE replay_bench'
"$PORTCULLIS" manifest django >/dev/null
"$PORTCULLIS" migrate --shared >/dev/null 2>&1
python manage.py bootstrap_demo_tenants demo -v0 >/dev/null
# Exact copies of the tenant that Django created.
pg_dump -d replay_bench --schema=demo --quote-all-identifiers | grep -v restrict >demo.sql
for number in $(seq "$tenants"); do
  echo "INSERT INTO public.customers_client (schema_name, name, created_on) VALUES ('t$number', 't$number', now());"
  sed "s/\"demo\"/\"t$number\"/g" demo.sql
done | sql -d replay_bench >/dev/null
sql -d replay_bench -c ANALYZE

cat >finance/migrations/0005_reminder.py <<'END'
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("finance", "0004_invoice_payment")]
    operations = [
        migrations.AddField("invoice", "note", models.CharField(max_length=100, default="")),
        migrations.CreateModel(
            "Reminder",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("invoice", models.ForeignKey("finance.Invoice", models.CASCADE)),
                ("sent_on", models.DateField()),
            ],
        ),
    ]
END
"$PORTCULLIS" manifest django >/dev/null
"$PORTCULLIS" migrate --shared >/dev/null 2>&1
"$PORTCULLIS" migrate --tenant demo >/dev/null 2>&1

undo() {
  for number in $(seq "$tenants"); do
    echo "DROP TABLE t$number.finance_reminder; ALTER TABLE t$number.finance_invoice DROP COLUMN note;
      DELETE FROM t$number.django_migrations WHERE name = '0005_reminder';
      DELETE FROM t$number.auth_permission WHERE codename LIKE '%_reminder';
      DELETE FROM t$number.django_content_type WHERE model = 'reminder';"
  done | sql -d replay_bench
  # Each measurement finds the same catalog.
  sql -d replay_bench -c VACUUM
}
# The processor time of the server's processes, in ms: those that run, and those that have ended.
postmaster=$(head -n 1 "$(sql -d replay_bench -c 'SHOW data_directory')/postmaster.pid")
server() {
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | awk -v postmaster="$postmaster" '{
    pid = $1; sub(/.*\) /, "")
    if (pid == postmaster) ticks += $12 + $13 + $14 + $15; else if ($2 == postmaster) ticks += $12 + $13
  } END { print ticks * 10 }'
}
# measure NAME COMMAND...: a row with the time and the processor time of the command and of the server.
measure() {
  local start before used TIMEFORMAT='%U %S'
  before=$(server) start=$(date +%s%N)
  used=$({ time "${@:2}" >out 2>&1 || { cat out >&2; exit 1; }; } 2>&1) || exit 1
  took=$((($(date +%s%N) - start) / 1000000))
  busy=$(echo "$used $(server) $before" | awk '{ printf "%d", ($1 + $2) * 1000 + $3 - $4 }')
  echo "| $1 | $took ms | $busy ms |"
}
# The statements that `sqlmigrate` prints, with the rows that Django adds.
python manage.py tenant_command sqlmigrate finance 0005 --schema=demo | grep -v '^BEGIN\|^COMMIT\|^--' >migration.sql
by_sql() {
  for number in $(seq "$tenants"); do
    echo "BEGIN; SET LOCAL search_path = t$number, public;"
    cat migration.sql
    echo "INSERT INTO django_migrations (app, name, applied) VALUES ('finance', '0005_reminder', now());
      INSERT INTO django_content_type (app_label, model) VALUES ('finance', 'reminder');
      INSERT INTO auth_permission (name, content_type_id, codename) SELECT 'Can ' || a || ' reminder', t.id, a || '_reminder'
        FROM django_content_type t, unnest('{add,change,delete,view}'::text[]) a WHERE t.model = 'reminder'; COMMIT;"
  done | sql -d replay_bench
}
echo "| $tenants tenants | time | processor time |"
echo "|---|---|---|"
measure 'psql with the same statements, one session' by_sql
raw=$took raw_busy=$busy
undo
sed -i 's/^apply *= {/& replay = true,/' config.toml
measure 'replay' "$PORTCULLIS" migrate --all
replay=$took replay_busy=$busy
grep -q "its statements run for" out || { cat out >&2; exit 1; }
! grep "do not fit" out
"$PORTCULLIS" verify >/dev/null
undo
sed -i 's/replay = true,//' config.toml
measure 'one Python for many tenants' "$PORTCULLIS" migrate --all
ratios() { awk -v many="$1" -v replay="$2" -v raw="$3" 'BEGIN { printf "%.1f times faster, %.2f times psql | ", many / replay, replay / raw }'; }
echo "| replay is | $(ratios "$took" "$replay" "$raw")$(ratios "$busy" "$replay_busy" "$raw_busy")"
