# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""Checks docker/systemd against systemd's own tools and against the program. Prints a line for each thing that holds; ends at the first that doesn't."""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from manager import Service
from sandbox import Filter
from unit import Unit

# Of 100; what is left is said in docs/systemd.md.
EXPOSURE = 16
UNITS = pathlib.Path(__file__).parents[2] / "docker" / "systemd"
PLACE = "/acme/web/production"


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"check-units: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def verify(folder, program):
    for path in UNITS.glob("keyvane*.*"):
        if path.suffix in (".service", ".socket", ".target"):
            text = path.read_text().replace("/usr/local/bin/keyvane", program)
            (folder / path.name).write_text(text)
    files = sorted(folder.glob("*.*"))
    # It says what is wrong without failing for all of it. Servers that this machine lacks are no fault of the units.
    said = run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files])
    complaints = [line for line in said.splitlines() if "keyvane" in line]
    if complaints:
        sys.exit("check-units: " + "\n".join(complaints))
    print(f"systemd-analyze verify: {len(files)} units, nothing to say")
    for path in files:
        if path.suffix == ".service":
            said = run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", path])
            print("systemd-analyze security:", said.strip().splitlines()[-1].encode("ascii", "ignore").decode().strip(" :"))
    run(["systemd-sysusers", "--dry-run", UNITS / "keyvane.sysusers"])
    return {path.name: Unit(path) for path in files}


def check_commands(folder, units):
    """Each role's command line with the example files, as an operator has them after the install."""
    tls = folder / "tls"
    tls.mkdir()
    key, certificate = tls / "site.key", tls / "site.crt"
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", certificate])
    (folder / "sticky.keys").write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    (folder / "master.keys").write_text(f"k1:{base64.b64encode(os.urandom(32)).decode()}\n")
    for name in ("keyvane.yaml", "balancer.yaml", "keyvane.env", "balancer.env"):
        text = (UNITS / f"{name}.example").read_text()
        (folder / name).write_text(text.replace("/etc/keyvane", str(folder)))
    settings = dict(line.split("=", 1) for line in (folder / "keyvane.env").read_text().splitlines() if line and line[0] != "#")
    environment = {"PATH": os.environ["PATH"], "KEYVANE_MASTER_KEYS_FILE": f"{folder}/master.keys"} | settings
    for name in ("keyvane-api@.service", "keyvane-gateway@.service", "keyvane-balancer.service"):
        command = [word.replace("/etc/keyvane", str(folder)) for word in units[name].command("8081")]
        print(f"{name} --check-config:", run([*command, "--check-config"], env=environment).strip().replace(f"{folder}/", ""))
    listeners = [value for value in units["keyvane-balancer.socket"].all("ListenStream")]
    text = (folder / "balancer.yaml").read_text()
    if not all(f'bind: "{address}"' in text for address in listeners):
        sys.exit(f"check-units: balancer.yaml.example doesn't listen on {listeners}")


class Cluster:
    """PostgreSQL, Redis and their secrets, of a `keyvane dev`; the roles under test stand beside its own."""

    def __init__(self, folder, program):
        self.folder = folder
        self.state_file = folder / "state.json"
        self.output = open(folder / "dev.log", "w")
        command = [program, "dev", "--listen", "127.0.0.1:0", "--data", folder / "data", "--state-file", self.state_file, "--apis", "1", "--gateways", "1"]
        command[3] = f"127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output)

    def wait(self):
        deadline = time.monotonic() + 60
        while not self.state_file.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit("check-units: keyvane dev: " + (self.folder / "dev.log").read_text())
            time.sleep(0.05)
        self.state = json.loads(self.state_file.read_text())
        raw = pathlib.Path(f"/proc/{self.state['apis'][0]['pid']}/environ").read_bytes()
        own = dict(part.split("=", 1) for part in raw.decode().split("\0") if "=" in part)
        names = ("POSTGRES", "REDIS", "MASTER_KEYS", "ROOT_TOKEN")
        self.environment = {f"KEYVANE_{name}": own[f"KEYVANE_{name}"] for name in names} | {"KEYVANE_DRAIN_DELAY": "0s"}

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        # As root, PostgreSQL's files lie elsewhere, behind a link.
        shutil.rmtree(pathlib.Path(os.path.realpath(self.folder / "data" / "postgres")).parent, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, token, method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status


def watch(port, token):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(
        f"GET /v1/watch?environment={PLACE[1:]} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return connection


def until(connection, words):
    seen = b""
    while words not in seen:
        more = connection.recv(65536)
        if not more:
            sys.exit(f"check-units: the watch ended before {words}: {seen}")
        seen += more


def run_filtered(folder, units, cluster, program):
    token = cluster.state["token"]
    ports = {"api": free_port(), "gateway": free_port()}
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    public = listener.getsockname()[1]
    (folder / "own.yaml").write_text("logLevel: info\n")
    (folder / "front.yaml").write_text(
        f"listeners: ['127.0.0.1:{public}']\nadmin: {{ bind: off, socket: {folder}/admin.sock }}\n"
        f"pools: {{ api: {{ servers: ['127.0.0.1:{ports['api']}'] }}, gateway: {{ servers: ['127.0.0.1:{ports['gateway']}'] }} }}\n"
    )
    services = []
    for role, port in ports.items():
        command = [program, role, "--config", f"{folder}/own.yaml", "--listen", f"127.0.0.1:{port}", "--name", f"filtered-{role}"]
        services.append(Service(role, command, cluster.environment, folder, Filter(units[f"keyvane-{role}@.service"])))
    command = [program, "balancer", "--config", f"{folder}/front.yaml"]
    services.append(Service("balancer", command, {}, folder, Filter(units["keyvane-balancer.service"]), passed=listener))
    for service in services:
        service.until("READY=1")
    for path, body in (("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web"), ("/v1/projects/acme/web/environments", "production")):
        call(public, token, "POST", path, {"slug": body})
    connection = watch(public, token)
    until(connection, b"snapshot")
    call(public, token, "PUT", "/v1/projects/acme/web/environments/production/variables/COLOUR", {"value": "blue"})
    until(connection, b"COLOUR")
    for service in services:
        service.reload()
    # The balancer last: it must not wait for the gateway's sockets.
    for service in services:
        service.stop()
    print("seccomp: api, gateway and balancer served, reloaded and drained under their units' filters, in which a forbidden call kills")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="keyvane-units-") as name:
        folder = pathlib.Path(name)
        (folder / "units").mkdir()
        (folder / "etc").mkdir()
        cluster = Cluster(folder, program)
        try:
            units = verify(folder / "units", program)
            check_commands(folder / "etc", units)
            cluster.wait()
            run_filtered(folder, units, cluster, program)
        finally:
            cluster.end()


main()
