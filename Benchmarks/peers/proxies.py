# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What Benchmarks/balancer starts: our balancer, HAProxy and nginx, told the same in their own words, and the cheap server and load around them."""

import json
import os
import pathlib
import signal
import subprocess
import sys

from servers import LOAD_CORE, SERVER_CORE, answers, descriptors, free_port, wait_for

HERE = pathlib.Path(__file__).resolve().parent
# What is on in all three: sticky cookie, checks, metrics, forwarding fields; what is off: the access log. All else is near the defaults.
HAPROXY = """
global
  maxconn {connections}
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 65s
  timeout server 60s
  timeout tunnel 1h
  timeout http-keep-alive 65s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
frontend metrics
  bind 127.0.0.1:{metrics}
  http-request use-service prometheus-exporter if {{ path /metrics }}
frontend main
  bind 127.0.0.1:{port} {tls}
  option forwardfor
  http-request set-header X-Forwarded-Proto {scheme}
{routes}
  default_backend web
backend web
  balance roundrobin
  cookie SERVER insert indirect nocache
  option httpchk GET /readyz
  default-server check inter 5s fall 3 rise 2
{servers}
"""
NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; error_log {folder}/nginx.log; pid {folder}/nginx-{port}.pid; {user}
events {{ worker_connections {files}; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream web {{ {balance} {servers} keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} {listen} backlog=4096; {tls} keepalive_requests 1000000000; keepalive_timeout 65s;
    location = /stub_status {{ stub_status; }}
    location / {{
      proxy_pass http://web; proxy_http_version 1.1; proxy_read_timeout 1h; proxy_connect_timeout 5s;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""


class Kit:
    """The program on both sides of the proxies, built once, and a certificate."""

    def __init__(self, processes):
        self.processes = processes
        self.program = os.path.join(processes.folder, "proxyload")
        subprocess.run(["cc", "-O2", "-o", self.program, HERE / "proxyload.c", "-lssl", "-lcrypto"], check=True)
        self.pem = os.path.join(processes.folder, "site.pem")
        key = os.path.join(processes.folder, "site.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.pem], check=True, stderr=subprocess.DEVNULL,
        )
        pathlib.Path(self.pem).write_text(pathlib.Path(self.pem).read_text() + pathlib.Path(key).read_text())

    def serve(self, count=2):
        """A server process with so many ports; its ports come on its first line."""
        child = subprocess.Popen(["taskset", "-c", LOAD_CORE, self.program, "serve", str(count)], stdout=subprocess.PIPE, text=True)
        self.processes.children.append(child)
        child.ports = json.loads(child.stdout.readline())
        return child

    def start_load(self, *words):
        command = ["taskset", "-c", LOAD_CORE, self.program, *map(str, words)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish(self, child):
        output, _ = child.communicate(timeout=300)
        if child.returncode != 0:
            sys.exit(f"the load ended with {child.returncode}: {child.args}")
        return json.loads(output)

    def load(self, *words):
        return self.finish(self.start_load(*words))

    def logs(self, program):
        folder = pathlib.Path(self.processes.folder)
        return "".join(path.read_text()[-2000:] for path in sorted(folder.glob(f"*-{program}.log")))


class Proxy:
    """A proxy under test: what serves (a worker, where there are several processes) and where."""

    def __init__(self, name, child, pid, port, file=None):
        self.name, self.child, self.pid, self.port, self.file = name, child, pid, port, file


def keyvane(kit, binary, ports, tls=False, routes=0, file=None):
    """By flags where those say it all, else by a file; `file` is the text of a caller's own, with @PORT and @ADMIN to fill in."""
    port, admin = free_port(), free_port()
    if not (tls or routes or file):
        pool = "web=" + ",".join(f"s{number}@127.0.0.1:{server}" for number, server in enumerate(ports))
        path, told = None, ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", "--access-log", "off", "--pool", pool]
    else:
        path = os.path.join(kit.processes.folder, f"balancer-{port}.yaml")
        text = file or keyvane_file(kit, ports, tls, routes)
        pathlib.Path(path).write_text(text.replace("@PORT", str(port)).replace("@ADMIN", str(admin)))
        told = ["--config", path]
    child = kit.processes.start([binary, "balancer", *told], SERVER_CORE, {"KEYVANE_LOG_LEVEL": "error"})
    wait_for("the balancer", lambda: child.poll() is not None or answers(port))
    if child.poll() is not None:
        sys.exit(f"the balancer did not start: {kit.logs('keyvane')}")
    return Proxy("Keyvane", child, child.pid, port, path)


def keyvane_file(kit, ports, tls=False, routes=0, weight=1):
    certificate = f', tls: {{ certificates: [{{ pem: "{kit.pem}" }}], alpn: [h2, http/1.1] }}' if tls else ""
    lines = [
        "listeners:", f'  - {{ bind: "127.0.0.1:@PORT"{certificate} }}', 'admin: { bind: "127.0.0.1:@ADMIN" }', "access_log: off", "pools:", "  web:",
        "    servers:", *(f'      - {{ name: s{number}, address: "127.0.0.1:{server}", weight: {weight} }}' for number, server in enumerate(ports)),
        "routes:", *(f"  - {{ path: /route{number}/, pool: web }}" for number in range(routes)), "  - { path: /, pool: web }",
    ]
    return "\n".join(lines) + "\n"


def haproxy(kit, ports, tls=False, routes=0):
    port = free_port()
    path = os.path.join(kit.processes.folder, f"haproxy-{port}.cfg")
    servers = "\n".join(f"  server s{number} 127.0.0.1:{server} cookie s{number}" for number, server in enumerate(ports))
    table = "\n".join(f"  use_backend web if {{ path_beg /route{number}/ }}" for number in range(routes))
    pathlib.Path(path).write_text(HAPROXY.format(
        port=port, metrics=free_port(), connections=(descriptors() - 500) // 2, servers=servers, routes=table,
        tls=f"ssl crt {kit.pem} alpn h2,http/1.1" if tls else "", scheme="https" if tls else "http",
    ))
    child = kit.processes.start(["/usr/sbin/haproxy", "-db", "-f", path], SERVER_CORE)
    wait_for("HAProxy", lambda: answers(port))
    return Proxy("HAProxy", child, child.pid, port)


def nginx(kit, ports, tls=False, sticky=True):
    port, files = free_port(), descriptors()
    path = os.path.join(kit.processes.folder, f"nginx-{port}.conf")
    pathlib.Path(path).write_text(NGINX.format(
        folder=kit.processes.folder, port=port, files=files, user="user root;" if os.geteuid() == 0 else "",
        # The free nginx has no sticky cookie; a hash of one is what its users take.
        balance="hash $cookie_server;" if sticky else "", servers=" ".join(f"server 127.0.0.1:{server};" for server in ports),
        listen="ssl http2" if tls else "", tls=f"ssl_certificate {kit.pem}; ssl_certificate_key {kit.pem};" if tls else "",
    ))
    child = kit.processes.start(["/usr/sbin/nginx", "-c", path], SERVER_CORE)
    wait_for("nginx", lambda: answers(port))
    worker = int(open(f"/proc/{child.pid}/task/{child.pid}/children").read().split()[0])
    return Proxy("nginx", child, worker, port)


def stop(kit, proxies):
    for proxy in proxies:
        # nginx's SIGINT is a fast stop, and so are ours and HAProxy's for those without clients.
        proxy.child.send_signal(signal.SIGINT)
        kit.processes.stop(proxy.child)
