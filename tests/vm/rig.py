# SPDX-License-Identifier: GPL-2.0-or-later
#
# A SAN and its nodes as virtual machines with Debian's kernel, under QEMU's software emulation: no KVM is needed. The
# SAN machine is LIO, set up by targetcli; nodes have open-iscsi and dm-multipath over two networks. Everything lives in
# one network namespace and one folder; `with Rig() as rig` leaves nothing behind.
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
TARGET = "iqn.2024-01.test.lunkeeper:san"
NETWORKS = (1, 2)
BOOT_SECONDS = 180
VIRTIOFSD = next((p for p in ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd") if os.path.exists(p)), "virtiofsd")


class Failed(Exception):
    """What a person should read."""


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def wait_for(what, seconds, condition, every=0.2):
    """Returns what the condition returns as soon as that is true, or raises Failed."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(every)


class Machine:
    def __init__(self, rig, name, number, disks=()):
        self.rig, self.name, self.number, self.disks = rig, name, number, disks
        self.qemu = self.share = None
        self.ids = itertools.count(1)
        self.addresses = [f"10.0.{network}.{number}" for network in NETWORKS]
        self.initiator = f"iqn.2024-01.test.lunkeeper:{name}"
        self.root = f"{rig.folder}/{name}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", f"{rig.image}/root.img", self.root)
        for network in NETWORKS:
            tap = self.tap(network)
            rig.ip("tuntap", "add", tap, "mode", "tap")
            rig.ip("link", "set", tap, "master", f"net{network}", "up")

    def tap(self, network):
        return f"{self.name}{network}"

    def file(self, suffix):
        return f"{self.rig.folder}/{self.name}.{suffix}"

    def start(self):
        self.share = self.rig.spawn([VIRTIOFSD, f"--socket-path={self.file('fs')}", "-o", f"source={TREE}",
                                     "-o", "cache=auto", "--thread-pool-size=2"], self.file("fs.log"))
        wait_for(f"{self.name}: virtiofsd", 10, lambda: os.path.exists(self.file("fs")), 0.02)
        memory = 384
        words = ["ip", "netns", "exec", self.rig.namespace, "qemu-system-x86_64", "-M", "q35", "-cpu", "max",
                 "-accel", "tcg,thread=multi,tb-size=128", "-m", str(memory), "-nodefaults", "-nographic", "-no-user-config",
                 "-object", f"memory-backend-memfd,id=memory,size={memory}M,share=on", "-numa", "node,memdev=memory",
                 "-kernel", f"{self.rig.image}/vmlinux", "-initrd", f"{self.rig.folder}/initrd",
                 "-append", f"console=ttyS0 quiet panic=1 net.ifnames=0 lk.name={self.name} lk.net={','.join(self.addresses)}",
                 "-no-reboot", "-serial", f"file:{self.file('console')}",
                 "-drive", f"file={self.root},if=none,id=root,format=qcow2,cache=unsafe",
                 "-device", "virtio-blk-pci,drive=root",
                 "-chardev", f"socket,id=fs,path={self.file('fs')}", "-device", "vhost-user-fs-pci,chardev=fs,tag=host",
                 "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={self.file('agent')},server=on,wait=off",
                 "-device", "virtserialport,chardev=agent,name=lunkeeper", "-qmp", f"unix:{self.file('qmp')},server=on,wait=off",
                 "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]
        for network in NETWORKS:
            words += ["-netdev", f"tap,id=n{network},ifname={self.tap(network)},script=no,downscript=no",
                      "-device", f"virtio-net-pci,netdev=n{network},mac=52:54:00:00:{network:02x}:{self.number:02x},romfile="]
        for disk in self.disks:
            name = os.path.basename(disk)
            words += ["-drive", f"file={disk},if=none,id={name},format=raw,cache=unsafe",
                      "-device", f"virtio-blk-pci,drive={name},serial={name}"]
        self.qemu = self.rig.spawn(words, self.file("qemu.log"))

    def wait(self):
        def answers():
            if self.qemu.poll() is not None:
                with open(self.file("qemu.log"), encoding="utf-8", errors="replace") as log:
                    raise Failed(f"{self.name}: QEMU has ended: {log.read()[-2000:]}")
            with contextlib.suppress(OSError, Failed):
                return self.try_run("true", 3)[0] == 0
            return False
        wait_for(f"{self.name}: boot (see {self.file('console')})", BOOT_SECONDS, answers)

    def try_run(self, command, seconds=60, given=""):
        """Runs a shell command inside. Returns status, output, errors; raises Failed without an answer."""
        number = next(self.ids)
        order = json.dumps({"id": number, "command": command, "input": given}) + "\n"
        end = time.monotonic() + seconds
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(seconds)
            data = b""
            try:
                link.connect(self.file("agent"))
                link.sendall(order.encode())
                while True:
                    link.settimeout(max(0.01, end - time.monotonic()))
                    part = link.recv(65536)
                    if not part:
                        raise Failed(f"{self.name}: the machine went away during: {command}")
                    *lines, data = (data + part).split(b"\n")
                    for line in lines:
                        answer = json.loads(line) if line.startswith(b"{") else {}
                        if answer.get("id") == number:
                            return answer["status"], answer["output"], answer["errors"]
            except TimeoutError as error:
                raise Failed(f"{self.name}: no answer within {seconds} s: {command}") from error

    def run(self, command, seconds=60, given=""):
        status, output, errors = self.try_run(command, seconds, given)
        if status != 0:
            raise Failed(f"{self.name}: {command}: status {status}: {(errors or output).strip()[-1500:]}")
        return output

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(self.file("qmp"))
            lines = link.makefile("rw", encoding="utf-8")
            lines.readline()
            for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(order) + "\n")
                lines.flush()
                while True:
                    answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise Failed(f"{self.name}: {command}: {answer['error']['desc']}")
                    if "return" in answer:
                        break
            return answer["return"]

    def freeze(self):
        self.qmp("stop")

    def thaw(self):
        self.qmp("cont")

    def power_off(self):
        """The plug is pulled."""
        for process in (self.qemu, self.share):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for suffix in ("fs", "agent", "qmp"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.file(suffix))

    def path(self, network, up):
        self.rig.ip("link", "set", self.tap(network), "up" if up else "down")


class Rig:
    def __init__(self, nodes=("jerry", "tom"), luns=2, lun_size="64M", keep=False):
        self.names, self.lun_count, self.lun_size, self.keep = nodes, luns, lun_size, keep
        self.processes = []
        self.namespace = f"lkvm{os.getpid()}"
        self.folder = None

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: exit(143))
        self.image = run(f"{TREE}/tools/vm/image").strip()
        self.folder = tempfile.mkdtemp(prefix="lunkeeper-vm.", dir="/var/tmp")
        try:
            self.build()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def ip(self, *words):
        run("ip", "-n", self.namespace, *words)

    def spawn(self, words, log):
        with open(log, "ab") as out:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.processes.append(process)
        return process

    def make_initrd(self):
        """The image's, and behind it what the tree says the machines' first processes are."""
        extra = f"{self.folder}/initrd.d"
        os.mkdir(extra)
        for name in ("init", "agent"):
            shutil.copy(f"{HERE}/{name}", f"{extra}/lunkeeper-{name}")
        run("sh", "-c", "(cat $1/initrd; cd $2/initrd.d && find . | cpio --quiet -o -H newc | gzip -1) >$2/initrd", "-",
            self.image, self.folder)

    def build(self):
        self.make_initrd()
        run("ip", "netns", "add", self.namespace)
        for network in NETWORKS:
            self.ip("link", "add", f"net{network}", "type", "bridge")
            self.ip("link", "set", f"net{network}", "up")
        disks = []
        for number in range(1, self.lun_count + 1):
            disks.append(f"{self.folder}/lun{number}")
            run("truncate", "-s", self.lun_size, disks[-1])
        self.san = Machine(self, "san", 10, disks)
        self.nodes = {name: Machine(self, name, 11 + n) for n, name in enumerate(self.names)}
        machines = [self.san, *self.nodes.values()]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.wait()
        self.san.run("mkdir -p /etc/rtslib-fb-target/pr; dbus-daemon --system --fork;"
                     "modprobe -a target_core_mod iscsi_target_mod target_core_iblock")
        self.san.run("targetcli", 240, self.target_conf())
        for node in self.nodes.values():
            self.start_initiator(node)

    def target_conf(self):
        """What an administrator types into targetcli."""
        tpg = f"/iscsi/{TARGET}/tpg1"
        lines = [f"/backstores/block create name=lun{n} dev=/dev/disk/by-id/virtio-lun{n}" for n in range(1, self.lun_count + 1)]
        lines += [f"/iscsi create {TARGET}", f"{tpg}/portals delete 0.0.0.0 3260"]
        lines += [f"{tpg}/portals create {address} 3260" for address in self.san.addresses]
        lines += [f"{tpg}/luns create /backstores/block/lun{n} lun={n}" for n in range(1, self.lun_count + 1)]
        names = [node.initiator for node in self.nodes.values()] + [f"iqn.2024-01.test.lunkeeper:{x}" for x in "abcd"]
        lines += [f"{tpg}/acls create {name}" for name in names]
        return "\n".join(lines + ["saveconfig", "exit", ""])

    def start_target(self):
        """After a power cut of the SAN machine."""
        self.san.start()
        self.san.wait()
        self.san.run("dbus-daemon --system --fork; modprobe -a target_core_mod iscsi_target_mod target_core_iblock;"
                     "targetctl restore", 240)

    def start_initiator(self, node):
        node.run(f"echo InitiatorName={node.initiator} >/etc/iscsi/initiatorname.iscsi; modprobe -a iscsi_tcp dm_multipath;"
                 "sed -i 's/^node.session.timeo.replacement_timeout.*/node.session.timeo.replacement_timeout = 15/'"
                 " /etc/iscsi/iscsid.conf; pgrep -x iscsid >/dev/null || iscsid")

    def log_in(self, node, multipath=True):
        """One session for each portal, one after the other; then a map for each LUN, named after its WWID."""
        if multipath:
            node.run("cat >/etc/multipath.conf; multipathd", given=MULTIPATH)
        for address in self.san.addresses:
            node.run(f"iscsiadm -m discovery -t st -p {address} >/dev/null;"
                     f"iscsiadm -m node -T {TARGET} -p {address} --login", 90)
        node.run("udevadm settle --timeout=30")
        if multipath:
            wait_for(f"{node.name}: multipath maps", 60,
                     lambda: int(node.run("dmsetup ls --target multipath | grep -c ^3 || true")) == self.lun_count, 1)

    def wwid(self, number):
        """naa.… of a LUN, as LIO says it: its serial number is in the unit's VPD pages."""
        serial = self.san.run(f"cat /sys/kernel/config/target/core/*/lun{number}/wwn/vpd_unit_serial").split(":")[1].strip()
        return "naa.6001405" + serial.replace("-", "")[:25]

    def down(self):
        if self.keep:
            print(f"kept: {self.folder}, namespace {self.namespace}")
            return
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        subprocess.run(["ip", "netns", "del", self.namespace], stderr=subprocess.DEVNULL, check=False)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


MULTIPATH = """defaults {
	user_friendly_names no
	find_multipaths no
	polling_interval 2
}
blacklist {
	devnode "^vd"
}
overrides {
	no_path_retry fail
}
"""
