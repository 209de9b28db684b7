# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""A whole `keyvane dev` with private data on free ports, and what its processes hold. Ends with its scope, by its own process's id."""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from rest import Rest


class Cluster:
    """`apis` and `gateways` count instances; the first of each is a witness: no fault ends it, so that what it holds can be compared."""

    def __init__(self, binary, apis=3, gateways=3):
        self.binary, self.apis, self.gateways = binary, apis, gateways
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyvane-soak-"))
        self.log = self.folder / "dev.log"
        self.dev = None

    async def __aenter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Settings of whoever starts this are not the cluster's.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KEYVANE_")}
        command = [
            # Whatever ends this process ends the cluster.
            "setpriv", "--pdeathsig", "TERM", "--", self.binary, "dev", "--listen", f"127.0.0.1:{port}", "--data", self.folder / "data", "--apis", str(self.apis),
            "--gateways", str(self.gateways), "--state-file", self.folder / "state.json",
        ]
        with open(self.log, "wb") as output:
            self.dev = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
        deadline = time.monotonic() + 120
        while self.state() is None:
            if self.dev.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-3000:]
                await self.__aexit__()
                raise SystemExit(f"soak: the cluster did not start: {tail}")
            await asyncio.sleep(0.1)
        state = self.state()
        self.port, self.token = port, state["token"]
        self.admin = int(state["admin"].rsplit(":", 1)[1])
        return self

    async def __aexit__(self, *_):
        if self.dev.poll() is None:
            self.dev.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.dev.wait, 45)
            except subprocess.TimeoutExpired:
                self.dev.kill()
                self.dev.wait()
        # As root, PostgreSQL's files lie elsewhere, behind a link.
        link = self.folder / "data" / "postgres"
        if link.is_symlink():
            shutil.rmtree(link.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def state(self):
        try:
            return json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return None

    def pid(self, name):
        """Of `api-2`, `gateway-1`, `balancer`, `postgres`, `redis`; None where that number is another process's by now."""
        state = self.state()
        if name in ("balancer", "postgres", "redis"):
            pid = state[name]["pid"]
        else:
            pid = next(item["pid"] for item in state["apis"] + state["gateways"] if item["name"] == name)
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        return pid if any(word in command for word in (b"keyvane", b"postgres", b"redis")) else None

    def signal(self, name, number):
        """The id of the process that got it."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)
        return pid

    async def restarted(self, name, old):
        """Until dev has started it again and the balancer sends requests to everybody."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self.pid(name) not in (None, old) and await self.is_well():
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{name} did not come back within 90 s")

    async def is_well(self):
        """Every server is up, by the balancer's own word and by its health checks'."""
        rest = Rest(self.admin)
        try:
            answer = await rest.call("GET", "/v1/servers")
            ports = [item["address"] for item in answer.json()["items"]]
            ready = [(await Rest(int(port.rsplit(":", 1)[1])).call("GET", "/readyz", close=True)).status for port in ports]
            return all(item["state"] == "up" for item in answer.json()["items"]) and all(status == 200 for status in ready)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            return False
        finally:
            rest.close()

    async def sql(self, statement):
        """Rows as text, read by psql: apart from everything under test. None while PostgreSQL is away."""
        url = self.state()["postgres"]["url"]
        process = await asyncio.create_subprocess_exec(
            "psql", "-X", "-q", "-A", "-t", "-d", url, "-c", statement, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        return output.decode().splitlines() if process.returncode == 0 else None

    def held(self):
        """Resident bytes, descriptors and threads of each of our processes, by name; one that is being restarted is left out."""
        state = self.state()
        names = [item["name"] for item in state["apis"] + state["gateways"]] + ["balancer"]
        found = {"dev": self.measure(self.dev.pid)}
        for name in names:
            found[name] = self.measure(self.pid(name))
        return {name: held for name, held in found.items() if held}

    @staticmethod
    def measure(pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            return int(fields["VmRSS"].split()[0]) * 1024, len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"])
        except (OSError, KeyError):
            return None

    def unwanted_ends(self):
        """Processes that ended otherwise than by our own hand: kill -9, or in order."""
        ends = []
        for line in self.log.read_text(errors="replace").splitlines():
            if '"A process ended' in line and '"signal 9"' not in line and '"exit code 0"' not in line:
                ends.append(line)
        return ends
