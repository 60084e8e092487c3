#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Somebody flushes the maps of multipath on a standby (multipath -F). It could not serve, so it is not fit, says why, and
# challenges nobody, also when its daemon began anew meanwhile; with the maps back it is a standby as any other.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER
second=$(other "$first")
wait_for 30 "$second stands by" stands_by "$second" mail

fit_is() {
	[ "$(view "$second" mail .fit)" = "$1" ]
}

is_standby() {
	[ "$(state "$second" mail)" = standby ]
}

quiet_for_a_while() {
	wait_for 20 "$second is a standby" is_standby
	for turn in 1 2 3 4 5 6 7 8 9 10; do
		equal "the state of $second, seen $turn times" "$(state "$second" mail)" standby
		sleep 1
	done
}

wait_for 20 "the map is flushed" on "$second" multipath -F
wait_for 30 "$second is not fit" fit_is false
view "$second" mail .unfit_reason | grep -q "LUN mailstore" || fail "it does not say why: $(view "$second" mail .unfit_reason)"
quiet_for_a_while
fault restart-daemon "$second"
wait_for 30 "$second is not fit" fit_is false
quiet_for_a_while
serves "$first" mail || fail "$first does not serve any more"

on "$second" multipath
wait_for 30 "$second is fit" fit_is true
cli "$second" move mail "$second" >/dev/null 2>&1 || cli "$first" move mail "$second"
await_owner 60 mail "$second"
writes_go_on 20
verified
