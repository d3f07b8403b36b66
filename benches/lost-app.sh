#!/usr/bin/env bash
# Measures `repair --replay` of one app in a project of 350 migrations, with four clients beside it that read and update the shared
# table of users, and compares it with that app's own `migrate` in a new schema. Prints the lines that docs/repair.md quotes.
# usage: benches/lost-app.sh
# PORTCULLIS names the binary (target/release/portcullis by default).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  exec scripts/cluster "$0" "$@"
fi
scripts/django-venv.sh
PORTCULLIS=$(realpath "${PORTCULLIS:-target/release/portcullis}")
export PORTCULLIS PATH=$PWD/target/venv/bin:$PATH

address=${PORTCULLIS_TEST_POSTGRES#postgres://}
login=${address%%@*} place=${address#*@} place=${place%%/*}
export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=lost_app_bench
export PGUSER=$DB_USER PGPASSWORD=$DB_PASSWORD PGHOST=$DB_HOST PGPORT=$DB_PORT PGDATABASE=$DB_NAME
sql() { PGOPTIONS='-c client_min_messages=warning' psql -qtAX -v ON_ERROR_STOP=1 "$@"; }

work=$(mktemp -d)
logins=
finish() {
  [ -z "$logins" ] || kill "$logins" 2>/dev/null || true
  sql -d postgres -c 'DROP DATABASE IF EXISTS lost_app_bench WITH (FORCE)'
  rm -rf "$work"
}
trap finish EXIT
cp -r examples/django/. "$work"
cd "$work"
sql -d postgres -c 'DROP DATABASE IF EXISTS lost_app_bench WITH (FORCE)' -c 'CREATE DATABASE lost_app_bench'

# Ten apps with 35 migrations each, about 30 tables an app, with foreign keys to the shared table and to the app before.
python - <<'END'
import random
from pathlib import Path

rng = random.Random(1)
for number in range(10):
    label = f"app{number}"
    folder = Path(label, "migrations")
    folder.mkdir(parents=True)
    for path in (folder.parent / "__init__.py", folder / "__init__.py", folder.parent / "models.py"):
        path.write_text("# None.\n")
    models = 0
    for migration in range(1, 36):
        if migration == 1 or rng.random() < 0.8:
            target = rng.choice(["customers.Client", f"app{number - 1}.Model1" if number else "contacts.Contact"])
            operation = f"""migrations.CreateModel("Model{models + 1}", [("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=50)), ("link", models.ForeignKey("{target}", models.CASCADE, related_name="+"))])"""
            models += 1
        else:
            operation = f'migrations.AddField("model{rng.randint(1, models)}", "field{migration}", models.IntegerField(default=1))'
        dependencies = [(label, f"{migration - 1:04}_m")] if migration > 1 else [("customers", "0001_initial"), ("contacts", "0001_initial")]
        if migration == 1 and number:
            dependencies.append((f"app{number - 1}", "0035_m"))
        Path(folder, f"{migration:04}_m.py").write_text(
            f"from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    dependencies = {dependencies}\n    operations = [{operation}]\n"
        )
END
sed -i "s/^TENANT_APPS = \[/&$(printf ' "app%s",' 0 1 2 3 4 5 6 7 8 9)/" invoicing/settings.py
"$PORTCULLIS" manifest django >/dev/null
"$PORTCULLIS" migrate --shared >/dev/null 2>&1
"$PORTCULLIS" tenant create acme --set name=acme >/dev/null 2>&1
"$PORTCULLIS" tenant create fresh --set name=fresh >/dev/null 2>&1

lose() {
  sql -c "SELECT format('DROP TABLE %I.%I CASCADE;', schemaname, tablename) FROM pg_tables WHERE schemaname = '$1' AND tablename LIKE 'app5\_%'" | sql
}
measure() {
  local start end
  start=$(date +%s%N)
  "${@:2}" >out 2>&1 || { cat out >&2; exit 1; }
  end=$(date +%s%N)
  took=$(((end - start) / 1000000))
  echo "| $1 | $took ms |"
}
echo "| one app of 35 migrations in a project of 350 | |"
echo "|---|---|"
lose fresh
sql -c "DELETE FROM fresh.django_migrations WHERE app = 'app5'"
# `migrate` itself refuses while the apps that depend on it are recorded.
sql -c "DELETE FROM fresh.django_migrations WHERE app IN ('app6', 'app7', 'app8', 'app9')"
measure '`migrate app5`' python manage.py migrate_schemas --tenant --schema=fresh app5
migrate=$took

lose acme
cat >logins.py <<'END'
"""Four clients, each of which reads and updates the shared table of users, as a login does."""

import signal, threading, time

import psycopg

waits, ended = [], threading.Event()
TENANTS = ["fresh", "acme"]


def log_in(number):
    with psycopg.connect(autocommit=True) as connection:
        while not ended.is_set():
            start = time.monotonic()
            connection.execute("SELECT * FROM customers_client WHERE schema_name = %s", [TENANTS[number % 2]])
            connection.execute("UPDATE customers_client SET name = name WHERE schema_name = %s", [TENANTS[number % 2]])
            waits.append(time.monotonic() - start)
            time.sleep(0.005)


signal.signal(signal.SIGTERM, lambda *_: ended.set())
threads = [threading.Thread(target=log_in, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
ended.wait()
for thread in threads:
    thread.join()
print(f"| longest of {len(waits)} logins | {max(waits) * 1000:.0f} ms |")
END
python logins.py >logins.out 2>&1 &
logins=$!
measure '`repair acme --replay app5`' "$PORTCULLIS" repair acme --replay app5
kill "$logins"
wait "$logins" || true
logins=
cat logins.out
awk -v migrate="$migrate" -v repair="$took" 'BEGIN { printf "| the repair takes | %.2f times as long |\n", repair / migrate }'
