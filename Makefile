# Doorbuster: plain GNU make, one file, no recursion into folders.  `make help` tells what there is.
#
# Everything built lands in build/<variant>/, so that variants live side by side:
#   make                              build/gcc/
#   CC=clang SAN=address,undefined    build/clang-address-undefined/
# A test is a program; its success is a file under build/<variant>/ok/, so make runs tests in
# parallel and repeats only those whose inputs changed.
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.DEFAULT_GOAL := all

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
COV     ?=
WERROR  ?=
MUTANT  ?=
FROM    := 1
N       := 50
comma   := ,
VARIANT := $(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(COV),-cov)$(if $(MUTANT),-mutant-$(MUTANT))
B       := build/$(VARIANT)

# ---------------------------------------------------------------------------------------- sources

# Layers, lowest first; a layer includes only what stands before it (tools/tidy checks).
SCHEMA := $(wildcard schema/*.c)
ACTORS := $(wildcard actors/*.c actors/*/*.c)
CONFIG := $(wildcard config/*.c)
BROKER := $(filter-out broker/main/%,$(wildcard broker/*.c broker/*/*.c))
LIB    := $(SCHEMA) $(ACTORS) $(CONFIG) $(BROKER)
# Programs: one folder of sources each.  A folder without a main() is no program yet.
MAIN_doorbuster := $(wildcard broker/main/*.c)
MAIN_doorctl    := $(wildcard tools/doorctl/*.c)
MAIN_doorsim    := $(wildcard tools/doorsim/*.c tools/doorsim/bench/*.c)
MAIN_paysim     := $(wildcard tools/paysim/*.c)
MAIN_openapi    := $(wildcard tools/openapi/*.c)
FOLDERS   := doorbuster doorctl doorsim paysim openapi
MAINS     := $(shell grep -lsw '^int main' broker/main/*.c tools/*/*.c)
PROGRAMS  := $(foreach p,$(FOLDERS),$(if $(filter $(MAINS),$(MAIN_$(p))),$(p)))
INSTALLED := $(filter-out openapi,$(PROGRAMS))
# What tests and doorsim share: helpers, the simulator; tests also reach into the programs' parts.
TESTLIB := $(wildcard tests/lib/*.c tests/sim/*.c)
PARTS   := $(filter-out $(MAINS),$(foreach p,$(FOLDERS),$(MAIN_$(p))))
# Files that travel inside the programs; broker/assets.h finds them by these names.
ASSETS := $(sort $(wildcard schema/sql/*.sql broker/redis/*.lua broker/pg/*.sql docs/openapi.json))

UNIT     := $(patsubst %.c,%,$(wildcard tests/unit/test_*.c tests/unit/*/test_*.c))
TRACE    := $(patsubst %.c,%,$(wildcard tests/trace/test_*.c))
CONTRACT := $(patsubst %.c,%,$(wildcard tests/contract/test_*.c))
E2E_C    := $(patsubst %.c,%,$(wildcard tests/e2e/test_*.c))
E2E_SH   := $(sort $(filter-out %.c %.h %.md %.txt,$(wildcard tests/e2e/*.sh tests/e2e/test_*)))
FUZZERS  := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
SOURCES  := $(LIB) $(TESTLIB) $(foreach p,$(FOLDERS),$(MAIN_$(p))) \
            $(patsubst %,%.c,$(UNIT) $(TRACE) $(CONTRACT) $(E2E_C)) $(wildcard tests/fuzz/*.c)
DEFS     := $(wildcard schema/*.def config/*.def)
SCRIPTS  := $(filter-out %.c %.h,$(wildcard tools/* .ci/run tests/*/*.sh))
MAN      := $(wildcard docs/man/*.1)
HEADERS  := $(wildcard schema/*.h actors/*.h actors/*/*.h config/*.h broker/*.h broker/*/*.h \
            tests/*/*.h tests/*/*/*.h tools/*/*.h tools/*/*/*.h)

# ------------------------------------------------------------------------------------------ flags

PACKAGES := libzmq libczmq hiredis libpq msgpack libevent libevent_pthreads jansson libsodium \
            libcurl libsystemd lua5.1 cmocka
PKG_CFLAGS := $(patsubst -I%,-isystem%,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wcast-qual -Wwrite-strings
CFLAGS ?= -O2 -g -fno-omit-frame-pointer $(if $(SAN)$(COV),,-D_FORTIFY_SOURCE=2)
BASE_CPPFLAGS := -D_GNU_SOURCE -I. $(PKG_CFLAGS) $(if $(MUTANT),-DMUTANT_$(MUTANT)=1)
BASE_CFLAGS   := -std=c11 -pthread $(WARN) $(if $(WERROR),-Werror)
VARIANT_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) $(if $(COV),--coverage)
# --as-needed: every program names all libraries and keeps those it uses.
BASE_LIBS     := -Wl,--as-needed $(PKG_LIBS) -lm -pthread

# One short line per command; V=1 shows the commands themselves.
Q = $(if $(V),,@echo '$(1)' $(patsubst $(B)/%,%,$(2));)

OBJ = $(patsubst %.c,$(B)/%.o,$(1))

.PHONY: all help deps check check-first check-last check-totals quick quick-first quick-totals unit \
        trace contract e2e sims sims-summary sims-totals sim test fuzz fuzzers run demo bench bench-curves openapi openapi-check lint fmt \
        fmt-check tidy print-sources install clean

all: $(B)/libdoorbuster.a $(PROGRAMS:%=$(B)/%)

# ---------------------------------------------------------------------------------------- objects

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call Q,CC  ,$<)$(CC) $(CPPFLAGS) $(BASE_CPPFLAGS) $(CFLAGS) $(BASE_CFLAGS) $(VARIANT_FLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c
	$(call Q,CC  ,$<)$(CC) $(CPPFLAGS) $(BASE_CPPFLAGS) $(CFLAGS) $(BASE_CFLAGS) $(VARIANT_FLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/assets.c: tools/embed $(ASSETS) $(B)/gen/assets.list
	@mkdir -p $(@D)
	$(call Q,EMBED,$@)tools/embed $(if $(MUTANT),--without $(MUTANT)) $(ASSETS) > $@

# A list file changes only when its content does: a source that went away remakes its archive.
LIST_assets := $(ASSETS)
LIST_lib    := $(LIB)
LIST_tests  := $(TESTLIB) $(PARTS)
define LIST
ifneq ($$(strip $$(file <$(B)/gen/$(1).list)),$$(strip $(1): $$(LIST_$(1))))
$$(shell mkdir -p $(B)/gen)
$$(file >$(B)/gen/$(1).list,$$(strip $(1): $$(LIST_$(1))))
endif
$(B)/gen/$(1).list: ;
endef
ifneq ($(filter-out help clean deps fmt tidy print-sources,$(or $(MAKECMDGOALS),all)),)
$(foreach l,assets lib tests,$(eval $(call LIST,$(l))))
endif

# Archives, so that each program takes only the objects it refers to.
$(B)/libdoorbuster.a: $(call OBJ,$(LIB)) $(B)/gen/assets.o $(B)/gen/lib.list
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)
$(B)/libtests.a: $(call OBJ,$(TESTLIB) $(PARTS)) $(B)/gen/tests.list
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

LINK = $(call Q,LINK,$@)$(CC) $(CFLAGS) $(VARIANT_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
       -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(BASE_LIBS) $(LDLIBS)

define PROGRAM
$$(B)/$(1): $$(call OBJ,$$(MAIN_$(1))) $(if $(filter doorsim,$(1)),$$(B)/libtests.a) $$(B)/libdoorbuster.a
	$$(LINK)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM,$(p))))

TEST_PROGRAMS := $(patsubst %,$(B)/%,$(UNIT) $(TRACE) $(CONTRACT) $(E2E_C))
$(TEST_PROGRAMS): $(B)/%: $(B)/%.o $(B)/libtests.a $(B)/libdoorbuster.a
	$(LINK)

# ------------------------------------------------------------------------------------------ tests

# tools/attempt BUILD NAME COMMAND…: runs it with its output in BUILD/log/NAME.log, counts what
# passed and failed in it, prints one line (all of the output when it failed, or with V=1).
ATTEMPT = @BUILD=$(B) tools/attempt $(B)
DONE    = @mkdir -p $(@D) && touch $@
# Contract and end-to-end tests each get a private PostgreSQL and Redis (PGHOST, REDIS_SOCKET, …
# in the environment, the stack's folder in STACK), wiped afterwards.
STACKED = tools/stack run --fast --wipe $(B)/stack/$* --
STORIES := $(wildcard tests/trace/*.txt tests/trace/*/*)
# Scripts and programs that tests start besides their own.
TEST_HELPERS := $(wildcard tests/lib/* tests/e2e/lib/*)
PAYSIM := $(if $(filter paysim,$(PROGRAMS)),$(B)/paysim)
SEEDS   := $(if $(wildcard tests/sim/*.c),$(shell seq $(FROM) $(N)))

# The names under which tests are reported; each has its ok file.
short = $(patsubst tests/%,%,$(1))
UNIT_NAMES     := $(call short,$(UNIT))
TRACE_NAMES    := $(call short,$(TRACE))
CONTRACT_NAMES := $(call short,$(CONTRACT))
E2E_C_NAMES    := $(call short,$(E2E_C))
E2E_SH_NAMES   := $(call short,$(E2E_SH))
SCRIPT_NAMES   := $(call short,$(wildcard tests/stack/test_*.sh tests/tools/test_*.sh))
SIM_NAMES      := $(SEEDS:%=sim/seed-%)
MUTANT_NAMES   := $(call short,$(wildcard tests/sim/test_*.sh))
FUZZ_NAMES     := $(FUZZERS:%=fuzz/%)
STATIC_NAMES   := static/tidy static/format $(if $(MAIN_openapi),static/openapi)
QUICK_NAMES    := $(UNIT_NAMES) $(TRACE_NAMES) $(CONTRACT_NAMES)
E2E_NAMES      := $(E2E_C_NAMES) $(E2E_SH_NAMES)
FIRST_NAMES    := $(STATIC_NAMES) $(QUICK_NAMES) $(SCRIPT_NAMES) $(SIM_NAMES) \
                  $(MUTANT_NAMES) $(FUZZ_NAMES)

ok = $(patsubst %,$(B)/ok/%.ok,$(1))

$(call ok,$(UNIT_NAMES)): $(B)/ok/%.ok: $(B)/tests/% tools/attempt
	$(ATTEMPT) $* $<
	$(DONE)
$(call ok,$(TRACE_NAMES)): $(B)/ok/%.ok: $(B)/tests/% tools/attempt $(STORIES)
	$(ATTEMPT) $* $<
	$(DONE)
$(call ok,$(CONTRACT_NAMES)): $(B)/ok/%.ok: $(B)/tests/% tools/attempt tools/stack $(PAYSIM)
	$(ATTEMPT) $* $(STACKED) $<
	$(DONE)
$(call ok,$(E2E_C_NAMES)): $(B)/ok/%.ok: $(B)/tests/% tools/attempt tools/stack $(PROGRAMS:%=$(B)/%)
	$(ATTEMPT) $* $(STACKED) $<
	$(DONE)
$(call ok,$(E2E_SH_NAMES)): $(B)/ok/%.ok: tests/% tools/attempt tools/stack $(PROGRAMS:%=$(B)/%) $(TEST_HELPERS)
	$(ATTEMPT) $* $(STACKED) $<
	$(DONE)
$(call ok,e2e/test_deploy.sh): docs/operations.md $(shell find deploy -type f)
# Tests that build a program of their own.
BUILDING := $(call ok,e2e/test_actor_crash.sh e2e/test_versions.sh)
$(BUILDING): export MUTANT_CC := $(CC)
$(BUILDING): export MUTANT_FLAGS := $(CFLAGS) $(BASE_CPPFLAGS) -std=c11 -pthread $(VARIANT_FLAGS)
$(BUILDING): export MUTANT_LIBS := $(PKG_LIBS) -lm
$(call ok,e2e/test_docs.sh): README.md CONTRIBUTING.md $(wildcard docs/*.md) tools/api-tables tools/demo-sale
$(call ok,$(SCRIPT_NAMES)): $(B)/ok/%.ok: tests/% $(addprefix tools/,attempt summary embed tidy stack)
	$(ATTEMPT) $* $<
	$(DONE)
$(call ok,tools/test_tools.sh): tests/e2e/test_netns.sh
$(call ok,$(SIM_NAMES)): $(B)/ok/sim/seed-%.ok: $(B)/doorsim tools/attempt
	$(ATTEMPT) sim/seed-$* $(B)/doorsim sim --seed $* || { echo "      make sim SEED=$*"; false; }
	$(DONE)
$(call ok,$(MUTANT_NAMES)): $(B)/ok/%.ok: tests/% $(B)/doorsim $(wildcard tests/sim/*.txt) tools/attempt tools/embed
	@CC='$(CC)' FLAGS='$(CFLAGS) $(BASE_CPPFLAGS) -std=c11 -pthread $(VARIANT_FLAGS)' \
	    LIBS='$(PKG_LIBS) -lm' BUILD=$(B) tools/attempt $(B) $* $<
	$(DONE)
$(call ok,sim/test_mutants.sh): $(patsubst %,$(B)/%,$(UNIT) $(CONTRACT)) tools/stack
$(call ok,sim/test_mutants.sh): export TEST_TIMEOUT := 1200
$(B)/ok/static/tidy.ok: tools/tidy Makefile $(SOURCES) $(HEADERS) $(DEFS) $(SCRIPTS)
	$(ATTEMPT) static/tidy tools/tidy
	$(DONE)
$(B)/ok/static/format.ok: .clang-format $(SOURCES) $(HEADERS)
	$(ATTEMPT) static/format $(FORMAT) --dry-run -Werror $(SOURCES) $(HEADERS)
	$(DONE)
$(B)/ok/static/openapi.ok: $(B)/openapi docs/openapi.json
	$(ATTEMPT) static/openapi $(SHELL) -c '$(B)/openapi | diff -u docs/openapi.json - || \
	    { echo "docs/openapi.json differs from schema/: make openapi"; exit 1; }'
	$(DONE)

# The outer `make check` calls itself once, with -k and one job per processor: after packages were
# installed the flags are computed anew, all tests run although one fails, and the totals come last.
# End-to-end tests follow alone and one after the other, because some of them watch the clock.
# (`make -j` without a number would start everything at once.)
JOBS   = $(if $(filter-out -j,$(filter -j%,$(MAKEFLAGS))),,-j$(shell nproc))
AGAIN  = $(MAKE) --no-print-directory -k
# What make would still run was not run, because its program did not build; its old result is void.
TOTALS = rm -f $$($(AGAIN) -n $(1) 2>/dev/null | sed -n 's|.*tools/attempt $(B) \([^ ]*\).*|$(B)/log/\1.result|p'); \
         tools/summary $(B) $(2)
check: deps
	+@$(AGAIN) $(JOBS) check-first; $(AGAIN) check-last; $(AGAIN) check-totals
check-first: all $(call ok,$(FIRST_NAMES))
check-last: $(call ok,$(E2E_NAMES))
ifneq ($(filter check-last,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
# Beside another goal (make -j2 all quick) two makes would build the same files at once.
ifneq ($(and $(filter check quick e2e sims-summary,$(MAKECMDGOALS)),$(word 2,$(MAKECMDGOALS))),)
.NOTPARALLEL:
endif
check-totals:
	+@$(call TOTALS,check-first check-last,$(FIRST_NAMES) $(E2E_NAMES))
quick: deps
	+@$(AGAIN) $(JOBS) quick-first; $(AGAIN) quick-totals
quick-first: $(call ok,$(QUICK_NAMES))
quick-totals:
	+@$(call TOTALS,quick-first,$(QUICK_NAMES))
sims-summary: deps
	+@$(AGAIN) $(JOBS) sims; $(AGAIN) sims-totals
sims-totals:
	+@$(call TOTALS,sims,$(SIM_NAMES))

unit: $(call ok,$(UNIT_NAMES))
trace: $(call ok,$(TRACE_NAMES))
contract: $(call ok,$(CONTRACT_NAMES))
e2e: deps
	+@$(AGAIN) $(JOBS) all $(E2E_C:%=$(B)/%) && $(AGAIN) check-last
sims: $(call ok,$(SIM_NAMES))
tidy: ; @tools/tidy
print-sources: ; @echo $(SOURCES)
fmt-check: $(B)/ok/static/format.ok
openapi-check: $(B)/ok/static/openapi.ok

# One test, always run, its output shown: make test T=unit/test_wire
test:
	@rm -f $(B)/ok/$(T).ok
	+@SHOW=1 $(MAKE) --no-print-directory $(B)/ok/$(T).ok

sim: $(B)/doorsim
	$< sim --seed $(or $(SEED),1) --trace

# Dies at every crash point of broker/crash.def.  The runs mostly wait, so several go side by side.
CRASH_PARTS := 1 2 3 4 5 6
CRASH_HITS  ?= 2
CRASH_NAMES := $(CRASH_PARTS:%=crash/part-%)
.PHONY: $(CRASH_NAMES) crash crash-all crash-totals
$(CRASH_NAMES): crash/part-%: all
	@TEST_TIMEOUT=1800 BUILD=$(B) tools/attempt $(B) $@ $(B)/doorsim crash --hits $(CRASH_HITS) \
	    --part $* --parts $(words $(CRASH_PARTS))
crash-all: $(CRASH_NAMES)
crash: deps
	+@$(AGAIN) $(JOBS) all && $(AGAIN) -j$(words $(CRASH_PARTS)) crash-all; $(AGAIN) crash-totals
crash-totals:
	+@$(call TOTALS,all,$(CRASH_NAMES))

# Breaks everything around a sale; consecutive seeds go through every fault of tools/doorsim/chaos.def.
CHAOS_SEEDS ?= 20
CHAOS_JOBS  ?= 3
CHAOS_NAMES := $(addprefix chaos/seed-,$(shell seq $(CHAOS_SEEDS)))
.PHONY: $(CHAOS_NAMES) chaos chaos-all chaos-totals
$(CHAOS_NAMES): chaos/seed-%: all
	@BUILD=$(B) tools/attempt $(B) $@ $(B)/doorsim chaos --seed $*
chaos-all: $(CHAOS_NAMES)
chaos: deps
	+@$(AGAIN) $(JOBS) all && $(AGAIN) -j$(CHAOS_JOBS) chaos-all; $(AGAIN) chaos-totals
chaos-totals:
	+@$(call TOTALS,all,$(CHAOS_NAMES))

# Thousands of slow clients, 20,000 connections; `make check` has hundreds of them.
.PHONY: slow
slow: all
	@SLOW_FULL=1 TEST_TIMEOUT=600 BUILD=$(B) SHOW=1 tools/attempt $(B) slow/full \
	    tools/stack run --fast --wipe $(B)/stack/slow -- tests/e2e/test_slow.sh

# -------------------------------------------------------------------------------------------- fuzz

# Always clang, in a folder of its own.  Inputs found so far stay in build/fuzz/corpus/.
F := build/fuzz
FUZZ_CC    := clang
FUZZ_FLAGS := -O1 -g -std=c11 -pthread -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_TIME  ?= 10
$(F)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call Q,FUZZCC,$<)$(FUZZ_CC) $(BASE_CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
$(F)/gen/assets.o: $(B)/gen/assets.c
	@mkdir -p $(@D)
	$(call Q,FUZZCC,$<)$(FUZZ_CC) $(BASE_CPPFLAGS) $(FUZZ_FLAGS) -c -o $@ $<
$(F)/libdoorbuster.a: $(LIB:%.c=$(F)/%.o) $(F)/gen/assets.o $(B)/gen/lib.list
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)
FUZZ_PROGRAMS := $(FUZZERS:%=$(F)/fuzz_%)
$(FUZZ_PROGRAMS): $(F)/fuzz_%: $(F)/tests/fuzz/fuzz_%.o $(F)/libdoorbuster.a
	$(call Q,LINK,$@)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(BASE_LIBS)
fuzzers: $(FUZZ_PROGRAMS)

# make check walks the same inputs every time, so that a red run can be repeated; make fuzz new ones.
FUZZ_CHECK = -seed=1 -runs=$(if $(filter config,$(1)),20000,300000)
FUZZ_RUN = mkdir -p $(F)/corpus/$(1) && $(F)/fuzz_$(1) $(3) -max_total_time=$(2) -timeout=10 \
    -artifact_prefix=$(F)/found-$(1)- $(F)/corpus/$(1) $(wildcard tests/fuzz/corpus/$(1))
$(call ok,$(FUZZ_NAMES)): $(B)/ok/fuzz/%.ok: $(F)/fuzz_%
	$(ATTEMPT) fuzz/$* $(SHELL) -c '$(call FUZZ_RUN,$*,$(FUZZ_TIME),$(FUZZ_CHECK))'
	$(DONE)
# make fuzz FUZZ=wire TIME=60
fuzz: $(F)/fuzz_$(FUZZ)
	$(call FUZZ_RUN,$(FUZZ),$(or $(TIME),60))

# --------------------------------------------------------------------------------- running, habits

deps:
	@tools/deps
PORT ?= 8080
run demo bench bench-curves: deps
	+@$(MAKE) --no-print-directory $(JOBS) all
	@BUILD=$(B) PORT=$(PORT) tools/$@

openapi: $(B)/openapi
	@mkdir -p docs
	$< > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

FORMAT := clang-format
fmt:
	$(FORMAT) -i $(SOURCES) $(HEADERS)
LINT_FLAGS = $(BASE_CPPFLAGS) -std=c11
lint: $(SOURCES:%=$(B)/lint/%.ok)
$(B)/lint/%.ok: % .clang-tidy $(HEADERS) $(DEFS)
	@clang-tidy --quiet $< -- $(LINT_FLAGS) 2>/dev/null
	@mkdir -p $(@D) && touch $@

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/doorbuster
	install -m 755 $(INSTALLED:%=$(B)/%) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 LICENSE $(wildcard README.md config/*.cfg config/*.zpl) \
	    $(DESTDIR)$(PREFIX)/share/doc/doorbuster/
	install -d $(DESTDIR)$(PREFIX)/share/doorbuster
	cp -R deploy $(DESTDIR)$(PREFIX)/share/doorbuster/
	$(if $(MAN),install -d $(DESTDIR)$(PREFIX)/share/man/man1)
	$(if $(MAN),install -m 644 $(MAN) $(DESTDIR)$(PREFIX)/share/man/man1/)
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions
	$(B)/doorctl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/doorctl
	$(B)/doorctl completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_doorctl

clean:
	rm -rf build

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

#: Doorbuster.  What to type:
#:
#:   make run [PORT=8080]        start everything with a demo sale; Ctrl-C stops it
#:   make demo                   a sale of 1,000 units, 20,000 shoppers, and the account
#:   make bench                  everything a second, beside its ceilings, and the targets
#:   make bench-curves           the same by lots, shards, connections, accounts, batches
#:   make check                  every test; the last line is "N passed, N failed"
#:
#:   make                        build into build/<variant>/
#:   make quick                  unit, trace and contract tests
#:   make unit | trace | contract | e2e
#:   make test T=unit/test_wire  one test, its output shown
#:   make sims N=200             simulate seeds 1 to N
#:   make sim SEED=42            one simulated run, told line by line
#:   make chaos                  break everything around a sale, every fault once and more
#:   make slow                   thousands of slow clients, and 20,000 connections
#:   make crash                  die at every crash point, start again, judge
#:   make fuzz FUZZ=wire TIME=60 throw bytes at a decoder
#:   make fmt                    format all sources        make tidy   layers, banned calls, lengths
#:   make lint                   clang-tidy                make openapi  write docs/openapi.json anew
#:   make deps                   install missing Debian packages
#:   make install PREFIX=/usr DESTDIR=pkg
#:   make clean
#:
#: Variants, each in its own folder: CC=clang  SAN=address,undefined  COV=1.  Also WERROR=1
#: (warnings stop the build), V=1 (show the commands), SHOW=1 (show
#: the output of tests that pass), FUZZ_TIME=10 (seconds for
#: each fuzzer in `make check`), N=50 (seeds), TEST_TIMEOUT=300 (seconds for one test).

-include $(shell test -d $(B) && find $(B) -name '*.d') $(shell test -d $(F) && find $(F) -name '*.d')
