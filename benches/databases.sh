#!/usr/bin/env bash
# Measures the gate on tenants that have their own databases, half of them on each of two servers: against one psql for each
# database, one after the other and sixteen at a time, each of which only reads the ledger.
# usage: benches/databases.sh [target/release/portcullis]
#        SIZES='20 100 500' (databases), RUNS=3
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ] || [ -z "${SECOND_SERVER:-}" ]; then
  scripts/packages $([ -x /usr/bin/time ] || echo time)
  [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ] || export SECOND_SERVER=$PORTCULLIS_TEST_POSTGRES
  exec scripts/cluster "$0" "$@"
fi

portcullis=$(realpath "${1:-$(scripts/static)/portcullis}")
runs=${RUNS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sql() { psql --quiet --no-psqlrc --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
# timed NAME COMMAND...: appends the milliseconds and the peak memory in kB to NAME.
timed() {
  local name=$1 start
  shift
  start=$(date +%s%N)
  /usr/bin/time --quiet --format=%M --output="$work/peak" "$@" >/dev/null
  echo $((($(date +%s%N) - start) / 1000000)) >>"$work/$name"
  cat "$work/peak" >>"$work/$name.kB"
}

servers=("${PORTCULLIS_TEST_POSTGRES%/*}" "${SECOND_SERVER%/*}")
sql "$PORTCULLIS_TEST_POSTGRES" --command='CREATE DATABASE home'
export DATABASE_URL=${servers[0]}/home
mkdir -p "$work/project/shared" "$work/project/tenant"
cd "$work/project"
cat >config.toml <<'END'
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name", database = "{url}" }
[migrations]
shared = "shared"
tenant = "tenant"
[server]
command = ["true"]
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "gate"
verify = { tenants = "all" }
END
echo 'CREATE TABLE tenants (name text PRIMARY KEY, url text NOT NULL);' >shared/1_tenants.sql
for number in $(seq 100); do
  echo "CREATE TABLE item_$number (id bigint PRIMARY KEY, n int);" >"tenant/${number}_item.sql"
done
"$portcullis" manifest sql >/dev/null
"$portcullis" run --no-server >/dev/null 2>&1
for server in "${servers[@]}"; do
  "$portcullis" tenant create "first_${#server}_$RANDOM" --set "url=$server/model" >/dev/null
done
sql "$DATABASE_URL" --command='DELETE FROM tenants'

made=0
for databases in ${SIZES:-20 100 500}; do
  for number in $(seq $((made + 1)) "$databases"); do
    server=${servers[$((number % 2))]}
    echo "CREATE DATABASE app_$number TEMPLATE model STRATEGY file_copy;" >>"$work/create.$((number % 2))"
    echo "INSERT INTO tenants VALUES ('t$number', '$server/app_$number');" >>"$work/rows"
    echo "$server/app_$number" >>"$work/urls"
  done
  for index in 0 1; do
    sql "${servers[$index]}/postgres" --file="$work/create.$index"
    rm "$work/create.$index"
  done
  sql "$DATABASE_URL" --file="$work/rows"
  rm "$work/rows"
  made=$databases
  rm -f "$work"/{gate,each,many}*
  "$portcullis" verify --quiet >/dev/null
  read_ledger='psql --quiet --no-psqlrc --no-align --tuples-only --command="SELECT version, success, checksum FROM _sqlx_migrations"'
  for _ in $(seq "$runs"); do
    timed gate "$portcullis" verify --quiet
    timed each sh -c "while read -r url; do $read_ledger \"\$url\"; done <'$work/urls'"
    timed many sh -c "xargs --max-procs=16 --replace=URL $read_ledger URL <'$work/urls'"
  done
  awk -v n="$databases" -v g="$(median <"$work/gate")" -v e="$(median <"$work/each")" -v m="$(median <"$work/many")" \
    -v k="$(median <"$work/gate.kB")" 'BEGIN {
    printf "%4d databases: gate %6d ms (%.1f ms each), %.2f of one psql each (%d ms), %.2f of sixteen at a time (%d ms); peak %.1f MB\n",
      n, g, g / n, g / e, e, g / m, m, k / 1024
  }'
done
