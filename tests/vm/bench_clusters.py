# SPDX-License-Identifier: GPL-2.0-or-later
#
# The two that are compared, each with the same methods: begin() and end() on both nodes, join() and leave() on one,
# ready() when a failover may begin, and phases() of the last failover, as the survivor's records have it.
import datetime
import json
import re
import xml.etree.ElementTree as ElementTree

from bench_rig import LUNKEEPER_THERE, SERVICE_ADDRESS, TREE, Failed

HERE = f"{TREE}/tests/vm"
PACEMAKER = "/host/tests/vm/pacemaker"


class LunKeeper:
    def __init__(self, bench, name, times=""):
        self.bench, self.name, self.times = bench, name, times
        self.since = 0

    def begin(self):
        with open(f"{HERE}/bench.conf", encoding="utf-8") as file:
            text = file.read()
        for word, value in (("TIMES", self.times), ("WWID", self.bench.wwid(self.bench.device)), ("DEVICE", self.bench.device),
                            ("ADDRESS", SERVICE_ADDRESS)):
            text = text.replace(f"@{word}@", value)
        for node in self.bench.nodes.values():
            node.run("mkdir -p /etc/lunkeeper; cat >/etc/lunkeeper/lunkeeper.conf; rm -rf /var/lib/lunkeeper", given=text)
            self.join(node)

    def join(self, node):
        node.run(f"setsid /usr/local/bin/lunkeeperd --node {node.name} </dev/null >>/var/log/lunkeeperd.log 2>&1 &")

    def leave(self, node):
        node.run("pid=$(pgrep -x lunkeeperd) && kill -TERM $pid; while pgrep -x lunkeeperd; do sleep 0.1; done", 120)

    def end(self):
        for node in self.bench.nodes.values():
            self.leave(node)

    def group(self, node):
        status, output, _ = node.try_run(f"{LUNKEEPER_THERE} status --json", 60)
        return json.loads(output)["groups"][0] if status == 0 else {}

    def active(self):
        """The node where the service runs, or None."""
        for node in self.bench.nodes.values():
            group = self.group(node)
            if group.get("state") == "owner" and group.get("service") == "running":
                return node
        return None

    def ready(self, standby):
        group = self.group(standby)
        return group.get("state") == "standby" and group.get("service") == "stopped"

    def note(self, survivor):
        """Before the fault: what happened until now is no part of it."""
        output = survivor.run(f"{LUNKEEPER_THERE} events --json --limit 1")
        self.since = json.loads(output)["id"] if output.strip() else 0

    def phases(self, survivor):
        at = {}
        for line in survivor.run(f"{LUNKEEPER_THERE} events --json --since {self.since} --limit 1000").splitlines():
            event = json.loads(line)
            kind, text = event["kind"], event["text"]
            for moment, of, pattern in (("asked", "order", "REGISTER as a challenger"), ("decided", "state", "-> seizing"),
                                        ("owned", "state", "-> owner"), ("store", "resource", "store is running"),
                                        ("address", "resource", "address is running"),
                                        ("server", "resource", "server is running")):
                if kind == of and pattern in text:
                    at[moment] = event["mono_ms"]
        return spans(at, ("asked", "decided", "owned", "store", "address", "server"))

    def why(self, node):
        return node.try_run(f"{LUNKEEPER_THERE} status; {LUNKEEPER_THERE} events --limit 40; tail -n 20 /var/log/lunkeeperd.log")[1]


class Pacemaker:
    def __init__(self, bench, name, token_ms, consensus_ms, agents="lunkeeper", log="none"):
        self.bench, self.name, self.token_ms, self.consensus_ms = bench, name, token_ms, consensus_ms
        self.agents, self.log = agents, log

    def begin(self):
        for node in self.bench.nodes.values():
            node.run("rm -f /var/lib/pacemaker/cib/* /var/lib/pacemaker/pengine/* /var/log/corosync.log /var/log/pacemaker/*.log")
            self.join(node)

    def join(self, node):
        node.run(f"PCMK_logfile={self.log} {PACEMAKER}/start {self.token_ms} {self.consensus_ms} {self.bench.device}"
                 f" {SERVICE_ADDRESS} {self.agents}", 120)

    def leave(self, node):
        node.run(f"{PACEMAKER}/stop", 180)

    def end(self):
        # The standby first: then nothing is moved.
        active = self.active()
        for node in sorted(self.bench.nodes.values(), key=lambda node: node is active):
            self.leave(node)

    def status(self):
        """(whether it is a member, what last happened to each resource) for each node, as anybody knows it."""
        for node in self.bench.nodes.values():
            try:
                status, output, _ = node.try_run("cibadmin -Q -o status", 60)
            except Failed:
                continue
            if status == 0:
                break
        else:
            return {}
        states = {}
        for state in ElementTree.fromstring(output).iter("node_state"):
            member = state.get("crmd") == "online" and state.get("join") == "member"
            resources = {}
            for resource in state.iter("lrm_resource"):
                done = [op for op in resource.iter("lrm_rsc_op") if op.get("operation") != "monitor" or op.get("interval") == "0"]
                last = max(done, key=lambda op: int(op.get("call-id", "0")), default=None)
                if last is not None:
                    resources[resource.get("id").split(":")[0]] = (last.get("operation"), last.get("rc-code"))
            states[state.get("uname")] = (member, resources)
        return states

    def active(self):
        for name, (member, resources) in self.status().items():
            if member and resources.get("server") in (("start", "0"), ("monitor", "0")):
                return self.bench.nodes[name]
        return None

    def ready(self, standby):
        """A member, asked for every resource, and able to fence."""
        member, resources = self.status().get(standby.name, (False, {}))
        return member and resources.get("fence") == ("start", "0") and all(
            resources.get(name) in (("monitor", "7"), ("stop", "0")) for name in ("store", "address", "server"))

    def note(self, survivor):
        survivor.run("true >/var/log/corosync.log; [ ! -e /var/log/pacemaker/pacemaker.log ] || true >/var/log/pacemaker/pacemaker.log")

    def phases(self, survivor):
        """From corosync's log and, where it is kept, Pacemaker's."""
        at = {}
        text = survivor.run("cat /var/log/corosync.log /var/log/pacemaker/pacemaker.log 2>/dev/null || true")
        for line in text.splitlines():
            for moment, pattern in (("decided", "A processor failed"), ("members", "A new membership"),
                                    ("asked", "Requesting fencing"), ("fenced", "was terminated"),
                                    ("store", "Result of start operation for store"),
                                    ("address", "Result of start operation for address"),
                                    ("server", "Result of start operation for server")):
                found = re.match(r"[A-Z][a-z]{2} \d+ (\d\d:\d\d:\d\d\.\d{3}) ", line)
                if pattern in line and found:
                    moment_of_day = datetime.datetime.strptime(found.group(1), "%H:%M:%S.%f")
                    at[moment] = moment_of_day.timestamp() * 1000
        return spans(at, ("decided", "members", "asked", "fenced", "store", "address", "server"))

    def why(self, node):
        return node.try_run("crm_mon -1rf; tail -n 40 /var/log/corosync.log; grep -E 'notice|error|warning' "
                            "/var/log/pacemaker/pacemaker.log | tail -n 40", 60)[1]


def spans(at, order):
    """Milliseconds from each moment to the next one that is known."""
    known = [moment for moment in order if moment in at]
    return {f"{one} to {other}": round(at[other] - at[one]) for one, other in zip(known, known[1:])}
