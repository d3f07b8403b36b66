#!/usr/bin/env bash
# Measures the creation and the deletion of tenants: SQL migrations against the same SQL through psql, Django's migrations,
# and the deletion of a tenant with many tables. It needs a running cluster: scripts/cluster benches/tenants.sh
# usage: [TABLES=25] [RUNS=10] [MANY=300] [PROFILE=release] benches/tenants.sh
set -euo pipefail
cd "$(dirname "$0")/.."
portcullis=$PWD/target/${PROFILE:-release}/portcullis
tables=${TABLES:-25} runs=${RUNS:-10} many=${MANY:-300}
root=$PWD
work=$(mktemp -d)
server=${PORTCULLIS_TEST_POSTGRES%/*}
psql() { command psql -qtAX -v ON_ERROR_STOP=1 "$@"; }
trap 'psql "$PORTCULLIS_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS tenants_bench WITH (FORCE)"; rm -rf "$work"' EXIT
psql "$PORTCULLIS_TEST_POSTGRES" -c 'DROP DATABASE IF EXISTS tenants_bench WITH (FORCE)' -c 'CREATE DATABASE tenants_bench'
export DATABASE_URL=$server/tenants_bench

# milliseconds COMMAND...: of the wall clock
milliseconds() { local start; start=$(date +%s%N); "$@" >/dev/null; echo $((($(date +%s%N) - start) / 1000000)); }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# project TABLES: a project with this number of migrations, each with a table and an index
project() {
  rm -rf "$work/sql" && mkdir -p "$work/sql/shared" "$work/sql/tenant" && cd "$work/sql"
  cat >config.toml <<'END'
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
END
  echo 'CREATE TABLE IF NOT EXISTS tenants (name text PRIMARY KEY);' >shared/1_tenants.sql
  for number in $(seq "$1"); do
    echo "CREATE TABLE thing_$number (id bigserial PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL DEFAULT now());
CREATE INDEX thing_${number}_name ON thing_$number (name);" >"tenant/${number}_thing.sql"
  done
  psql "$DATABASE_URL" -c 'DROP TABLE IF EXISTS tenants CASCADE; DROP SCHEMA IF EXISTS portcullis CASCADE; DROP TABLE IF EXISTS _sqlx_migrations'
  "$portcullis" manifest sql >/dev/null
  "$portcullis" migrate --shared >/dev/null
}
through_psql() {
  { echo "BEGIN; CREATE SCHEMA $1; SET LOCAL search_path = $1;"; cat tenant/*.sql; echo "INSERT INTO public.tenants VALUES ('$1'); COMMIT;"; } |
    psql "$DATABASE_URL"
}

project "$tables"
# In turn, so that both run under the same load.
for run in $(seq "$runs"); do
  milliseconds through_psql "p$run" >>"$work/psql"
  milliseconds "$portcullis" tenant create "t$run" >>"$work/portcullis"
done
psql=$(median <"$work/psql") own=$(median <"$work/portcullis")
psql "$DATABASE_URL" -c "SELECT format('DROP SCHEMA %I CASCADE', name) FROM tenants \gexec" 2>/dev/null || true
for run in $(seq "$runs"); do psql "$DATABASE_URL" -c "DROP SCHEMA IF EXISTS p$run CASCADE" -c "DROP SCHEMA IF EXISTS t$run CASCADE" 2>/dev/null; done

project "$many"
"$portcullis" tenant create large >/dev/null
deleted=$(milliseconds "$portcullis" tenant delete large --yes)

django=- 
if [ -x "$root/target/venv/bin/python" ]; then
  cd "$root"
  address=${PORTCULLIS_TEST_POSTGRES#postgres://}
  login=${address%%@*} place=${address#*@} place=${place%%/*}
  export DB_USER=${login%%:*} DB_PASSWORD=${login#*:} DB_HOST=${place%%:*} DB_PORT=${place##*:} DB_NAME=tenants_bench
  export PATH=$root/target/venv/bin:$PATH
  psql "$DATABASE_URL" -c 'DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS portcullis CASCADE'
  cp -r examples/django/. "$work/django" && cd "$work/django"
  "$portcullis" manifest django >/dev/null
  "$portcullis" migrate --shared >/dev/null
  for run in 1 2 3; do milliseconds "$portcullis" tenant create "d$run"; done >"$work/django.ms"
  django=$(median <"$work/django.ms")
fi

echo "| figure | value |"
echo "|---|---|"
echo "| \`tenant create\`, SQL, $tables tables, relative to the same SQL through psql | $(ratio "$own" "$psql") times ($own ms and $psql ms) |"
echo "| \`tenant create\`, the Django example, by its migrations | $django ms |"
echo "| \`tenant delete\`, $many tables with an index each | $deleted ms |"
