# LunKeeper. `make demo` shows what it is for, `make check` sets up and passes every test, `make help` lists the rest.

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
LIBDIR     ?= $(PREFIX)/lib/lunkeeper
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/lunkeeper
COMPDIR    ?= $(PREFIX)/share/bash-completion/completions
SYSCONFDIR ?= /etc
UNITDIR    ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
DESTDIR    ?=
BUILD      ?= build
CC         ?= gcc
CLANG      ?= clang-19
PKG_CONFIG ?= pkg-config

VERSION  := 0.1
PACKAGES := libuv jansson libconfuse libiscsi sqlite3 libsystemd

# -iquote, not -I: our scsi/ and iscsi/ must not shadow the system's <scsi/...> and <iscsi/...>.
WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wdeclaration-after-statement
ifdef CI
WARNINGS += -Werror
endif
OPTIMISE ?= -O2 -g
# `make SANITIZE=address,undefined BUILD=build/asan ...` builds and tests with the sanitizers.
ifdef SANITIZE
PROTECT := -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
PROTECT := -fstack-protector-strong -D_FORTIFY_SOURCE=2
endif
FLAGS := -std=gnu11 -iquote . -D_GNU_SOURCE -DLUNKEEPER_VERSION='"$(VERSION)"' -DLUNKEEPER_LIBDIR='"$(LIBDIR)"' \
	 -DLUNKEEPER_SBINDIR='"$(SBINDIR)"' $(OPTIMISE) $(WARNINGS) $(PROTECT) -fPIC $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
LINK  := $(PROTECT) -pie -Wl,-z,relro,-z,now
LIBRARIES := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lsgutils2 -lpthread

ifeq ($(V),)
Q := @
say = @printf '  %-8s %s\n'
else
say = @:
endif

# --- what is built ---------------------------------------------------------------------------------------------------

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))

# Rooms: docs/architecture.md. A program's main file and the gate's plugin are in no library. The rig is a program of its
# own: nothing of it is in the others.
CLUSTER := base core config store control gate gate/nbdkit gate/dm agents group daemon
TOOLS   := cli lun check cluster
RIG     := rig rig/netns rig/vm rig/bench
DAEMON  := $(BUILD)/cluster/daemon/main.o
CLI     := $(BUILD)/tools/lunkeeper.o
RIG_MAIN := $(BUILD)/tools/rig/main.o
PLUGIN  := $(call objects,cluster/gate/plugin)
LIBS    := $(BUILD)/libtools.a $(BUILD)/libcluster.a $(BUILD)/libiscsi_path.a $(BUILD)/libscsi_path.a
PROGRAMS := $(BUILD)/lunkeeper $(BUILD)/lunkeeperd $(BUILD)/lunkeeper-gate.so $(BUILD)/lunkeeper-rig

all: $(PROGRAMS)

$(BUILD)/libscsi_path.a: $(call objects,scsi)
$(BUILD)/libiscsi_path.a: $(call objects,iscsi)
$(BUILD)/libcluster.a: $(filter-out $(DAEMON),$(foreach room,$(CLUSTER),$(call objects,cluster/$(room))))
$(BUILD)/libtools.a: $(foreach room,$(TOOLS),$(call objects,tools/$(room)))
$(BUILD)/librig.a: $(filter-out $(RIG_MAIN),$(foreach room,$(RIG),$(call objects,tools/$(room))))

$(BUILD)/%.a:
	$(say) AR $@
	$(Q)rm -f $@ && ar qcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

link = $(CC) $(LINK) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBRARIES)

$(BUILD)/lunkeeper: $(CLI) $(LIBS)
	$(say) LINK $@
	$(Q)$(link)

$(BUILD)/lunkeeper-rig: $(RIG_MAIN) $(BUILD)/librig.a $(LIBS)
	$(say) LINK $@
	$(Q)$(link)

$(BUILD)/lunkeeperd: $(DAEMON) $(BUILD)/libcluster.a $(BUILD)/libiscsi_path.a $(BUILD)/libscsi_path.a
	$(say) LINK $@
	$(Q)$(link)

$(BUILD)/lunkeeper-gate.so: $(PLUGIN) $(call objects,cluster/gate) $(BUILD)/libiscsi_path.a $(BUILD)/libscsi_path.a
	$(say) LINK $@
	$(Q)$(CC) -shared $(PROTECT) -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
		$(shell $(PKG_CONFIG) --libs libuv libiscsi) -lsgutils2 -lpthread

# --- tests that need nothing but a compiler: unit, table, simulation -------------------------------------------------

UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
$(UNIT): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/librig.a $(LIBS)
	$(say) LINK $@
	$(Q)$(link) -lcunit

TABLE := $(BUILD)/tests/table/pr_cases.o $(BUILD)/tests/table/pr_run.o
$(BUILD)/tests/table/run_tgt $(BUILD)/tests/table/run_lio: $(BUILD)/tests/table/run_%: $(BUILD)/tests/table/run_%.o \
		$(BUILD)/tests/table/path_driver.o $(BUILD)/tests/table/drive.o $(TABLE) $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
$(BUILD)/tests/table/run_path: $(BUILD)/tests/table/run_path.o $(BUILD)/tests/table/drive.o $(BUILD)/tests/table/relay.o $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
$(BUILD)/tests/table/run_fake: $(BUILD)/tests/table/run_fake.o $(BUILD)/tests/table/drive.o $(BUILD)/tests/table/fake_target.o \
		$(BUILD)/tests/table/fake_disk.o $(BUILD)/tests/sim/lun.o $(BUILD)/tests/sim/lun_pr.o $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
$(BUILD)/tests/table/run_gate_dm: $(BUILD)/tests/table/run_gate_dm.o $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
$(BUILD)/tests/table/run_speed: $(BUILD)/tests/table/run_speed.o $(BUILD)/tests/table/drive.o $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
$(BUILD)/tests/table/run_sim: $(BUILD)/tests/table/run_sim.o $(BUILD)/tests/sim/lun.o $(BUILD)/tests/sim/lun_pr.o $(TABLE) $(LIBS)
	$(say) LINK $@
	$(Q)$(link)

$(BUILD)/tests/sim/sim: $(filter-out $(BUILD)/tests/sim/mutation.o,$(call objects,tests/sim)) $(LIBS)
	$(say) LINK $@
	$(Q)$(link)

# The same simulator, around an arbiter whose rules can be taken out one by one.
MUTATED := $(patsubst %.c,$(BUILD)/mutation/%.o,$(wildcard tests/sim/*.c cluster/core/arbiter*.c))
$(BUILD)/mutation/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -DARBITER_MUTATION $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/tests/sim/mutation: $(MUTATED) $(LIBS)
	$(say) LINK $@
	$(Q)$(link)

# Pure code refers to nothing outside a short list.
PURE := $(patsubst %.c,$(BUILD)/pure/%.o,$(wildcard cluster/core/*.c scsi/*_wire.c) scsi/result.c)
$(BUILD)/pure/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fsanitize% -fno-sanitize%,$(FLAGS)) -U_FORTIFY_SOURCE -fno-stack-protector -MMD -MP -c -o $@ $<

check-purity: $(PURE)
	@tests/purity $(PURE)

UNIT_RUN ?=
check-unit: $(UNIT)
	@set -e; for t in $(UNIT); do $(UNIT_RUN) $$t >$$t.log 2>&1 || { cat $$t.log; exit 1; }; \
		printf '  %-24s %s\n' $${t##*/} "$$(awk '/asserts/ {print $$2 " assertions"}' $$t.log)"; done

check-table-sim: $(BUILD)/tests/table/run_sim
	$(BUILD)/tests/table/run_sim

# iscsi paths, and the command, against a target of the test's own.
check-path: $(BUILD)/tests/table/run_fake $(BUILD)/lunkeeper $(BUILD)/lunkeeperd
	$(BUILD)/tests/table/run_fake
	BUILD=$(BUILD) tests/table/odd_cases.sh

SCHEDULES ?= 20000
check-sim: $(BUILD)/tests/sim/sim
	$(BUILD)/tests/sim/sim --schedules $(SCHEDULES)

# make sim N=1000000 [SEED=1]
N ?= 200000
SEED ?= 1
# One program from all its sources at once, for speed; its schedules are the same.
SIM_SOURCES := $(filter-out tests/sim/mutation.c,$(wildcard tests/sim/*.c)) $(wildcard cluster/core/*.c scsi/*_wire.c) scsi/result.c
$(BUILD)/tests/sim/fast: $(SIM_SOURCES) $(wildcard tests/sim/*.h cluster/core/*.h scsi/*.h)
	@mkdir -p $(@D)
	@echo '  CC       $@'
	@$(CC) -std=gnu11 -iquote . -D_GNU_SOURCE -O3 -flto=auto -g -o $@ $(SIM_SOURCES)

sim: $(BUILD)/tests/sim/fast
	$(BUILD)/tests/sim/fast --schedules $(N) --start $(SEED)

check-mutation: $(BUILD)/tests/sim/mutation
	$(BUILD)/tests/sim/mutation --mutation

# What `make install` brings to a node, and what it does not.
check-install: all
	@tests/install

check-fast: all check-purity check-install check-unit check-path check-table-sim check-sim

# --- tests on real parts ---------------------------------------------------------------------------------------------

check-table: $(BUILD)/tests/table/run_tgt $(BUILD)/tests/table/run_path
	tests/table/tgt.sh 1 $(BUILD)/tests/table/run_tgt
	tests/table/tgt.sh 300 $(BUILD)/tests/table/run_path

check-model:
	tests/model/run

GATE_TEST := $(BUILD)/tests/rig/gate_test
$(GATE_TEST): $(BUILD)/tests/rig/gate_test.o $(BUILD)/tests/rig/gate_rig.o $(LIBS)
	$(say) LINK $@
	$(Q)$(link)
# Gate and attach on a tgtd in namespaces of its own; CASE=name for one case.
check-gate: $(BUILD)/lunkeeper-gate.so $(GATE_TEST)
	LUNKEEPER_GATE=$(abspath $(BUILD)/lunkeeper-gate.so) $(GATE_TEST) $(CASE)
	LUNKEEPER_GATE_USER=nobody LUNKEEPER_GATE=$(abspath $(BUILD)/lunkeeper-gate.so) $(GATE_TEST) $(or $(CASE),service daemon-restart gate-killed)

# The scripts of etc/services, in mount namespaces of their own, and the units, under a systemd of their own.
check-services: all
	tests/services/filesystem
	tests/systemd/units
	tests/systemd/shutdown

check-rig: all
	tests/rig/run $(SCENARIOS)

# Machines with Debian's kernel under QEMU: LIO, open-iscsi, dm-multipath. SCENARIOS="name ..." for some.
check-vm:
	tools/setup vm
	$(MAKE) --no-print-directory all $(BUILD)/tests/table/run_lio $(BUILD)/tests/table/run_gate_dm
	tests/vm/run $(SCENARIOS)

check-lint:
	tests/lint

# A test asks for more memory than there is, and wants no for an answer.
check-asan:
	ASAN_OPTIONS=allocator_may_return_null=1 $(MAKE) SANITIZE=address,undefined OPTIMISE='-O1 -g' BUILD=$(BUILD)/asan SCHEDULES=2000 \
		check-unit check-path check-table-sim check-table check-sim

# valgrind 3.19 knows no pidfd_open(), on which the rig's agent waits, and what the starter begins under it dies at its execve().
check-valgrind: $(UNIT)
	$(MAKE) check-unit UNIT='$(filter-out %/test_rig_agent %/test_run %/test_agent %/test_service_host %/test_multipathd,$(UNIT))' UNIT_RUN='valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect'

# Fuzz targets: every parser of bytes from outside. make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 5
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZED := $(wildcard scsi/*.c iscsi/*.c) $(filter-out cluster/daemon/main.c,$(foreach room,$(CLUSTER),$(wildcard cluster/$(room)/*.c)))
FUZZ_OBJECTS := $(patsubst %.c,$(BUILD)/fuzz/objects/%.o,$(FUZZED))
FUZZ_FLAGS := -std=gnu11 -iquote . -D_GNU_SOURCE -DLUNKEEPER_VERSION='"$(VERSION)"' -DLUNKEEPER_LIBDIR='"$(LIBDIR)"' \
	-DLUNKEEPER_SBINDIR='"$(SBINDIR)"' -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
$(BUILD)/fuzz/objects/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/libfuzzed.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && ar qcs $@ $^
$(FUZZ): $(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/libfuzzed.a
	$(say) FUZZ $@
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(BUILD)/fuzz/libfuzzed.a $(LIBRARIES)
fuzz: $(FUZZ)
	@tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ)

# Everything, with its set-up. What CI runs.
check:
	@tools/setup check
	@tests/check $(STAGES)

# Minimal roots of Debian 12 and 13, in which the README's commands run. check-fresh-short is a stage of `make check`.
RELEASES ?= bookworm trixie
check-fresh:
	@tools/setup check
	tests/fresh $(RELEASES)
check-fresh-short:
	tests/fresh --short $(RELEASES)

# --- seeing and measuring --------------------------------------------------------------------------------------------

setup:
	@tools/setup

demo: setup
	@$(MAKE) --no-print-directory all
	@$(BUILD)/lunkeeper-rig demo $(DEMO)

# The same on virtual machines: LIO, open-iscsi, dm-multipath.
demo-vm:
	@tools/setup vm
	@$(MAKE) --no-print-directory all
	@$(BUILD)/lunkeeper-rig demo --kind vm $(DEMO)

campaign-vm:
	@tools/setup vm
	@$(MAKE) --no-print-directory all
	$(BUILD)/lunkeeper-rig campaign --kind vm $(if $(filter command%,$(origin N)),$(N),30)

campaign: setup all
	$(BUILD)/lunkeeper-rig campaign $(if $(filter command%,$(origin N)),$(N),100)

bench: setup all
	$(BUILD)/lunkeeper-rig bench $(BENCH)

# Beside Pacemaker, on machines with Debian's kernel; about half an hour.
bench-vm:
	tools/setup vm
	$(MAKE) --no-print-directory all
	tests/vm/bench --json $(BUILD)/bench-vm.json --markdown $(BUILD)/bench-vm.md $(BENCH)

# --- installing ------------------------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBDIR)/services $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 \
		$(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DOCDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(COMPDIR) \
		$(DESTDIR)$(SYSCONFDIR)/lunkeeper
	install -m 755 $(BUILD)/lunkeeper $(BUILD)/lunkeeperd $(DESTDIR)$(SBINDIR)
	install -m 644 $(BUILD)/lunkeeper-gate.so $(DESTDIR)$(LIBDIR)
	install -m 755 $(filter-out $(RIG_SERVICES),$(wildcard etc/services/*)) $(DESTDIR)$(LIBDIR)/services
	for n in 1 5 8; do for m in $(filter-out $(RIG_PAGES),$(wildcard docs/man/*)); do \
		case $$m in *.$$n) install -m 644 $$m $(DESTDIR)$(MANDIR)/man$$n ;; esac; done; done
	install -m 644 README.md docs/*.md $(DESTDIR)$(DOCDIR)
	install -m 644 etc/lunkeeper.conf.example $(DESTDIR)$(SYSCONFDIR)/lunkeeper/lunkeeper.conf.example
	for u in lunkeeperd lunkeeper-starter; do \
		sed 's,@SBINDIR@,$(SBINDIR),' etc/$$u.service.in >$(DESTDIR)$(UNITDIR)/$$u.service || exit; done
	install -m 644 etc/lunkeeper-starter.socket $(DESTDIR)$(UNITDIR)
	install -d $(DESTDIR)$(SYSUSERSDIR)
	install -m 644 etc/lunkeeper.sysusers $(DESTDIR)$(SYSUSERSDIR)/lunkeeper.conf
	[ -n "$(DESTDIR)" ] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers $(SYSUSERSDIR)/lunkeeper.conf
	install -m 644 etc/lunkeeper.bash-completion $(DESTDIR)$(COMPDIR)/lunkeeper

# What a node of a cluster has no use for: the rig, the services that it measures by, its machines' files.
RIG_SERVICES := etc/services/server etc/services/writer
RIG_PAGES := docs/man/lunkeeper-rig.1
install-rig: install
	install -d $(DESTDIR)$(LIBDIR)/vm
	install -m 755 $(BUILD)/lunkeeper-rig $(DESTDIR)$(SBINDIR)
	install -m 755 $(RIG_SERVICES) $(DESTDIR)$(LIBDIR)/services
	install -m 755 tools/rig/vm/image tools/rig/vm/init tools/setup $(DESTDIR)$(LIBDIR)/vm
	install -m 644 $(RIG_PAGES) $(DESTDIR)$(MANDIR)/man1

clean:
	rm -rf $(BUILD)

help:
	@printf '%s\n' \
	  'make                  build lunkeeper, lunkeeperd, the gate and the rig' \
	  'make demo             set up, and show a failover on a cluster of two nodes on this machine' \
	  'make demo-vm          the same on virtual machines with a real kernel: LIO, open-iscsi, dm-multipath' \
	  'make check            set up, and pass every test (root); STAGES="name ..." for some' \
	  'make check-fresh      the same on new machines: minimal roots of Debian 12 and 13' \
	  'make check-fast       unit, table and simulation tests: no root, no network' \
	  'make check-path       iscsi paths against a target that says odd things' \
	  'make check-table      the table of PR cases, and iscsi paths, against tgt' \
	  'make check-rig        scenarios on a cluster on this machine; SCENARIOS="name ..." for some' \
	  'make check-services   the scripts and units that come with it, on real mounts and systemd (root)' \
	  'make check-vm         the table and scenarios on machines with a real kernel, under QEMU' \
	  'make check-model      the protocol, exhaustively, by Spin' \
	  'make check-mutation   every rule of the arbiter taken out in turn must be noticed' \
	  'make check-asan       with address and undefined-behaviour sanitizers' \
	  'make check-valgrind   unit tests under valgrind' \
	  'make check-lint       formatting, cppcheck, rooms, man pages, scripts' \
	  'make fuzz             every parser, FUZZ_SECONDS each' \
	  'make sim N=1000000    as many simulated schedules as one likes' \
	  'make campaign N=100   consecutive failovers, every acknowledged write checked' \
	  'make campaign-vm N=30 the same on virtual machines' \
	  'make bench            figures, as ratios against a baseline in the same run' \
	  'make bench-vm         failovers beside Pacemaker and fence_scsi, on machines with a real kernel' \
	  'make install          DESTDIR=, PREFIX=' \
	  'make install-rig      the same, and the rig'

# Every target whose name is a word.
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' Makefile)
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
