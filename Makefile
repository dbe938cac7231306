# Every command a person needs. `make` alone lists them.
#
# RocksDB takes many minutes to compile, so it is compiled once: whatever needs it (binary, end-to-end tests, clippy,
# docs, benches) uses the release profile, and only crates that do without it are tested in the dev profile.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Honoured when set outside (an absolute path), so that several clones can share one set of build products.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
RELEASE_DIR := $(CARGO_TARGET_DIR)/release

# Crates tested without RocksDB (dev profile: debug assertions and overflow checks are on) …
PURE := -p assay-kernels -p assay-engine -p assay-oauth -p assay-storage --no-default-features
# … and those that need it, or whose many dependencies the binary compiles in the release profile anyway (the tools). One
# list for build, test and docs, and always `--bins --examples`, so that features resolve the same way each time.
FULL := -p assay-storage -p assay-gateway -p assay-tools -p assay -p assay-benches -p assay-fuzz -p assay-tests

# cargo-nextest when it is there: it runs test binaries side by side and names the slow ones.
ifneq ($(shell command -v cargo-nextest 2>/dev/null),)
TEST := cargo nextest run
else
TEST := cargo test --lib --bins --tests
endif

ARGS ?=
CRASH_ROUNDS ?= 300
FUZZ_SECONDS ?= 600
DIFFERENTIAL_COUNT ?= 10000000
SHORT_DIFFERENTIAL_COUNT ?= 50000

.PHONY: help setup setup-test serve test test-pure test-full test-differential test-doc differential kernels avx512 disassembly conformance fuzz-smoke crash soak bench record lint fmt-check clippy deny doc fuzz hardened mutations clean-data

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | sort | awk -F'\t' '{ printf "  make %-17s %s\n", $$1, $$2 }'

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh build test

serve: setup ## build the release binary and start the server (ARGS="--limits off" and so on)
	cargo build --release --locked -p assay
	exec "$(RELEASE_DIR)/assay" serve $(ARGS)

test: setup-test ## the whole suite, set-up included
	$(MAKE) --no-print-directory test-pure
	$(MAKE) --no-print-directory test-full
	$(MAKE) --no-print-directory fuzz-smoke
	$(MAKE) --no-print-directory test-differential
	$(MAKE) --no-print-directory conformance
	$(MAKE) --no-print-directory test-doc

test-pure: ## quick: the crates without RocksDB, dev profile
	$(TEST) --locked $(PURE)

test-full: ## storage, gateway, command line, end-to-end, tidy; release profile
	cargo build --release --locked $(FULL) --bins --examples
	$(TEST) --release --locked $(FULL)

# In the release profile, because the compiler of the binary is what has to agree. With the packages of test-full, because
# features then resolve as they did there: alone, the same tests compile sixty crates a second time. RustCrypto, in the
# second line, takes as long for a sixteenth.
test-differential: ## the same with SHORT_DIFFERENTIAL_COUNT (50000), as part of `test`
	ASSAY_DIFFERENTIAL_COUNT=$(SHORT_DIFFERENTIAL_COUNT) cargo test --release --locked $(FULL) -p assay-engine --test kernels agree
	ASSAY_DIFFERENTIAL_COUNT=$$(($(SHORT_DIFFERENTIAL_COUNT) / 16)) cargo test --release --locked $(FULL) -p assay-engine --test differential agree

conformance: setup-test ## published clients, unmodified, against the server; its admin interface against its OpenAPI document
	cargo build --release --locked $(FULL) --bins --examples
	tests/conformance/run.sh
	tests/conformance/schemathesis.sh
	tests/conformance/load-oidc-provider.sh

differential: ## DIFFERENTIAL_COUNT signatures (10^7) per curve: every backend, or those in ASSAY_DIFFERENTIAL_BACKENDS, against libsecp256k1 and AWS-LC
	ASSAY_DIFFERENTIAL_COUNT=$(DIFFERENTIAL_COUNT) cargo test --release --locked -p assay-engine --test kernels agree -- --nocapture

kernels: ## ratios of the vector and table kernels to the best libraries (ARGS="--json")
	cargo bench --locked -p assay-engine --bench kernels -- $(ARGS)

avx512: ## the vector kernels' tests on an emulated CPU with AVX-512 IFMA, where this one has none (ARGS="kernels vectors")
	scripts/avx512-emulated.sh $(ARGS)

disassembly: ## machine code of the vector kernels: no calls in hot loops, no more on the stack than with -C target-cpu
	scripts/disassembly.py

test-doc: ## the examples in the documentation
	cargo test --locked --doc $(PURE)
	cargo test --release --locked --doc -p assay-storage -p assay-gateway -p assay-tools

fuzz-smoke: ## every fuzz target for a moment, on the stable toolchain
	cargo build --release --locked $(FULL) --bins --examples
	"$(RELEASE_DIR)/smoke"

crash: setup-test ## kill -9 the real server CRASH_ROUNDS times (300) on each runtime and look for lost or repeated writes
	cargo build --release --locked $(FULL) --bins --examples
	ASSAY_TEST_CRASH_ROUNDS=$(CRASH_ROUNDS) cargo test --release --locked $(FULL) --test e2e crash -- --nocapture

soak: setup-test ## the long form of the revocation race: 10^5 rounds on each runtime
	cargo build --release --locked $(FULL) --bins --examples
	ASSAY_LONG=1 cargo test --release --locked $(FULL) --test e2e attack_83 -- --nocapture --test-threads=1

bench: setup ## criterion benches, one file per question
	cargo bench --locked -p assay-criterion --benches $(ARGS)

record: setup ## HTTP throughput and latency beside a no-op handler; writes benches/record/<host>/<date>.json
	cargo build --release --locked $(FULL) --bins --examples
	"$(RELEASE_DIR)/record" $(ARGS)

lint: fmt-check mutations-check clippy deny ## formatting, clippy with warnings as errors, licences and sources

mutations-check:
	@scripts/mutations.py --check

fmt-check:
	cargo fmt --all --check

clippy: setup
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

# Advisories need a database from the network, so they are not part of this.
deny:
	@if command -v cargo-deny >/dev/null 2>&1; then \
		cargo deny --offline check bans licenses sources; \
	else \
		echo "cargo-deny is not installed: licences and sources were not checked (cargo install cargo-deny)"; \
	fi

doc: setup ## rustdoc, warnings as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

fuzz: setup ## each libFuzzer target for FUZZ_SECONDS (600); needs cargo-fuzz and a nightly toolchain
	@command -v cargo-fuzz >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	cargo run --release --locked -p assay-fuzz --bin smoke -- --seeds fuzz/corpus
	for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run --features libfuzzer "$$target" -- -max_total_time=$(FUZZ_SECONDS); \
	done

mutations: setup ## removes the engine's guards one by one: for each, a test has to fail (ARGS="cache trial" picks some)
	@scripts/mutations.py $(ARGS)

hardened: setup ## kernels under Miri, kernels and engine under address sanitizer (ARGS="miri" or "asan"); needs nightly
	@scripts/hardened.sh $(ARGS)

clean-data: ## remove ./data, the database that `make serve` made
	rm -rf -- "$(CURDIR)/data"
