#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Scenarios on machines with Debian's kernel: LIO, open-iscsi, dm-multipath. All of them, or those that are named:
#
#     tests/vm/run [NAME...]
import sys

sys.dont_write_bytecode = True

import rig as vm  # noqa: E402
from rig import TARGET, Failed, Rig, wait_for  # noqa: E402

DISK_NEXUSES = "abcd"
TABLE = "/host/build/tests/table/run_lio"


def table(node, what):
    """The table of PR cases; its own last line says how it went."""
    status, output, errors = node.try_run(f"{TABLE} {what}", 300)
    if status != 0:
        wrong = [line for line in output.split("\n") if not line.startswith(("passed", "skipped"))]
        raise Failed("\n".join(wrong) + errors)
    return output.strip().split("\n")[-1]


def four_nexuses(rig, node):
    """One session for each of four initiator names, so that one machine is four initiators."""
    portal = rig.san.addresses[0]
    for name in DISK_NEXUSES:
        node.run(f"iscsiadm -m iface -I {name} -o new &&"
                 f"iscsiadm -m iface -I {name} -o update -n iface.initiatorname -v iqn.2024-01.test.lunkeeper:{name} &&"
                 f"iscsiadm -m discovery -t st -p {portal} -I {name} >/dev/null &&"
                 f"iscsiadm -m node -T {TARGET} -p {portal} -I {name} --login", 90)
    node.run("udevadm settle --timeout=30")


def four_nexuses_end(node):
    node.run("multipath -F; killall multipathd; iscsiadm -m node -U all && iscsiadm -m node -o delete", 90)
    node.run("for name in a b c d; do iscsiadm -m iface -I $name -o delete; done; udevadm settle")


def disks(node, column):
    return node.run(f"lsscsi -g | awk '/lun1 / {{print ${column}}}'").split()


def table_disks(rig):
    node = rig.nodes["jerry"]
    four_nexuses(rig, node)
    said = [table(node, " ".join(disks(node, "(NF-1)"))), table(node, " ".join(disks(node, "NF")))]
    node.run("cat >/etc/multipath.conf; multipathd", given=vm.MULTIPATH)
    disk = f"/dev/mapper/3{rig.wwid(1)[4:]}"
    wait_for("the map of four paths", 60, lambda: node.try_run(f"udevadm settle; test -b {disk}")[0] == 0, 1)
    wait_for("its paths", 60, lambda: node.run(f"ls /sys/block/$(basename $(readlink {disk}))/slaves | wc -l").strip() == "4")
    said.append(table(node, disk))
    four_nexuses_end(node)
    return f"/dev/sdX {said[0]}; /dev/sgN {said[1]}; multipath {said[2]}"


def table_iscsi(rig):
    return table(rig.nodes["jerry"], f"iscsi://{rig.san.addresses[1]}/{TARGET}/1")


SCENARIOS = {"table-disks": table_disks, "table-iscsi": table_iscsi}


def main(wanted):
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        print(f"no such scenario: {' '.join(unknown)}; there are: {' '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    passed = failed = 0
    with Rig() as rig:
        for name, scenario in SCENARIOS.items():
            if wanted and name not in wanted:
                continue
            try:
                print(f"passed  {name}: {scenario(rig)}", flush=True)
                passed += 1
            except Failed as failure:
                print(f"FAILED  {name}: {failure}", flush=True)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
