#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The table of PR cases against LIO through sessions of libiscsi.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

TABLE=${LUNKEEPER%/*}/tests/table/run_lio
[ -x "$TABLE" ] || skip "needs $TABLE: make build/tests/table/run_lio"
up --no-daemons --nodes 1
four_initiators
on jerry "$TABLE" "$(url 1 1)" >"$SCRATCH/table" || {
	grep -vE '^(passed|skipped)' "$SCRATCH/table" || true
	fail "the table, through $(url 1 1)"
}
tail -n 1 "$SCRATCH/table"
