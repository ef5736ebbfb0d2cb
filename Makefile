# debridfs: `make demo` to see it, `make test` to check it. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/target/tools
export PATH := $(TOOLS)/bin:$(PATH)

# Tests mount file systems and kill processes they started; the test programs run as root.
ifneq ($(shell id -u),0)
export CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER := sudo -E
endif

# Milliseconds that each fuzz target runs; `make test` gives each 4000.
FUZZ_MS ?= 10000

.PHONY: help setup setup-demo setup-bench demo test test-guest test-upgrade test-k8s lint advisories fuzz coverage bench soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what the tests need (Debian packages, cargo tools)
	@scripts/setup.sh test

setup-demo:
	@scripts/setup.sh demo

setup-bench:
	@scripts/setup.sh bench

demo: setup-demo ## mount a simulated account with playable films; Ctrl-C ends it and leaves nothing
	@cargo build --release --quiet --package debridfs
	@exec target/release/debridfs demo $(DEMO_ARGS)

test: setup ## everything CI runs
	@scripts/test.sh

lint: setup ## format, clippy, rustdoc, licences and sources
	@scripts/lint.sh

advisories: setup ## known faults of what is linked, by RustSec's database (needs the network; to be asked once a day)
	@cargo deny --log-level error check advisories

fuzz: setup ## every fuzz target for FUZZ_MS milliseconds each
	@FUZZ_MS=$(FUZZ_MS) scripts/fuzz.sh

# Crates whose tests are run, without `debridfs-`.
CRATES ?= measure fuse
coverage: ## lines that the tests of some crates run, as a page (CRATES="measure fuse"); no part of `make test`
	@scripts/setup.sh coverage
	@cargo llvm-cov nextest --html --output-dir target/coverage $(addprefix --package debridfs-,$(CRATES))
	@cargo llvm-cov report --summary-only
	@echo "written: target/coverage/html/index.html"

bench: setup-bench ## ratios against curl, rclone and a bare loop in one run (BENCH_ARGS=--quick: 15 min)
	@cargo build --release --package debridfs --package debridfs-bench
	@target/release/debridfs-bench $(BENCH_ARGS)

test-guest: setup ## the long tests on Debian's kernel in QEMU (CONTRIBUTING.md; 30 min)
	@scripts/test-guest.sh

test-upgrade: setup ## OLD=PROGRAM, an older build: it and this one on the same store in turn, under a reader
	@cargo build --quiet --package debridfs
	@scripts/test-upgrade.sh $(OLD) target/debug/debridfs

test-k8s: ## what readers see on a real Kubernetes (CONTRIBUTING.md; EVENTS="engine hang": these alone; 35 min)
	@cargo build --quiet --package debridfs --bin debridfs --example consumer
	@scripts/test-k8s.sh $(EVENTS)

soak: setup ## the long tests: 200 kills of each kind, 100 000 files
	@scripts/soak.sh

clean: ## remove what the build made
	@cargo clean
