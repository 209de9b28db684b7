# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What somebody does with a deployment on the first day: up, a change, more gateways, gateways away, down."""

import re
import time

from cluster import Broken, Cluster
from containers import Container, inside


def play(repository, image, work, network, say):
    cluster = Cluster(repository, image, work, network, say)
    cluster.up()
    confined(cluster)
    client = cluster.as_client()
    if image.health and client.execute(image.health).returncode == 0:
        raise Broken("the image's health check is content where nothing listens")
    say("health checks: non-zero where nothing listens")

    replicas = {name: cluster.services[name]["deploy"]["replicas"] for name in ("api", "gateway")}
    cluster.await_servers(**replicas)
    say(f"the balancer has found {replicas['api']} APIs and {replicas['gateway']} gateways")
    scraped(cluster)
    cluster.command(client, "environment", "create", "demo/shop/production", "--parents")
    watcher = Container(
        "watcher-1", image, cluster.network, "watcher", [*image.entrypoint, "watch", "--json"],
        client.environment | {"KEYVANE_ENVIRONMENT": "demo/shop/production"}, work=work,
    )
    cluster.containers[watcher.name] = watcher
    # What is there already comes first: it shows that the watch is on before anything is written.
    cluster.command(client, "set", "GREETING=one")
    arrives(watcher, "one")
    say(f"a change through the balancer is with a watcher behind it ({changed(cluster, client, watcher, 'two'):.0f} ms, the command included)")

    for number in (4, 5):
        cluster.healthy(cluster.start("gateway", replicas["gateway"] + number - 3), cluster.services["gateway"])
    cluster.await_servers(replicas["api"], replicas["gateway"] + 2)
    say(f"--scale gateway={replicas['gateway'] + 2}: the two are found and take clients")
    first = [f"gateway-{number + 1}" for number in range(replicas["gateway"])]
    seconds = cluster.stop(first)
    took = changed(cluster, client, watcher, "three") / 1000
    say(f"SIGTERM to the first {len(first)} gateways at once: exit code 0 in {seconds:.1f} s; {took:.1f} s later the watcher has the next change from another")
    over_tls(cluster)
    # Process 1 has no default for signals, and a command installs none: only the roles are told to end.
    for each in (watcher, client):
        each.process.kill()
        each.process.wait()
        del cluster.containers[each.name]
    running = [name for name, each in cluster.containers.items() if each.process.poll() is None]
    seconds = cluster.stop(running)
    say(f"SIGTERM to the other {len(running)} at once: exit code 0 in {seconds:.1f} s at most; the grace is {cluster.services['api']['stop_grace_period']}")
    leaked = [name for name, each in cluster.containers.items() if any(secret in each.log.read_text() for secret in cluster.settings.values())]
    if leaked:
        raise Broken(f"a secret of .env is in the log of {', '.join(leaked)}")
    say("no secret of .env in any log")


def confined(cluster):
    """Of every role: the image's user, no rights, a root that can't be written."""
    for name in ("api-1", "gateway-1", "balancer-1"):
        container = cluster.containers[name]
        status = container.execute(["cat", "/proc/1/status"]).stdout
        found = {key: re.search(rf"^{key}:\s*(\S+)", status, re.M)[1] for key in ("Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs")}
        wanted = {"Uid": str(cluster.image.user[0]), "Gid": str(cluster.image.user[1]), "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
        if found != wanted:
            raise Broken(f"{name}: process 1 has {found}")
        for place in ("/x", "/tmp/x", "/usr/local/bin/x"):
            done = container.execute(["touch", place])
            if "Read-only file system" not in done.stderr:
                raise Broken(f"{name}: {place} can be written, or for another reason can't: {done.stderr}")
    cluster.say(f"every role is process 1 as user {cluster.image.user[0]}, without capabilities, on a read-only root")


def scraped(cluster):
    """As prometheus.yml does: by service names, the balancer by TLS and password."""
    wanted = {"api": "api_requests_total", "gateway": "gateway_connections"}
    for service, metric in wanted.items():
        text = fetch(cluster, [f"http://{cluster.containers[f'{service}-1'].address}:8080/metrics"])
        if metric not in text:
            raise Broken(f"{service}: no {metric} in its metrics")
    address = cluster.containers["balancer-1"].address
    password = (cluster.folder / "secrets/prometheus-password").read_text().strip()
    by_name = ["--cacert", str(cluster.folder / "secrets/balancer.crt"), "--resolve", f"balancer:9100:{address}", "https://balancer:9100/metrics"]
    if "balancer_server_up" not in fetch(cluster, ["--user", f"prometheus:{password}", *by_name]):
        raise Broken("balancer: no balancer_server_up in its metrics")
    status = fetch(cluster, ["--output", "/dev/null", "--write-out", "%{http_code}", *by_name], "--silent")
    if status != "401":
        raise Broken(f"balancer: its metrics are answered with {status} where no password is given")
    cluster.say("metrics: of APIs and gateways by HTTP, of the balancer by TLS with a password, and 401 without")


def fetch(cluster, words, *options):
    done = inside("bridge", ["curl", "--max-time", "10", *(options or ["--fail", "--silent", "--show-error"]), *words], capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"curl {words[-1]}: {done.stderr.strip()}")
    return done.stdout


def changed(cluster, client, watcher, value):
    """Writes, and returns the milliseconds until the watcher has it."""
    started = time.monotonic()
    cluster.command(client, "set", f"GREETING={value}")
    arrives(watcher, value)
    return (time.monotonic() - started) * 1000


def arrives(watcher, value):
    deadline = time.monotonic() + 30
    while f'"{value}"' not in watcher.log.read_text():
        if time.monotonic() > deadline or watcher.process.poll() is not None:
            raise Broken(f"the change to '{value}' doesn't reach the watcher\n    {watcher.tail()}")
        time.sleep(0.005)


def over_tls(cluster):
    """The health check of an instance that speaks TLS only."""
    cluster.services["gateway-tls"] = spec = dict(cluster.services["gateway"])
    spec["secrets"] = ["balancer-ca.pem", "balancer.key"]
    spec["environment"] = spec["environment"] | {
        "KEYVANE_TLS_CERTIFICATE": "/run/secrets/balancer-ca.pem", "KEYVANE_TLS_KEY": "/run/secrets/balancer.key",
    }
    instance = cluster.start("gateway-tls")
    cluster.healthy(instance, spec)
    cluster.stop([instance.name])
    cluster.say("a gateway with TLS of its own: healthy by the same checks")


def manifests_start(cases, image, work, network, say):
    """Each pod of the manifests, with its own environment and files, as far as `--check-config`."""
    for name, arguments, environment, mounts in cases:
        container = Container(name, image, network, name, [*image.entrypoint, *arguments, "--check-config"], environment, mounts, work=work)
        code = container.process.wait(30)
        if code:
            raise Broken(f"kubernetes, {name}: --check-config ends with {code}\n    {container.tail()}")
    say(f"kubernetes: the settings of {', '.join(name for name, *_ in cases)} are valid (--check-config in the image)")
