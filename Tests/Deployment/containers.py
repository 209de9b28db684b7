# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What a container engine does, with the kernel's own means: a network of its own, a root that can't be written, no rights.

Everything is in namespaces below those of the caller, and ends with them.
"""

import ctypes
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

NETWORK = "10.213.0"
# What containerd gives a container that asks for nothing.
DESCRIPTORS = (1024, 524288)


class Network:
    """A bridge, and a cable from it to each container; none leads out of here."""

    def __init__(self, work):
        self.hosts = work / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.next = 2
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        ip("netns", "add", "bridge")
        ip("-n", "bridge", "link", "add", "bridge0", "type", "bridge")
        ip("-n", "bridge", "address", "add", f"{NETWORK}.1/24", "dev", "bridge0")
        ip("-n", "bridge", "link", "set", "bridge0", "up")
        ip("-n", "bridge", "link", "set", "lo", "up")

    def join(self, name, service):
        """A new place for `name`, found under the service's name as well, as several addresses where there are several."""
        number, address = self.next, f"{NETWORK}.{self.next}"
        self.next += 1
        ip("netns", "add", name)
        ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}", "netns", "bridge")
        ip("-n", "bridge", "link", "set", f"port{number}", "master", "bridge0", "up")
        ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        # In place: it is mounted into containers that run.
        with open(self.hosts, "a") as hosts:
            hosts.write(f"{address} {service} {name}\n")
        return address


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def inside(name, command, **options):
    """A command of this machine in a container's network."""
    return subprocess.run(["nsenter", f"--net=/run/netns/{name}", *command], **options)


class Container:
    """One process of the image, as its only process 1."""

    def __init__(self, name, image, network, service, command, environment, mounts=(), tmpfs=(), work=None, descriptors=DESCRIPTORS):
        self.name, self.environment = name, image.environment | environment
        self.address = network.join(name, service)
        folder = work / name
        root, upper, scratch = folder / "root", folder / "upper", folder / "scratch"
        for each in (root, upper, scratch):
            each.mkdir(parents=True)
        options = f"lowerdir={image.root},upperdir={upper},workdir={scratch}"
        subprocess.run(["mount", "-t", "overlay", "none", "-o", options, str(root)], check=True)
        self.log = folder / "log"
        self.prefix = [
            "setpriv", f"--reuid={image.user[0]}", f"--regid={image.user[1]}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
            "--inh-caps=-all", "env", "-i", *(f"{key}={value}" for key, value in self.environment.items()),
        ]
        script = ["set -e", f"hostname {name}"]
        for source, target in [*mounts, (network.hosts, "/etc/hosts")]:
            place = root / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.mkdir() if Path(source).is_dir() else place.touch()
            script.append(f"mount --bind '{source}' '{place}'; mount -o remount,bind,ro '{place}'")
        script.append(f"mount -t proc -o nosuid,nodev,noexec proc '{root}/proc'")
        for target in tmpfs:
            script.append(f"mount -t tmpfs none '{root}{target.partition(':')[0]}'")
        script.append(f"mount -o remount,bind,ro '{root}'")
        script.append(f"exec chroot '{root}' \"$@\"")

        def prepare():
            dies_with_parent()
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
            except (ValueError, OSError):
                # Root in a machine that is itself confined: less than an engine would give, never more.
                hard = min(descriptors[1], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors[0], hard), hard))

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    "nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                    "sh", "-c", "; ".join(script), "sh", *self.prefix, *command,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare,
            )
        self.main = None

    def pid(self):
        """Of the container's process 1, in our namespace."""
        if self.main is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            self.main = int(children[0]) if children else None
        return self.main

    def execute(self, command, **variables):
        """As `docker exec`: in all its namespaces, as its user, under its root."""
        spaces = ["--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd"]
        more = [f"{key}={value}" for key, value in variables.items()]
        return subprocess.run(
            ["nsenter", f"--target={self.pid()}", *spaces, *self.prefix, *more, *command], capture_output=True, text=True, timeout=30
        )

    def becomes(self, healthy, command, within):
        """Whether the health check says so in time."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if self.pid() and (self.execute(command).returncode == 0) == healthy:
                return True
            time.sleep(0.2)
        return False

    def stop(self, within):
        """As `docker stop`: SIGTERM, and SIGKILL when the grace is over. The exit code and the seconds."""
        started = time.monotonic()
        if self.pid():
            os.kill(self.pid(), signal.SIGTERM)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            os.kill(self.pid(), signal.SIGKILL)
            self.process.wait()
            return 137, time.monotonic() - started
        return self.process.returncode, time.monotonic() - started

    def tail(self, count=12):
        return "\n    ".join(self.log.read_text(errors="replace").splitlines()[-count:])


def dies_with_parent():
    """What is started ends with us, whatever ends us."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
