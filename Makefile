# The two commands of the README, and the parts that they are made of.
#
#   make demo     a root filesystem, a build, and a container, each command shown before its output
#   make test     formatting, lints, all tests, and some of them on cgroup v2 alone in a virtual machine; installs what they need
#   make bench    start-up time beside bubblewrap and crun; writes benches/README.md's table
#   make bench-setup   installs the peers: runc, podman, docker, QEMU
#   make bench-all     bench-setup, every report, and then the tables and pages that show them: half an hour; REPORT=--quick tries them
#   make bench-report  process, containers and machines beside each other: REPORT=--quick ends in two minutes
#   make test-vm  (or test-vm-short, a selection)  stages, cgroups, networks and the engine on Debian's kernel with cgroup v2 alone: QEMU without acceleration, long
#   make fuzz     each fuzz target for TIME=60 seconds, or one: make fuzz TIME=3600 TARGET=dockerfile
#   make test-programs  PostgreSQL, redis and nginx from Debian's packages keep their data in volumes: minutes, and a network
#   make test-builds  Dockerfiles on Debian: servers in Python and Node, static programs in C and Rust; then under Docker too: minutes, and a network
#   make book     builds the book to target/book; `make book BOOK=serve` shows it at http://localhost:3000
#   make test-book-begin  follows the book from its first command to its last, in a fresh clone: half an hour
#   make test-book-browser  looks at every page of the built book in headless Chromium; SCREENSHOTS=DIRECTORY keeps pictures
#   make check STAGE=04  looks at your exercise of that chapter
#   make test-examples  the compose projects of the book, on Debian: minutes, and a network
#   make faults   kills, full disks, power cuts and more at every moment: hours; EVERY=20 each twentieth of them, FROM=7 from the seventh on
#   make storm    commands beside each other and deaths at any moment, for STORM=600 seconds
#   make attacks  the attack suite against mini-docker, docker and runc: writes tests/attacks/table.md; needs a dockerd that runs
#   make soak     the long tests: thousands of runs

SHELL := /bin/bash
CARGO ?= cargo
APT := DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends

# A C compiler links; a static busybox is the tests' root filesystem.
BUILD_PACKAGES := gcc libc6-dev
DEMO_PACKAGES := $(BUILD_PACKAGES) busybox-static
TEST_PACKAGES := $(DEMO_PACKAGES) shellcheck binutils xz-utils util-linux e2fsprogs uidmap strace valgrind docker-registry skopeo umoci jq iproute2 nftables mount passt slirp4netns openssl
PROGRAMS_PACKAGES := $(DEMO_PACKAGES) mmdebstrap
BUILDS_PACKAGES := $(DEMO_PACKAGES) mmdebstrap ca-certificates docker-registry docker.io
EXAMPLES_PACKAGES := $(DEMO_PACKAGES) mmdebstrap
BROWSER_PACKAGES := gcc libc6-dev chromium
PEERS_PACKAGES := runc podman docker.io docker-compose docker-registry curl iptables qemu-system-x86 util-linux lz4
FUZZ_PACKAGES := $(DEMO_PACKAGES) g++
BENCH_PACKAGES := $(DEMO_PACKAGES) bubblewrap crun hyperfine jq

.PHONY: storm attacks bench-all bench-setup bench-report packages-peers book check demo test test-programs test-book-begin test-book-browser test-builds test-examples test-vm test-vm-short fuzz fuzz-program packages-fuzz packages-browser build lint bench faults soak packages-demo packages-test packages-programs packages-builds packages-examples packages-bench

demo: packages-demo
	@$(MAKE) --no-print-directory build
	@bash tests/demo.sh

build:
	$(CARGO) build --release --locked -p mini-docker

test: packages-test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked
	tests/vm/run.sh short

# The last line of `test`: what cgroup v2 does, and no failure where Debian's packages are not to be had.
test-vm-short: packages-test
	tests/vm/run.sh short

test-vm: packages-test
	tests/vm/run.sh long

TIME ?= 60
TARGETS := $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_DICTIONARY = $(wildcard tests/fuzz/dictionaries/$*)

# cargo-fuzz wants the compiler's unstable flags, which a stable one has too. What is found in new inputs stays in target;
# an input that fails is kept in tests/fuzz/regressions.
fuzz: packages-fuzz $(addprefix fuzz-,$(or $(TARGET),$(TARGETS)))

fuzz-%: fuzz-program
	mkdir -p target/fuzz/corpus/$* tests/fuzz/regressions/$*
	MINI_DOCKER_FUZZ=$* nice -n 19 target/fuzz/x86_64-unknown-linux-gnu/release/target target/fuzz/corpus/$* \
	    tests/fuzz/corpus/$* tests/fuzz/regressions/$* -artifact_prefix=tests/fuzz/regressions/$*/ \
	    $(addprefix -dict=,$(FUZZ_DICTIONARY)) -max_total_time=$(TIME) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1

fuzz-program:
	command -v cargo-fuzz || $(CARGO) install --locked cargo-fuzz
	cp Cargo.lock tests/fuzz/libfuzzer/Cargo.lock
	cd tests/fuzz/libfuzzer && RUSTC_BOOTSTRAP=1 CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER= CARGO_TARGET_DIR=$(abspath target/fuzz) \
	    $(CARGO) fuzz build --fuzz-dir . --sanitizer none

# Kept where it is: remove it for newer packages.
PROGRAMS := target/programs.tar

$(PROGRAMS):
	mkdir -p $(@D)
	mmdebstrap --format=tar --skip=output/dev --variant=minbase --include=nginx-light,redis-server,postgresql bookworm $@.new
	mv $@.new $@

test-programs: packages-programs
	@$(MAKE) --no-print-directory $(PROGRAMS)
	MINI_DOCKER_PROGRAMS=$(abspath $(PROGRAMS)) $(CARGO) test --locked -p mini-docker --test programs -- --ignored

DEBIAN := target/debian.tar

$(DEBIAN):
	mkdir -p $(@D)
	mmdebstrap --format=tar --skip=output/dev --variant=minbase bookworm $@.new
	mv $@.new $@

test-builds: packages-builds
	@$(MAKE) --no-print-directory $(DEBIAN)
	MINI_DOCKER_DEBIAN=$(abspath $(DEBIAN)) $(CARGO) test --locked -p mini-docker --test build_programs -- --ignored

BOOK := build

book:
	command -v mdbook || $(CARGO) install --locked mdbook
	mdbook $(BOOK) book

# What a reader types at first is in begin.md; what he types then, the test types, with the programs that came of it.
BEGIN := $(abspath target/begin)

test-book-begin: packages-test
	rm -rf $(BEGIN) && git clone -q . $(BEGIN) && mkdir $(BEGIN)/home
	cd $(BEGIN) && sed -n '/^```sh$$/,/^```$$/p' book/src/begin.md | grep -v '^```' | \
	    env -i PATH="$$PATH" HOME=$(BEGIN)/home CARGO_HOME="$${CARGO_HOME:-$$HOME/.cargo}" RUSTUP_HOME="$${RUSTUP_HOME:-$$HOME/.rustup}" sh -ex
	BOOK_MACHINE=$(BEGIN) $(CARGO) test --locked -p tests --test book every_command

test-book-browser: packages-browser
	@$(MAKE) --no-print-directory book BOOK=build
	$(CARGO) test --locked -p tests --test browser -- --ignored

check:
	@$(CARGO) run -q -p check -- $(STAGE)

test-examples: packages-examples
	@$(MAKE) --no-print-directory $(DEBIAN)
	MINI_DOCKER_DEBIAN=$(abspath $(DEBIAN)) $(CARGO) test --locked -p mini-docker --test compose_examples -- --ignored

lint:
	$(CARGO) fmt --all
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: packages-bench
	@$(MAKE) --no-print-directory build
	@bash benches/startup.sh

# The peers, and a machine with Debian's kernel for clouds: packages of QEMU's are installed, the kernel is unpacked alone.
bench-setup: packages-bench packages-peers
	mkdir -p target/bench/archives/partial
	apt-get -o APT::Sandbox::User=root -o Dir::Cache::archives=$(abspath target/bench/archives) install -qy --download-only --no-install-recommends --reinstall linux-image-cloud-amd64
	for package in target/bench/archives/linux-image-*.deb; do dpkg-deb -x $$package target/bench; done

# Needs a dockerd that runs, to have docker in it.
bench-report:
	$(CARGO) build --release --locked -p mini-docker -p benches -p 'stage-*'
	$(CARGO) run --release --locked -q -p benches -- startup $(REPORT)

bench-all: bench-setup
	$(CARGO) run --release --locked -q -p benches -- all $(REPORT)

EVERY := 1

faults: packages-test
	set -o pipefail; MINI_DOCKER_FAULTS=$(EVERY) MINI_DOCKER_FAULTS_FROM=$(FROM) $(CARGO) test --locked -p mini-docker --test faults -- --nocapture | tee target/faults.txt
	@awk '/^faults: /{n = split($$0, words, ": "); split(words[n], counts, " "); injected += counts[1]; survived += counts[5]} END {print "faults: " injected " injected, " survived " survived"}' target/faults.txt

STORM ?= 600

storm: packages-test
	MINI_DOCKER_STORM=$(STORM) $(CARGO) test --locked -p mini-docker --test faults storm -- --nocapture

attacks: packages-test packages-peers
	$(CARGO) test -q --locked -p mini-docker --test attacks -- --beside

soak: packages-test
	MINI_DOCKER_SOAK=1 $(CARGO) test --release -p mini-docker --test lifecycle -- --nocapture

# Asks apt only for what is missing, so that a prepared machine needs no network. Named one by one: make looks for no
# pattern rule for a phony target.
packages-demo packages-test packages-programs packages-builds packages-examples packages-bench packages-peers packages-fuzz packages-browser: packages-%:
	@missing=$$(for p in $($(shell echo $* | tr a-z A-Z)_PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing: $$missing"; apt-get update -q >/dev/null && $(APT) $$missing >/dev/null; \
	fi
