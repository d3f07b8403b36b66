#!/usr/bin/env bash
# Measures the gate on PostgreSQL: its time against the same SQL through psql over as many connections, its memory, its
# growth with tenants and with migrations, and a start with nothing pending. One run on one machine; the server has the
# default limits and memory, and fsync off. Writes docs/gate.csv and docs/gate.svg; takes ten minutes or more.
# usage: benches/gate.sh [target/release/portcullis]
#        SIZES='100:180 1000:180 10000:180 1000:10 1000:100 1000:400' (tenants:migrations), RUNS=7;
#        KEEP=yes keeps the databases of an existing cluster and uses those that exist
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  scripts/packages $([ -x /usr/bin/time ] || echo time) $(command -v hyperfine >/dev/null || echo hyperfine) \
    $(command -v jq >/dev/null || echo jq)
  PORTCULLIS_TEST_SETTINGS=$'max_connections = 100\nmax_locks_per_transaction = 64' exec scripts/cluster "$0" "$@"
fi

source benches/fleet.sh
docs=$PWD/docs plot=$PWD/benches/plot.py
portcullis=${1:-$(scripts/static)/portcullis}
portcullis=$(realpath "$portcullis")
sizes=${SIZES:-100:180 1000:180 10000:180 1000:10 1000:100 1000:400}
runs=${RUNS:-7}
server=${PORTCULLIS_TEST_POSTGRES%/*}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sql() { psql --quiet --no-psqlrc --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"; }
now() { date +%s%N; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

# record DATABASE: the SQL of one inspection as psql scripts: before.sql, 1.sql ... N.sql (one per connection), after.sql.
record() {
  local log
  log=$(dirname "$(sql "$DATABASE_URL" --command='SHOW data_directory')")/server.log
  sql "$DATABASE_URL" --command="ALTER DATABASE $1 SET log_statement = 'all'"
  local start=$(stat -c %s "$log")
  "$portcullis" verify >/dev/null
  sql "$DATABASE_URL" --command="ALTER DATABASE $1 RESET log_statement"
  rm -f "$work"/*.sql
  tail -c +"$((start + 1))" "$log" | awk -v folder="$work" '
    !/ LOG:  statement: BEGIN READ ONLY; / { next }
    {
      match($0, /\[[0-9]+\]/); process = substr($0, RSTART, RLENGTH)
      sub(/^.* LOG:  statement: /, ""); gsub(/; /, "\\; ")
      if (first == "") first = process
      if (!(process in number)) number[process] = ++connections
      digests = /UNION ALL/ && !/OVER \(\)/
      if (process == first && !digests) file = started ? "after" : "before"
      else { file = number[process]; started = 1 }
      print $0 ";" > (folder "/" file ".sql")
    }'
  touch "$work/after.sql"
  # The first connection reads the catalog, then its chunks in parallel with the others.
  local number others
  others=$(find "$work" -maxdepth 1 -name '[0-9]*.sql' ! -name 1.sql | wc -l)
  : >"$work/others" >"$work/join"
  for number in $(seq 2 $((others + 1))); do
    rm -f "$work/$number.done"
    mkfifo "$work/$number.done"
    echo "{ psql -qAtX '$DATABASE_URL' -f $work/$number.sql; : >$work/$number.done; } >/dev/null 2>&1 &" >>"$work/others"
    echo "read -r _ <$work/$number.done || true" >>"$work/join"
  done
  {
    cat "$work/before.sql"
    [ "$others" = 0 ] || echo "\\! bash $work/others"
    cat "$work/1.sql" 2>/dev/null || true
    [ "$others" = 0 ] || echo "\\! bash $work/join"
    cat "$work/after.sql"
  } >"$work/all"
  connections=$((others + 1))
}

portcullis_verify() { "$portcullis" verify --quiet >/dev/null; }
raw() { sql "$DATABASE_URL" --file="$work/all" >/dev/null; }
timed() { local start; start=$(now); "$@"; echo $((($(now) - start) / 10000)); }

measure() { # measure TENANTS MIGRATIONS: in hundredths of milliseconds, in turn, so that both run under the same load
  local index
  record "$database"
  : >"$work/portcullis.ms" >"$work/raw.ms"
  portcullis_verify; raw
  for index in $(seq "$runs"); do
    timed portcullis_verify >>"$work/portcullis.ms"
    timed raw >>"$work/raw.ms"
  done
  local own raw peak
  own=$(median <"$work/portcullis.ms") raw=$(median <"$work/raw.ms")
  /usr/bin/time -f %M -o "$work/peak" "$portcullis" verify --quiet >/dev/null
  peak=$(cat "$work/peak")
  awk -v t="$1" -v m="$2" -v o="$own" -v r="$raw" -v p="$peak" -v c="$connections" 'BEGIN {
    printf "%d,%d,%.1f,%.1f,%.1f\n", t, m, o / 100, r / 100, p / 1024 >> "'"$work/csv"'"
    printf "%6d tenants, %3d migrations: %8.1f ms, the same SQL through psql %8.1f ms over %d connections: %.2f times; peak %.1f MB\n", t, m, o / 100, r / 100, c, o / r, p / 1024
  }'
}

echo "tenants,migrations,portcullis,raw,peak" >"$work/csv"
echo "$(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1); $(sql "$PORTCULLIS_TEST_POSTGRES" --command='SHOW server_version'); five tables per tenant, including the ledger"
for migrations in $(tr ' ' '\n' <<<"$sizes" | cut -d: -f2 | sort -nu); do
  database=fleet_$migrations
  export DATABASE_URL=$server/$database
  made=
  if [ -n "${KEEP:-}" ] && made=$(sql "$DATABASE_URL" --command='SELECT count(*) FROM tenants' 2>/dev/null); then :; else
    sql "$PORTCULLIS_TEST_POSTGRES" --command="CREATE DATABASE $database"
  fi
  mkdir "$work/project"
  cd "$work/project"
  fleet_project . "$migrations"
  "$portcullis" manifest sql >/dev/null
  "$portcullis" run --no-server >/dev/null 2>&1
  fleet_procedures | sql "$DATABASE_URL"
  made=${made:-1}
  for tenants in $(tr ' ' '\n' <<<"$sizes" | grep ":$migrations\$" | cut -d: -f1 | sort -n); do
    [ "$made" -le "$tenants" ] || continue
    sql "$DATABASE_URL" --command="CALL copies($made, $((tenants - 1)))" --command='ANALYZE'
    made=$tenants
    measure "$tenants" "$migrations"
    if [ "$tenants" = 100 ]; then
      hyperfine --shell=none --warmup 5 --runs 40 --export-json "$work/start.json" --style none \
        "$portcullis run --no-server" "psql $DATABASE_URL -qAtc 'SELECT 1'" >/dev/null 2>&1
      echo "   a start with nothing pending, five steps: $(jq '.results[0].median * 10000 | round / 10' "$work/start.json") ms; psql -c 'SELECT 1': $(jq '.results[1].median * 10000 | round / 10' "$work/start.json") ms"
    fi
  done
  if [ "${tenants:-0}" = 10000 ]; then
    # Every tenant has one pending migration: the inspection before a migration.
    echo 'SELECT 1;' >"tenant/$((migrations + 1))_next.sql"
    "$portcullis" manifest sql >/dev/null
    /usr/bin/time -f '%e s, peak %M kB' -o "$work/peak" "$portcullis" migrate --dry-run >/dev/null 2>&1 || true
    echo "   one pending migration in each of $tenants tenants, migrate --dry-run: $(tail -n 1 "$work/peak")"
  fi
  cd /
  rm -rf "$work/project"
  [ -n "${KEEP:-}" ] || sql "$PORTCULLIS_TEST_POSTGRES" --command="DROP DATABASE $database WITH (FORCE)"
done
cp "$work/csv" "$docs/gate.csv"
python3 "$plot" "$docs/gate.csv" "$docs/gate.svg"
