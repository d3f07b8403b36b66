# `make run` starts the sample, `make test` runs every test; the other targets are for development.

PORT ?= 8000
export PORT

PREFIX ?= /usr/local
BINARY ?= target/portcullis

.PHONY: run build install release reproducible manifest check test soak attack fuzz mutants bench lint image clean

run: build
	@echo "open http://127.0.0.1:$(PORT)/demo/finance/invoices/ once the server listens"
	@exec target/release/portcullis run

build: toolchain
	cargo build --locked --release --bins --example invoices

# The static binary, its manual pages and shell completions. `sudo make install` needs no toolchain after `make binary`.
install:
	@[ -x "$(BINARY)" ] || $(MAKE) binary
	scripts/install "$(BINARY)" "$(DESTDIR)$(PREFIX)"

.PHONY: binary
binary: toolchain
	install -m 755 "$$(PORTCULLIS_VERSION="$$(scripts/revision)" scripts/static)/portcullis" "$(BINARY)"

# Every file of a release, in target/dist. RELEASE_KEY signs the checksums.
release: toolchain
	scripts/release

# Builds the release twice, in two folders, and compares the bytes.
reproducible: toolchain
	scripts/reproducible

# Builds the sample's manifest; commit it with the migration that changed it.
manifest: build
	target/release/portcullis manifest sql

# The fast checks: they need no service and change nothing outside target/.
check: toolchain components
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib

test: toolchain
	scripts/test

soak: toolchain
	scripts/test --soak

# Faults at every statement, load, and the gate against a model, for at most 20 minutes.
attack: toolchain
	scripts/attack

# Inputs that break a law of src/fuzzing, for ten minutes each.
fuzz: toolchain
	scripts/fuzz

# Changes of the gate, the plan, the retries, the exit codes and the mask that no unit test notices.
mutants: toolchain
	scripts/mutants

bench: toolchain
	benches/figures.sh

lint: toolchain components
	scripts/lint

image: toolchain
	scripts/image

clean:
	cargo clean
	rm -rf var

.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null || { \
	  echo "cargo is missing: install Rust from https://rustup.rs, and a C compiler (apt-get install gcc libc6-dev)" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "a C compiler is missing (SQLite is built from source): apt-get install gcc libc6-dev" >&2; exit 1; }

# A minimal Rust toolchain contains neither component.
.PHONY: components
components:
	@{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
