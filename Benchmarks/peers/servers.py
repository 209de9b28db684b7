# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What Benchmarks/fanout starts: PostgreSQL and Redis, a gateway and its peers, each on its core, and the load generator."""

import base64
import contextlib
import glob
import json
import os
import pathlib
import pwd
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile

SERVER_CORE, LOAD_CORE = "0", "1"
SOCKETIFY = "0.0.31"
# What a change with a value of 200 bytes takes as JSON in a frame of ours, without the frame's own fields: peers get as much to deliver.
CHANGE_BYTES = 330
# Peers' own time-outs must not end a measurement; all else is near their defaults.
NGINX = """
load_module modules/ngx_nchan_module.so;
daemon off; worker_processes 1; worker_rlimit_nofile {files}; error_log {folder}/nginx.log; pid {folder}/nginx.pid; {user}
events {{ worker_connections {connections}; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; keepalive_requests 1000000000;
  nchan_message_buffer_length 64; nchan_shared_memory_size 512M;
  upstream backend {{ nchan_redis_server redis://127.0.0.1:{redis}; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(\\d+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_redis_pass backend; }}
    location ~ ^/(\\d+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; nchan_redis_pass backend; }}
  }}
}}
"""
NATS = """
host: "127.0.0.1"
port: {source}
ping_interval: "1h"
websocket {{ host: "127.0.0.1", port: {port}, no_tls: true }}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what} did not start")
        time.sleep(0.05)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def resident(pid):
    """Resident bytes of a process."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024


def processor_time(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Processes:
    """Children and their folder, ended with the block."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="keyvane-fanout-")
        os.chmod(self.folder, 0o755)
        self.children = []
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            self.stop(child)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, core=LOAD_CORE, environment=None, **options):
        log = open(os.path.join(self.folder, f"{len(self.children)}-{os.path.basename(command[0])}.log"), "w")
        child = subprocess.Popen(
            ["taskset", "-c", core, *map(str, command)], env={**os.environ, **(environment or {})}, stdout=log, stderr=subprocess.STDOUT,
            **options,
        )
        self.children.append(child)
        return child

    def stop(self, child):
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Backends:
    """A private PostgreSQL and Redis with their defaults, and what our processes need to know of them."""

    def __init__(self, processes, binary):
        self.folder = processes.folder
        # Debian keeps them out of PATH, one folder a version.
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        binaries = folders[-1] if folders else os.path.dirname(shutil.which("initdb") or "")
        if not binaries:
            sys.exit("no PostgreSQL server found: apt-get install postgresql")
        data, port, redis = os.path.join(self.folder, "postgres"), free_port(), free_port()
        os.mkdir(data)
        demoted = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("postgres")
            os.chown(data, user.pw_uid, user.pw_gid)
            demoted = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        initdb = [f"{binaries}/initdb", "-D", data, "-U", "keyvane", "--auth=trust", "--no-locale", "--encoding=UTF8"]
        subprocess.run([*demoted, *initdb], check=True, stdout=subprocess.DEVNULL, cwd="/")
        processes.start([*demoted, f"{binaries}/postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", ""], cwd="/")
        processes.start(["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        wait_for("Redis", lambda: answers(redis))
        self.redis = redis
        self.postgres = f"postgres://keyvane@127.0.0.1:{port}/postgres"
        ping = ["psql", "-XAtqc", "SELECT 1", self.postgres]
        wait_for("PostgreSQL", lambda: subprocess.run(ping, capture_output=True).returncode == 0)
        self.environment = {
            "KEYVANE_POSTGRES": self.postgres, "KEYVANE_REDIS": f"redis://127.0.0.1:{redis}",
            "KEYVANE_MASTER_KEYS": f"bench:{base64.b64encode(secrets.token_bytes(32)).decode()}", "KEYVANE_LOG_LEVEL": "warning",
        }
        self.token = self.prepare(binary, 100)

    def prepare(self, binary, channels):
        """Makes those of the environments e0, e1, … that are not there yet; returns a token that may read them."""
        command = [binary, "bench", "prepare", "--channels", str(channels)]
        run = subprocess.run(command, env={**os.environ, **self.environment}, check=True, stdout=subprocess.PIPE, text=True)
        return run.stdout.strip()

    def sql(self, statement):
        return subprocess.run(["psql", "-XAtqc", statement, self.postgres], capture_output=True, text=True, check=True).stdout.strip()


class Server:
    """A server under test: its process, and what the load generator must know of it."""

    def __init__(self, name, pid, port, arguments, environment=None):
        self.name, self.pid, self.port, self.arguments, self.environment = name, pid, port, arguments, environment


def keyvane(processes, backends, binary, name="keyvane"):
    port = free_port()
    child = processes.start([binary, "gateway", "--name", name, "--listen", f"127.0.0.1:{port}"], SERVER_CORE, backends.environment)
    wait_for("the gateway", lambda: child.poll() is None and ready(port))
    watch = ["--header", f"Authorization: Bearer {backends.token}", "--source", "feed", "--ready", '"type":"snapshot"',
             "--target", "/v1/watch?environment=bench/fanout/e{channel}"]
    return Server("Keyvane", child.pid, port, watch, backends.environment)


def ready(port):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200
    return False


def uwebsockets(processes, tools):
    """Its own C interface, without Python: a small server in C against the library that the package ships."""
    library = next(tools.glob("**/libsocketify_linux_amd64.so"), None)
    if library is None:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", tools]
        subprocess.run([*pip, f"socketify=={SOCKETIFY}"], check=True)
        for archive in tools.glob("socketify*.tar.gz"):
            tarfile.open(archive).extractall(tools)
        for archive in tools.glob("socketify*.whl"):
            zipfile.ZipFile(archive).extractall(tools)
        library = next(tools.glob("**/libsocketify_linux_amd64.so"))
    program, port = os.path.join(processes.folder, "uwebsockets"), free_port()
    source = pathlib.Path(__file__).resolve().parent / "uwebsockets.c"
    subprocess.run(["cc", "-O2", "-o", program, source, library, f"-Wl,-rpath,{library.parent}"], check=True)
    child = processes.start([program, port], SERVER_CORE)
    wait_for("uWebSockets", lambda: answers(port))
    return Server("uWebSockets", child.pid, port, ["--target", "/{channel}", "--source", "websocket", "--bytes", str(CHANGE_BYTES)])


def nchan(processes, backends):
    port, files = free_port(), descriptors()
    configuration = os.path.join(processes.folder, "nginx.conf")
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(folder=processes.folder, port=port, redis=backends.redis, files=files, connections=files - 100, user=user)
    pathlib.Path(configuration).write_text(text)
    child = processes.start(["/usr/sbin/nginx", "-p", "/usr/share/nginx", "-c", configuration], SERVER_CORE)
    wait_for("nginx", lambda: answers(port))
    worker = int(open(f"/proc/{child.pid}/task/{child.pid}/children").read().split()[0])
    return Server("nchan", worker, port, ["--target", "/{channel}", "--source", "http", "--bytes", str(CHANGE_BYTES)])


def nats(processes):
    port, source = free_port(), free_port()
    configuration = os.path.join(processes.folder, "nats.conf")
    pathlib.Path(configuration).write_text(NATS.format(port=port, source=source))
    child = processes.start(["/usr/sbin/nats-server", "-c", configuration], SERVER_CORE)
    wait_for("nats-server", lambda: answers(port) and answers(source))
    hello = 'CONNECT {"verbose":false}\r\nSUB {channel} 1\r\nPING\r\n'
    watch = ["--target", "/", "--first", hello, "--ready", "PONG"]
    publish = ["--source", "nats", "--source-port", str(source), "--bytes", str(CHANGE_BYTES)]
    return Server("NATS", child.pid, port, watch + publish)


class Load:
    """One load generator with its sockets, ended with the block."""

    def __init__(self, binary, server, channels=1, commits=False):
        command = ["taskset", "-c", LOAD_CORE, binary, "bench", "fanout", "--port", str(server.port), "--channels", str(channels)]
        command += server.arguments
        if commits:
            command += ["--source", "store"]
        self.server = server
        self.process = subprocess.Popen(
            command, env={**os.environ, **(server.environment or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def order(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the load generator ended while it measured {self.server.name}; it says why above")
        report = json.loads(line)
        # A peer may lose messages under load; ours may not.
        if report.get("missing") and self.server.name == "Keyvane":
            sys.exit(f"{self.server.name}: {report['missing']} deliveries did not come, or came twice (negative), after {words}")
        return report


def descriptors():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit


def install():
    """Debian's peers and tools, where they are missing."""
    packages = {
        "gcc": "/usr/bin/cc", "libnginx-mod-nchan": "/usr/lib/nginx/modules/ngx_nchan_module.so", "nats-server": "/usr/sbin/nats-server",
        "postgresql-client": "/usr/bin/psql", "redis-server": "/usr/bin/redis-server",
    }
    missing = [package for package, path in packages.items() if not os.path.exists(path)]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], check=True, stdout=sys.stderr)
