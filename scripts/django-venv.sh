#!/bin/sh
# Builds the virtual environments of the tests: target/venv, in which the Django example runs, and target/django-apps with
# third-party apps. Does nothing if both are up to date.
set -eu
cd "$(dirname "$0")/.."

build() {
    wanted=$(cat "$2")
    if [ "$(cat "$1/requirements.txt" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    mkdir -p target
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    printf '%s\n' "$wanted" > "$1/requirements.txt"
}

build target/venv examples/django/requirements.txt
build target/django-apps tests/fixtures/django/apps/requirements.txt
