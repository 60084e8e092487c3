# SPDX-License-Identifier: GPL-2.0-or-later
#
# Taking over all LUNs of a node that has stopped: by LunKeeper, from its decision until it owns them all, beside one run of
# Debian's fence_scsi with the same LUNs. Every node has two paths to each, as a map of dm-multipath; fence_scsi is measured
# with the maps, and with one path of each.
import json
import time

from bench_rig import LUNKEEPER_THERE, Bench, Failed, wait_for

KEYS = {"jerry": "1ead0000", "tom": "1ead0001"}
LIMIT_SECONDS = 900


def configuration(bench):
    text = 'cluster = "bench"\nnode "jerry" { id = 1 }\nnode "tom" { id = 2 }\n'
    for number, device in enumerate(bench.devices, 1):
        text += f'lun "lun{number}" {{ device = "{device}" wwid = "{bench.wwid(device)}" }}\n'
    luns = ", ".join(f'"lun{number}"' for number in range(1, bench.luns + 1))
    return text + f'service "all" {{ nodes = {{ "jerry", "tom" }} luns = {{ {luns} }} }}\n'


def group(node):
    status, output, _ = node.try_run(f"{LUNKEEPER_THERE} status --json", 120)
    return json.loads(output)["groups"][0] if status == 0 else {}


def owns(node):
    found = group(node)
    return found.get("state") == "owner" and found.get("members_owned") == len(found["luns"]) and found.get("gate") != "held"


def moments(node, since):
    """When its state changed, by what it changed to; the last time counts."""
    at = {}
    for line in node.run(f"{LUNKEEPER_THERE} events --json --since {since} --limit 1000", 120).splitlines():
        event = json.loads(line)
        if event["kind"] == "state":
            at[event["text"].split(" -> ")[1].split(":")[0]] = event["mono_ms"]
    return at


def lunkeeper(bench, count):
    """The owner is frozen, the other takes all, and when the first goes on it is a standby: then it is the other's turn."""
    bench.clear_reservations()
    for node in bench.nodes.values():
        node.run("mkdir -p /etc/lunkeeper; cat >/etc/lunkeeper/lunkeeper.conf; rm -rf /var/lib/lunkeeper", given=configuration(bench))
        node.run(f"setsid /usr/local/bin/lunkeeperd --node {node.name} </dev/null >>/var/log/lunkeeperd.log 2>&1 &")
    took = []
    owner = wait_for("an owner of all LUNs", LIMIT_SECONDS, lambda: next(filter(owns, bench.nodes.values()), None), 2)
    for _ in range(count):
        next_owner = bench.other(owner)
        wait_for(f"{next_owner.name} is a standby", LIMIT_SECONDS, lambda: group(next_owner).get("state") == "standby", 2)
        # A standby has read every LUN once within member_factor x D, which is 10 s.
        time.sleep(15)
        since = json.loads(next_owner.run(f"{LUNKEEPER_THERE} events --json --limit 1"))["id"]
        owner.fault("stop")
        try:
            wait_for(f"{next_owner.name} owns all LUNs", LIMIT_SECONDS, lambda: owns(next_owner), 1)
        finally:
            owner.fault("cont")
        at = moments(next_owner, since)
        took.append(at["owner"] - at["seizing"])
        bench.say(f"LunKeeper: {took[-1]} ms for {bench.luns} LUNs")
        owner = next_owner
    for node in bench.nodes.values():
        node.run("pid=$(pgrep -x lunkeeperd) && kill -TERM $pid; while pgrep -x lunkeeperd; do sleep 0.2; done", 300)
    return took


def disks(node):
    """Every /dev/sdX of the LUNs."""
    return [f"/dev/{name}" for name in node.run("ls /sys/block | grep ^sd").split()]


def first_paths(node, devices):
    """One /dev/sdX of each map, all over the same session."""
    words = node.run(f"for map in {' '.join(devices)}; do ls /sys/block/$(basename $(readlink -f $map))/slaves | head -n 1; done", 120)
    return [f"/dev/{name}" for name in words.split()]


def register_all(bench, victim):
    """As after `fence_scsi -o on` on both nodes, by one process for all LUNs: each path has its node's key, the victim holds."""
    bench.clear_reservations()
    for node in bench.nodes.values():
        key = KEYS[node.name]
        node.run(f"echo {key} >/run/cluster.key;"
                 f"{LUNKEEPER_THERE} lun register --force --ignore --aptpl --key 0x{key} {' '.join(disks(node))}", 300)
    node = bench.nodes[victim]
    node.run(f"{LUNKEEPER_THERE} lun reserve --key 0x{KEYS[victim]} {' '.join(first_paths(node, bench.devices))}", 300)


def fence(bench, victim, devices):
    """One run of the agent, as Pacemaker calls it. Milliseconds, by the node's clock."""
    node = bench.other(bench.nodes[victim])
    output = node.run("began=$(date +%s%3N);"
                      f"fence_scsi -o off -n {victim} -k {KEYS[victim]} -d {','.join(devices)} >&2 || exit 1;"
                      "echo $(($(date +%s%3N) - began))", LIMIT_SECONDS)
    path = devices[-1]
    if KEYS[victim] in node.run(f"sg_turs {path}; sg_persist -n -i -k {path}"):
        raise Failed(f"fence_scsi has left {victim}'s key on {path}")
    return int(output)


def fence_scsi(bench, count):
    """With maps as often as LunKeeper; with one path of each only once: it takes long."""
    took = {"fence_scsi, maps": [], "fence_scsi, one path each": []}
    for how, times in zip(took, (count, 1)):
        for number in range(times):
            victim = ("jerry", "tom")[number % 2]
            register_all(bench, victim)
            devices = bench.devices if how.endswith("maps") else first_paths(bench.other(bench.nodes[victim]), bench.devices)
            took[how].append(fence(bench, victim, devices))
            bench.say(f"{how}: {took[how][-1]} ms for {bench.luns} LUNs")
    return took


def takeover(luns, count, nice):
    with Bench(luns, "1M", nice) as bench:
        ours = lunkeeper(bench, count)
        return {"luns": luns, "ms": {"LunKeeper": ours, **fence_scsi(bench, count)}}
