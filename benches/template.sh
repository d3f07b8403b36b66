#!/usr/bin/env bash
# Measures the creation of a Django tenant: migrated by the framework, and copied from a template. Once with the example
# (25 tables, 176 migrations with those of the tenant's other apps), once with a generated project of the given size.
# usage: [RUNS=5] [PORTCULLIS_TEST_PLACE=/dev/shm] scripts/cluster benches/template.sh [TABLES MIGRATIONS]...
#        (25 176 and 250 350 by default)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/django-venv.sh
built=$(scripts/static)/portcullis
export PATH=$PWD/target/venv/bin:$PATH
runs=${RUNS:-5}

address=${PORTCULLIS_TEST_POSTGRES#postgres://}
login=${address%%@*} place=${address#*@} place=${place%%/*}
export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=template_bench
export DJANGO_SETTINGS_MODULE=invoicing.settings PYTHONDONTWRITEBYTECODE=1
sql() { PGPASSWORD=$DB_PASSWORD psql -qtAX -v ON_ERROR_STOP=1 -h "$DB_HOST" -p "$DB_PORT" -U "$DB_USER" "$@"; }
seconds() { # seconds COMMAND...: its duration
  local start=$EPOCHREALTIME
  "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
  awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

work=$(mktemp -d)
# Copied in one write, as in an image: the linker leaves the file in the page cache in small pieces.
portcullis=$work/portcullis
cp "$built" "$portcullis"
trap 'sql -d postgres -c "DROP DATABASE IF EXISTS template_bench WITH (FORCE)"; rm -rf "$work"' EXIT

measure() { # measure TABLES MIGRATIONS
  rm -rf "$work/project"
  cp -r examples/django "$work/project"
  cd "$work/project"
  sql -d postgres -c 'DROP DATABASE IF EXISTS template_bench WITH (FORCE)' -c 'CREATE DATABASE template_bench'
  "$portcullis" manifest django >/dev/null
  # An app with the missing tables and migrations: tables by CreateModel, other migrations by AddField.
  python - "$1" "$2" <<'GENERATE'
import json, pathlib, sys
tables, migrations = int(sys.argv[1]), int(sys.argv[2])
manifest = json.load(open("portcullis.manifest.json"))["tenant"]
tables, migrations = tables - len(manifest["tables"]) - 1, migrations - len(manifest["migrations"])
if tables > 0 and migrations > 0:
    app = pathlib.Path("bulk/migrations")
    app.mkdir(parents=True)
    (app / "__init__.py").write_text("")
    (app.parent / "__init__.py").write_text("")
    fields = [[] for _ in range(tables)]
    operations = [[] for _ in range(migrations)]
    for table in range(tables):
        link = f'("parent", models.ForeignKey("Model{table - 1}", null=True, on_delete=models.CASCADE)),' if table else ""
        operations[table % migrations].append(
            f'migrations.CreateModel("Model{table}", [("id", models.BigAutoField(primary_key=True)), {link}'
            f'("name", models.CharField(max_length=50, db_index=True)), ("made", models.DateTimeField(null=True))])')
    for number in range(migrations):
        if not operations[number]:
            operations[number].append(
                f'migrations.AddField("Model{number % tables}", "field{number}", models.IntegerField(null=True))')
            fields[number % tables].append(f"    field{number} = models.IntegerField(null=True)")
        depends = f'[("bulk", "{number:04}_bulk")]' if number else "[]"
        (app / f"{number + 1:04}_bulk.py").write_text(
            "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
            f"    dependencies = {depends}\n    operations = [{', '.join(operations[number])}]\n")
    models = ["from django.db import models\n"]
    for table in range(tables):
        link = f"    parent = models.ForeignKey('Model{table - 1}', null=True, on_delete=models.CASCADE)\n" if table else ""
        models.append(f"\n\nclass Model{table}(models.Model):\n    id = models.BigAutoField(primary_key=True)\n{link}"
            "    name = models.CharField(max_length=50, db_index=True)\n    made = models.DateTimeField(null=True)\n"
            + "\n".join(fields[table]) + "\n")
    (app.parent / "models.py").write_text("".join(models))
    settings = pathlib.Path("invoicing/settings.py")
    settings.write_text(settings.read_text().replace('    "finance",\n]', '    "finance",\n    "bulk",\n]', 1))
GENERATE
  "$portcullis" manifest django >/dev/null
  "$portcullis" migrate --shared >/dev/null 2>&1
  local size
  size=$(python -c 'import json; t = json.load(open("portcullis.manifest.json"))["tenant"]; print(len(t["tables"]) + 1, "tables,", len(t["migrations"]), "migrations")')
  local framework copied by_framework by_template made
  # The template is built first: ext4 creates files slowly after removals, such as those of the template's scratch tenant.
  sed -i 's/^manifest  = {/template  = { file = "portcullis.template.sql" }\n&/' config.toml
  made=$(seconds "$portcullis" tenant template)
  sed -i.template '/^template  = /d' config.toml
  by_framework=$(for run in $(seq "$runs"); do seconds "$portcullis" tenant create "framework_$run"; done | median)
  mv config.toml.template config.toml
  by_template=$(for run in $(seq "$runs"); do seconds "$portcullis" tenant create "template_$run"; done | median)
  "$portcullis" verify >/dev/null 2>&1 || { "$portcullis" verify; exit 1; }
  framework=$(printf '%.2f' "$by_framework") copied=$(printf '%.3f' "$by_template")
  awk -v size="$size" -v a="$by_framework" -v b="$by_template" -v f="$framework" -v c="$copied" -v m="$made" \
    'BEGIN { printf "| %s | %s s | %s s | %.1f times | %.1f s |\n", size, f, c, a / b, m }'
  cd "$OLDPWD"
}

echo "| a Django tenant of | by the framework | from the template | ratio | building the template |"
echo "|---|---|---|---|---|"
[ $# -gt 0 ] || set -- 25 176 250 350
while [ $# -gt 1 ]; do
  measure "$1" "$2"
  shift 2
done
