#!/usr/bin/env bash
# Prints the time of a step whose child prints a gigabyte, in text and in JSON, as a ratio to `cat >/dev/null` behind the
# same child, and the peak memory of portcullis.
# usage: benches/flood.sh [target/release/portcullis]      ROUNDS=5
set -euo pipefail

portcullis=$(realpath "${1:-target/release/portcullis}")
rounds=${ROUNDS:-5}
[ -x /usr/bin/time ] || { echo "needs /usr/bin/time" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >child <<'END'
#!/bin/sh
yes 'a line of a child that prints a great deal of output to its standard output' | head -c 1073741824
END
chmod +x child
cat >config.toml <<'END'
[[step]]
name = "flood"
command = { run = ["./child"], timeout = "10m" }
[server]
command = ["true"]
END

by_cat() { ./child | cat >/dev/null; }
in_format() { /usr/bin/time -o peak -f %M "$portcullis" run --log-format "$1" >/dev/null 2>&1; }

# Prints the seconds that a command takes.
timed() {
  local start=$EPOCHREALTIME
  "$@" || return
  awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }'
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

echo "| format | seconds of cat | ratio | peak memory |"
echo "|---|---|---|---|"
for format in plain json; do
  : >cat.times >ratios
  for _ in $(seq "$rounds"); do
    cat=$(timed by_cat)
    ours=$(timed in_format "$format")
    echo "$cat" >>cat.times
    awk -v ours="$ours" -v cat="$cat" 'BEGIN { print ours / cat }' >>ratios
  done
  printf '| %s | %.1f | %.2f | %.1f MiB |\n' "$format" "$(median <cat.times)" "$(median <ratios)" \
    "$(awk '{ print $1 / 1024 }' peak)"
done
