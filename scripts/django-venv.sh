#!/bin/sh
# Builds target/venv, in which the Django example runs; does nothing if it is up to date.
set -eu
cd "$(dirname "$0")/.."
wanted=$(cat examples/django/requirements.txt)
if [ "$(cat target/venv/requirements.txt 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
mkdir -p target
python3 -m venv target/venv
target/venv/bin/pip install --quiet --disable-pip-version-check -r examples/django/requirements.txt
printf '%s\n' "$wanted" > target/venv/requirements.txt
