# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""compose.yaml in effect: its services as it says, in the folders that the Dockerfile's stages left, and one change through all of them."""

import glob
import json
import os
import pwd
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import compose
from containers import DESCRIPTORS, Container, dies_with_parent, inside


class Broken(Exception):
    pass


@dataclass
class Image:
    root: Path
    environment: dict
    entrypoint: list
    health: list
    user: tuple


def image_of(stage, root, path):
    user, _, group = stage.last("USER").text.partition(":")
    if not (user.isdecimal() and group.isdecimal() and int(user) > 0):
        raise Broken(f"USER {user}:{group}: must be numbers that aren't root's")
    return Image(root, {"PATH": path} | stage.environment(), stage.last("ENTRYPOINT").exec_form(), stage.health(), (int(user), int(group)))


class Cluster:
    def __init__(self, repository, image, work, network, say):
        self.image, self.work, self.network, self.say = image, work, network, say
        # A copy, because the secrets are made where the script expects them.
        self.folder = work / "docker"
        shutil.copytree(repository / "docker", self.folder, ignore=shutil.ignore_patterns(".env", "secrets"))
        subprocess.run([str(self.folder / "make-secrets")], check=True, stdout=subprocess.DEVNULL)
        self.settings = compose.settings_of(self.folder / ".env")
        self.project = compose.interpolated(compose.load((self.folder / "compose.yaml").read_text()), self.settings)
        self.services = self.project["services"]
        self.containers, self.foreign = {}, []

    def ours(self, name):
        return "build" in self.services[name]

    # MARK: Up

    def start(self, service, number=1):
        """One more instance, as `docker compose up` would start it."""
        spec, name = self.services[service], f"{service}-{number}"
        if not (spec.get("read_only") and spec.get("cap_drop") == ["ALL"] and "no-new-privileges:true" in spec.get("security_opt", [])):
            raise Broken(f"{service}: isn't read_only without rights, so it can't be tried as such")
        limit = spec.get("ulimits", {}).get("nofile")
        container = Container(
            name, self.image, self.network, service, [*self.image.entrypoint, *compose.words(spec["command"])],
            spec.get("environment", {}), compose.mounts(self.project, spec, self.folder), spec.get("tmpfs", []), self.work,
            (limit["soft"], limit["hard"]) if limit else DESCRIPTORS,
        )
        self.containers[name] = container
        return container

    def up(self):
        for service in compose.start_order(self.services):
            started, spec = time.monotonic(), self.services[service]
            if not self.ours(service):
                if service in ("postgres", "redis"):
                    getattr(self, f"_{service}")(spec)
                    self.say(f"{service}: this machine's, with the password of .env; its health check holds")
                continue
            count = spec.get("deploy", {}).get("replicas", 1)
            instances = [self.start(service, number + 1) for number in range(count)]
            if spec.get("restart") == "no":
                if (code := instances[0].process.wait(60)) != 0:
                    raise Broken(f"{service}: exit code {code}\n    {instances[0].tail()}")
                self.say(f"{service}: exit code 0 ({time.monotonic() - started:.1f} s)")
                continue
            for instance in instances:
                self.healthy(instance, spec)
            self.say(f"{service}: {count} up, healthy by compose's check and the image's ({time.monotonic() - started:.1f} s)")

    def healthy(self, instance, spec):
        for command in (compose.test_of(spec["healthcheck"]), self.image.health):
            if not instance.becomes(True, command, 40):
                raise Broken(f"{instance.name}: {' '.join(command)} doesn't become healthy\n    {instance.tail()}")

    def _foreign(self, name, command, health, environment, user):
        account = pwd.getpwnam(user)
        home = self.work / name
        home.mkdir(exist_ok=True)
        os.chown(home, account.pw_uid, account.pw_gid)
        log = open(self.work / f"{name}.log", "ab")
        process = subprocess.Popen(
            [
                "nsenter", f"--net=/run/netns/{name}", "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups",
                "env", "-C", str(home), *command,
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment, preexec_fn=dies_with_parent,
        )
        self.foreign.append(process)
        deadline = time.monotonic() + 30
        while inside(name, health, env=os.environ | environment, capture_output=True).returncode:
            if time.monotonic() > deadline or process.poll() is not None:
                raise Broken(f"{name} doesn't start\n{(self.work / f'{name}.log').read_text()[-800:]}")
            time.sleep(0.1)

    def _postgres(self, spec):
        """What the image's entry point does with the same variables."""
        self.network.join("postgres", "postgres")
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        variables = spec["environment"]
        data, secret = self.work / "postgres/data", self.work / "postgres/password"
        account = pwd.getpwnam("postgres")
        (self.work / "postgres").mkdir()
        os.chown(self.work / "postgres", account.pw_uid, account.pw_gid)
        secret.write_text(variables["POSTGRES_PASSWORD"])
        os.chown(secret, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", "env", "-C", str(self.work / "postgres")]
        subprocess.run(
            [
                *as_user, f"{binaries}/initdb", "--pgdata", str(data), "--username", variables["POSTGRES_USER"], f"--pwfile={secret}",
                "--no-sync", *variables["POSTGRES_INITDB_ARGS"].split(),
            ],
            check=True, capture_output=True,
        )
        with open(data / "pg_hba.conf", "a") as rules:
            rules.write("host all all all scram-sha-256\n")
        with open(data / "postgresql.conf", "a") as settings:
            settings.write("listen_addresses = '*'\nunix_socket_directories = ''\nfsync = off\n")
        command = [f"{binaries}/postgres", "-D", str(data), *spec["command"][1:]]
        self._foreign("postgres", command, compose.test_of(spec["healthcheck"]), {}, "postgres")
        database = inside(
            "postgres", ["createdb", "--host=127.0.0.1", f"--username={variables['POSTGRES_USER']}", variables["POSTGRES_DB"]],
            env=os.environ | {"PGPASSWORD": variables["POSTGRES_PASSWORD"]}, capture_output=True, text=True,
        )
        if database.returncode:
            raise Broken(f"postgres: {database.stderr}")

    def _redis(self, spec):
        self.network.join("redis", "redis")
        user = "redis" if any(entry.pw_name == "redis" for entry in pwd.getpwall()) else "nobody"
        self._foreign("redis", spec["command"], compose.test_of(spec["healthcheck"]), spec["environment"], user)

    # MARK: Looking at it

    def as_client(self):
        """A place for the command, as an operator's own container would be."""
        client = Container(
            "client-1", self.image, self.network, "client", ["sleep", "600"],
            {"KEYVANE_URL": "http://balancer:8080", "KEYVANE_TOKEN": self.settings["KEYVANE_ROOT_TOKEN"]}, work=self.work,
        )
        self.containers[client.name] = client
        deadline = time.monotonic() + 10
        while client.execute(["true"]).returncode if client.pid() else True:
            if time.monotonic() > deadline:
                raise Broken(f"client: {client.tail()}")
            time.sleep(0.05)
        return client

    def command(self, client, *words):
        done = client.execute(["keyvane", *words], KEYVANE_ENVIRONMENT="demo/shop/production")
        if done.returncode:
            raise Broken(f"keyvane {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def servers(self):
        """What the balancer has found, asked as docs/deployment.md says."""
        password = (self.folder / "secrets/operator-password").read_text().strip()
        done = self.containers["balancer-1"].execute(
            ["keyvane", "servers", "list", "--json", "--admin", "https://balancer:9100", "--user", "operator",
             "--admin-ca", "/run/secrets/balancer-ca.pem"],
            KEYVANE_ADMIN_PASSWORD=password,
        )
        if done.returncode:
            raise Broken(f"keyvane servers list: {done.stderr.strip()}")
        return {(each["pool"], each["name"]) for each in json.loads(done.stdout) if each["state"] == "up"}

    def await_servers(self, api, gateway):
        deadline = time.monotonic() + 20
        while True:
            found = self.servers()
            count = tuple(sum(pool == each for pool, _ in found) for each in ("api", "gateway"))
            if count == (api, gateway):
                return
            if time.monotonic() > deadline:
                raise Broken(f"the balancer finds {count[0]} APIs and {count[1]} gateways, not {api} and {gateway}")
            time.sleep(0.2)

    # MARK: Down

    def stop(self, names):
        """At once, each within its grace; the longest time it took."""
        def one(name):
            service = self.services.get(name.rpartition("-")[0], {})
            grace = compose.seconds(service.get("stop_grace_period", "10s"))
            code, seconds = self.containers[name].stop(grace)
            if code != 0:
                raise Broken(f"{name}: exit code {code} after SIGTERM and {seconds:.1f} s\n    {self.containers[name].tail()}")
            return seconds

        with ThreadPoolExecutor(len(names)) as threads:
            return max(threads.map(one, names))
