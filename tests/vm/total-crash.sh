#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 6: every node loses its power, and so does the array. The keys of before keep nobody out: the node that owned swaps its
# own, another challenges and gets no answer.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill "$first"
fault kill "$second"
fault restart-target
fault revive "$second"
await_owner 60 mail "$second"
writes_go_on
verified
fault revive "$first"
wait_for 60 "$first stands by" stands_by "$first" mail

fault kill "$first"
fault kill "$second"
fault revive "$second"
await_owner 60 mail "$second"
happened "$second" '.text | contains("an own earlier key holds")' || fail "$second did not take its own earlier key"
fault revive "$first"
wait_for 60 "$first stands by" stands_by "$first" mail
writes_go_on
equal "owners" "$(owner mail)" "$second"
verified
