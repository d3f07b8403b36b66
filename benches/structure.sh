#!/usr/bin/env bash
# Measures `verify --structure` against the plain `verify` on PostgreSQL, in turn, and its peak memory.
# usage: benches/structure.sh [target/release/portcullis]
#        SIZES='100 1000 10000' (tenants), RUNS=5; KEEP=yes keeps the database of an existing cluster and uses it if it exists
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PORTCULLIS_TEST_POSTGRES:-}" ]; then
  scripts/packages $([ -x /usr/bin/time ] || echo time)
  PORTCULLIS_TEST_SETTINGS=$'max_connections = 100\nmax_locks_per_transaction = 64' exec scripts/cluster "$0" "$@"
fi

source benches/fleet.sh
portcullis=$(realpath "${1:-$(scripts/static)/portcullis}")
runs=${RUNS:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sql() { psql --quiet --no-psqlrc --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
# timed NAME COMMAND...: appends the milliseconds and the peak memory in kB to NAME.
timed() {
  local name=$1 start
  shift
  start=$(date +%s%N)
  /usr/bin/time --quiet --format=%M --output="$work/peak" "$@" >/dev/null 2>&1
  echo $((($(date +%s%N) - start) / 1000000)) >>"$work/$name"
  cat "$work/peak" >>"$work/$name.kB"
}

export DATABASE_URL=${PORTCULLIS_TEST_POSTGRES%/*}/fleet_structure
made=
if [ -n "${KEEP:-}" ] && made=$(sql "$DATABASE_URL" --command='SELECT count(*) FROM tenants' 2>/dev/null); then :; else
  sql "$PORTCULLIS_TEST_POSTGRES" --command='CREATE DATABASE fleet_structure'
fi
mkdir "$work/project"
cd "$work/project"
fleet_project . 180
"$portcullis" manifest sql >/dev/null
"$portcullis" run --no-server >/dev/null 2>&1
fleet_procedures | sql "$DATABASE_URL"
made=${made:-1}
for tenants in ${SIZES:-100 1000 10000}; do
  [ "$made" -le "$tenants" ] || continue
  sql "$DATABASE_URL" --command="CALL copies($made, $((tenants - 1)))" --command='ANALYZE'
  made=$tenants
  rm -f "$work"/plain* "$work"/structure*
  "$portcullis" verify --quiet >/dev/null
  for _ in $(seq "$runs"); do
    timed plain "$portcullis" verify --quiet
    timed structure "$portcullis" verify --quiet --structure
  done
  plain=$(median <"$work/plain") structure=$(median <"$work/structure")
  awk -v t="$tenants" -v p="$plain" -v s="$structure" -v m="$(median <"$work/structure.kB")" -v n="$(median <"$work/plain.kB")" 'BEGIN {
    printf "%6d tenants: verify %6d ms, with --structure %6d ms: %.2f times; peak %.1f MB and %.1f MB\n", t, p, s, s / p, n / 1024, m / 1024
  }'
done
[ -n "${KEEP:-}" ] || sql "$PORTCULLIS_TEST_POSTGRES" --command='DROP DATABASE fleet_structure WITH (FORCE)'
