# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Writers, readers and clients that come and go, all through the balancer. Each runs until its task is cancelled, or told to stop."""

import asyncio
import random
import time

from rest import Rest
from truth import Seen
from watchers import BUSY, reset

FAILURES = (OSError, EOFError, asyncio.TimeoutError)


def resource(path):
    workspace, project, environment = path.split("/")
    return f"/v1/projects/{workspace}/{project}/environments/{environment}"


class Writer:
    """Writes one thing after the other, each until it is answered: a repeated one carries the same Idempotency-Key, so it takes effect once."""

    def __init__(self, number, cluster, meter, truth, heads):
        self.number, self.meter, self.truth, self.heads = number, meter, truth, heads
        self.rest = Rest(cluster.port, cluster.token)
        self.count = 0
        self.is_stopped = False

    def unique(self):
        self.count += 1
        return f"w{self.number}-{self.count}"

    async def run(self, paths, pace):
        while not self.is_stopped:
            await self.write(random.choice(paths), *self.plan())
            await asyncio.sleep(random.uniform(*pace))

    async def flood(self, path, count, size):
        """Large values, so that whoever doesn't read falls behind."""
        for index in range(count):
            value = f"{self.unique()}-{random.randbytes(size // 2).hex()}"
            await self.write(path, "PUT", f"variables/L_{index % 8}", {"value": value}, {f"L_{index % 8}": value})

    def plan(self):
        choice, name = random.random(), random.randrange(20)
        if choice < 0.45:
            value = self.unique()
            return "PUT", f"variables/K_{name}", {"value": value}, {f"K_{name}": value}
        if choice < 0.55:
            value = self.unique()
            return "PUT", f"secrets/S_{name % 4}", {"value": value}, {f"S_{name % 4}": value}
        if choice < 0.65:
            return "DELETE", f"variables/K_{name}", None, {}, [f"K_{name}"]
        if choice < 0.93:
            sets = {f"K_{(name + step) % 20}": self.unique() for step in range(random.randint(1, 4))}
            removed = f"K_{(name + 10) % 20}"
            body = {"set": [{"name": key, "value": value} for key, value in sets.items()], "delete": [removed]}
            return "PATCH", "configuration", body, sets, [removed]
        # An import; the larger ones are announced without their values.
        sets = {f"I_{index}": self.unique() for index in range(random.choice((8, 8, 120)))}
        return "PUT", "configuration?format=json&mode=merge", sets, sets

    async def write(self, path, method, suffix, body, sets, deletes=()):
        key, deadline = f"soak-{self.unique()}", time.monotonic() + 60
        while True:
            began = time.monotonic()
            try:
                answer = await self.rest.call(method, f"{resource(path)}/{suffix}", body, {"Idempotency-Key": key}, close=random.random() < 0.2)
                if answer.status in BUSY:
                    self.meter.excusable("rest", f"{method} {suffix}: {answer.status} {answer.body[:200]!r}")
                elif 200 <= answer.status < 300 or method == "DELETE" and answer.status == 404:
                    break
                else:
                    return self.meter.failed("rest", f"{method} {suffix}: {answer.status} {answer.body[:300]!r}")
            except FAILURES as error:
                self.meter.excusable("rest", f"{method} {suffix}: {error!r}")
            self.meter.repeats += 1
            if time.monotonic() > deadline:
                return self.meter.failed("rest", f"{method} {suffix} had no answer for a minute")
            await asyncio.sleep(random.uniform(0.05, 0.2))
        self.meter.requested("write", time.monotonic() - began)
        if answer.status == 404:
            return
        self.heads[path] = max(self.heads[path], answer.revision)
        count = len(answer.json()["changes"]) if "configuration" in suffix else 1
        self.truth.claim(self.number, path, answer.revision, count, sets, deletes)


class Reader:
    """Reads what is written: nothing may be older than what a writer was answered before."""

    def __init__(self, cluster, meter, heads):
        self.meter, self.heads = meter, heads
        self.rest = Rest(cluster.port, cluster.token)
        self.tags = {}

    async def run(self, paths, pace):
        while True:
            path = random.choice(paths)
            known, began = self.heads[path], time.monotonic()
            suffix, fields = random.choice([
                ("configuration", {}), ("configuration", {"If-None-Match": self.tags.get(path, '"0"')}), (f"changes?since={max(0, known - 5)}", {}),
                ("variables?limit=20", {}), ("", {}),
            ])
            try:
                answer = await self.rest.call("GET", f"{resource(path)}/{suffix}".rstrip("/"), fields=fields, close=random.random() < 0.2)
                if answer.status in (200, 304):
                    self.meter.requested("read", time.monotonic() - began)
                    self.check(path, suffix, answer, known)
                elif answer.status in BUSY:
                    self.meter.excusable("rest", f"GET {suffix}: {answer.status} {answer.body[:200]!r}")
                else:
                    self.meter.failed("rest", f"GET {suffix}: {answer.status} {answer.body[:300]!r}")
            except FAILURES as error:
                self.meter.excusable("rest", f"GET {suffix}: {error!r}")
            await asyncio.sleep(random.uniform(*pace))

    def check(self, path, suffix, answer, known):
        if suffix == "configuration":
            self.tags[path] = answer.fields["etag"]
            revision = int(answer.fields["etag"].removeprefix("W/").strip('"'))
        elif suffix.startswith("variables"):
            return
        else:
            revision = answer.json()["revision"]
        if revision < known:
            self.meter.failed("rest", f"GET {suffix} of {path} is at {revision}, but {known} had been answered")


class Churn:
    """Clients that come, and go at every stage: half a head, half a body, before the answer, amid an upgrade. They must leave nothing behind."""

    def __init__(self, cluster, meter, path):
        self.cluster, self.meter, self.path = cluster, meter, path

    async def run(self, pace):
        while True:
            try:
                await asyncio.wait_for(random.choice((self.whole, self.cut_short, self.malformed))(), 30)
            except FAILURES:
                # The other end may do as it likes with those; `whole` counts its own.
                pass
            self.meter.churned += 1
            await asyncio.sleep(random.uniform(*pace))

    async def whole(self):
        try:
            answer = await Rest(self.cluster.port, self.cluster.token).call("GET", "/v1/whoami", close=True)
            if answer.status != 200:
                self.meter.excusable("rest", f"GET whoami: {answer.status}")
        except FAILURES as error:
            self.meter.excusable("rest", f"GET whoami on a new connection: {error!r}")

    async def cut_short(self):
        authorized = f"Host: localhost\r\nAuthorization: Bearer {self.cluster.token}\r\n"
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        text = random.choice([
            "GET /v1/whoami HTTP/1.1\r\nHost: loc", f"PUT {resource(self.path)}/variables/NEVER HTTP/1.1\r\n{authorized}Content-Length: 9000\r\n\r\n{{",
            f"GET {resource(self.path)}/configuration HTTP/1.1\r\n{authorized}\r\n",
            f"GET /v1/watch?environment={self.path} HTTP/1.1\r\n{authorized}{upgrade}",
        ])
        _, writer = await asyncio.open_connection("127.0.0.1", self.cluster.port)
        writer.write(text.encode())
        await asyncio.sleep(random.choice((0, 0.002, 0.02, 0.2)))
        if random.random() < 0.5:
            reset(writer)
        writer.transport.abort()

    async def malformed(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.cluster.port)
        writer.write(random.choice([b"\r\n\r\nGET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", random.randbytes(200)]))
        writer.write_eof()
        await reader.read()
        writer.close()


async def differences(cluster, truth):
    """What REST says in the end, against the change table."""
    rest = Rest(cluster.port, cluster.token)
    for path, history in truth.histories.items():
        answer = (await rest.call("GET", f"{resource(path)}/configuration")).json()
        state = history.state(history.head)
        entries = {item["name"]: Seen.of(item) for item in answer["entries"]}
        same = entries.keys() == state.keys() and all(entries[name].is_of(row) for name, row in state.items())
        if answer["revision"] != history.head or not same:
            truth.find(f"GET {path} is not the state at {history.head}: revision {answer['revision']}, {len(entries)} of {len(state)} entries")
    rest.close()
