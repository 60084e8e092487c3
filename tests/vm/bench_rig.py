# SPDX-License-Identifier: GPL-2.0-or-later
#
# The machines of the comparison, as `lunkeeper rig` has them: a SAN, jerry and tom; and the network that the client is in.
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LUNKEEPER = f"{TREE}/build/lunkeeper"
LUNKEEPER_THERE = "/usr/local/bin/lunkeeper"
CLIENT_ADDRESS = "10.77.0.200/24"
SERVICE_ADDRESS = "10.77.0.100"
PORT = 7000
MAPS_SECONDS = 600


class Failed(Exception):
    """What a person should read."""


def now_ms():
    """The clock of the client's log."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000


def wait_for(what, seconds, condition, every=0.2):
    """Returns what the condition returns as soon as that is true, or raises Failed."""
    end = time.monotonic() + seconds
    while True:
        value, failure = None, ""
        try:
            value = condition()
        except Failed as failed:  # a machine that does not answer may, later
            failure = f": {failed}"
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s{failure}")
        time.sleep(every)


def rig(name, *words, seconds=900, given=None):
    command, *rest = words
    try:
        done = subprocess.run([LUNKEEPER, "rig", command, "--name", name, *rest], input=given or "", capture_output=True, text=True,
                              errors="replace", check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"rig {' '.join(words)}: not within {seconds} s") from error
    return done.returncode, done.stdout, done.stderr


class Node:
    def __init__(self, bench, name):
        self.bench, self.name = bench, name

    def try_run(self, command, seconds=60, given=""):
        """Runs a shell command inside. Returns status, output, errors; raises Failed without an answer."""
        return rig(self.bench.name, "exec", self.name, "/bin/bash", "-c", command, seconds=seconds, given=given)

    def run(self, command, seconds=60, given=""):
        status, output, errors = self.try_run(command, seconds, given)
        if status != 0:
            raise Failed(f"{self.name}: {command}: status {status}: {(errors or output).strip()[-1500:]}")
        return output

    def fault(self, kind):
        status, _, errors = rig(self.bench.name, "fault", kind, self.name)
        if status != 0:
            raise Failed(f"rig fault {kind} {self.name}: {errors}")

    def revive(self):
        self.fault("revive")
        self.set_up()

    def set_up(self):
        """What runs in a failover is on the node's own disk, as on an administrator's machine."""
        self.run("mkdir -p /usr/local/lib/lunkeeper && cp -r /host/etc/services /usr/local/lib/lunkeeper/ &&"
                 "cp /host/build/lunkeeper /host/build/lunkeeperd /usr/local/bin/", 120)


class Bench:
    """A rig with the client's address in it. `with Bench(...) as bench` leaves nothing behind."""

    def __init__(self, luns=1, size="256M", nice=0, name="bench"):
        self.luns, self.size, self.nice, self.name = luns, size, nice, name
        self.nodes = {node: Node(self, node) for node in ("jerry", "tom")}
        self.log = f"{TREE}/build/bench-acknowledged"
        self.client = None
        self.devices = []

    def __enter__(self):
        rig(self.name, "down")
        if self.nice:
            threading.Thread(target=self.prefer, daemon=True).start()
        self.say(f"a SAN with {self.luns} LUN{'' if self.luns == 1 else 's'} and two nodes boot")
        status, _, errors = rig(self.name, "up", "--kind", "vm", "--luns", str(self.luns), "--size", self.size, "--memory", "1024", "--no-daemons",
                                seconds=1200)
        try:
            if status != 0:
                raise Failed(errors.strip())
            for node in self.nodes.values():
                node.set_up()
                wait_for(f"{self.luns} maps of two paths on {node.name}", MAPS_SECONDS, lambda node=node: self.has_maps(node), 2)
            self.devices = sorted(f"/dev/mapper/{line.split()[0]}" for line in
                                  self.nodes["jerry"].run("dmsetup ls --target multipath").splitlines())
        except BaseException:
            self.__exit__()
            raise
        return self

    def has_maps(self, node):
        """All maps of multipath are there, with both paths and with their names, which udev may still be making."""
        names, paths = node.run("ls /dev/mapper | grep -vc control; ls -d /sys/block/dm-*/slaves/* | wc -l").split()
        return int(names) == self.luns and int(paths) == 2 * self.luns

    def __exit__(self, *_):
        self.stop_client()
        rig(self.name, "down")

    def prefer(self):
        """Where this machine has other work, what the client sees shall tell of the clusters, not of that."""
        while True:
            for process in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    with open(f"/proc/{process}/cmdline", "rb") as file:
                        if f"\0-name\0{self.name}/".encode() not in file.read():
                            continue
                    with open(f"/proc/{process}/autogroup", "w", encoding="ascii") as file:
                        file.write(str(self.nice))
            time.sleep(3)

    @staticmethod
    def say(text):
        print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)

    @property
    def device(self):
        return self.devices[0]

    @staticmethod
    def wwid(device):
        return f"naa.{os.path.basename(device)[1:]}"

    def other(self, node):
        return next(other for other in self.nodes.values() if other is not node)

    def clear_reservations(self):
        """Between two clusters: nobody is registered."""
        disks = " ".join(self.devices)
        self.nodes["jerry"].run(f"{LUNKEEPER_THERE} lun register --force --ignore --key 0xfe {disks} &&"
                                f"{LUNKEEPER_THERE} lun clear --force --key 0xfe {disks}", 300)

    def start_client(self):
        namespace = f"lunkeeper-{self.name}"
        subprocess.run(["ip", "-n", namespace, "address", "replace", CLIENT_ADDRESS, "dev", "br0"], check=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)
        self.client = subprocess.Popen(["ip", "netns", "exec", namespace, LUNKEEPER, "rig", "client", "--log", self.log,
                                        f"{SERVICE_ADDRESS}:{PORT}"], stdin=subprocess.DEVNULL)

    def stop_client(self):
        if self.client:
            self.client.terminate()
            self.client.wait()
            self.client = None

    def acknowledged(self, offset=0):
        """The client's log from an offset on: (ms, node, epoch) of every record, and the offset behind them."""
        found = []
        with contextlib.suppress(FileNotFoundError), open(self.log, "rb") as log:
            log.seek(offset)
            data = log.read()
            data = data[:data.rfind(b"\n") + 1]
            offset += len(data)
            for line in data.decode().splitlines():
                fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
                found.append((int(fields["ack"]), fields["node"], int(fields["epoch"])))
        return found, offset

    def wait_served_by(self, name, seconds):
        """Until the client is served by this node, from now on."""
        _, offset = self.acknowledged()
        wait_for(f"the client is served by {name}", seconds,
                 lambda: any(record[1] == name for record in self.acknowledged(offset)[0]))

    def lost(self, node):
        """How many acknowledged records are not in the service's file, as its node reads it. And how many there are."""
        with open(self.log, "rb") as log:
            lines = [line[20:].decode() for line in log.read().splitlines()]
        there = set(node.run("cat /srv/mail/records", 120).splitlines())
        return sum(line not in there for line in lines), len(lines)
