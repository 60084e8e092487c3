# LunKeeper. `make` builds, `make check` sets up and passes every test, `make demo` shows what it is for.
# The long list of targets is in `make help`.

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
LIBDIR     ?= $(PREFIX)/lib
MANDIR     ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
DESTDIR    ?=
BUILD      ?= build
CC         ?= gcc
PKG_CONFIG ?= pkg-config

VERSION  := 0.1
PACKAGES := libuv jansson libconfuse libiscsi sqlite3 libsystemd

# -iquote, not -I: our scsi/ and iscsi/ must not shadow the system's <scsi/...> and <iscsi/...>.
WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wconversion
ifdef CI
WARNINGS += -Werror
endif
HARDENING := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
OPTIMISE  ?= -O2 -g
override CPPFLAGS += -iquote . -D_GNU_SOURCE -DLUNKEEPER_VERSION='"$(VERSION)"'
override CFLAGS   += -std=gnu11 $(OPTIMISE) $(WARNINGS) $(SANITIZE) $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
override LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANITIZE)
LDLIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lsgutils2 -lpthread
ifeq ($(SANITIZE),)
override CFLAGS += $(HARDENING)
endif
ifeq ($(V),)
Q := @
say = @printf '  %-7s %s\n'
else
say = @:
endif

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
# Programs' main files live beside the library that they use; everything else in a folder is its library.
MAINS    := $(BUILD)/cluster/lunkeeperd.o $(BUILD)/tools/lunkeeper.o
SCSI     := $(call objects,scsi)
ISCSI    := $(call objects,iscsi)
CLUSTER  := $(filter-out $(MAINS),$(call objects,cluster))
TOOLS    := $(filter-out $(MAINS),$(call objects,tools))
LIBS     := $(BUILD)/libtools.a $(BUILD)/libcluster.a $(BUILD)/libiscsi_path.a $(BUILD)/libscsi_path.a

