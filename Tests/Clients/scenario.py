# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# Runs clients/scenario.json against a running cluster, with each of our clients. A client is a process (adapter.*) that connects
# through a relay of this one, which sees and cuts what passes. Arguments: the cluster's state file, then NAME=COMMAND for each client.

import asyncio
import json
import shlex
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import requests
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LONG = 30
LARGEST_MESSAGE = 40 * 1024 * 1024
SCENARIO = json.loads((Path(__file__).parents[2] / "clients/scenario.json").read_text())
STATE = json.loads(Path(sys.argv[1]).read_text())


class Failure(Exception):
    """Something that doesn't hold."""


def check(condition, what):
    if not condition:
        raise Failure(what)


async def rest(method, path, body=None):
    headers = {"Authorization": f"Bearer {STATE['token']}"}
    answer = await asyncio.to_thread(requests.request, method, STATE["url"] + path, json=body, headers=headers, timeout=LONG)
    check(answer.ok, f"{method} {path}: {answer.status_code} {answer.text}")
    return answer


class Relay:
    """Stands between a client and the cluster: notes what passes, cuts the line, and loses a frame on demand."""

    def __init__(self):
        self.passed = asyncio.Queue()
        # How late, in seconds, the client came back after a drain.
        self.returns = asyncio.Queue()
        self.lost = asyncio.Event()
        self.losing = False
        self.open = asyncio.Event()
        self.open.set()
        self.gateway = None
        self.cursor = None
        self.connections = 0
        # When the last drain closed a connection, and how long after that the client may come back.
        self.drain = None

    @asynccontextmanager
    async def listening(self):
        async with serve(self.relay, "127.0.0.1", 0, subprotocols=["keyvane.v1"], max_size=LARGEST_MESSAGE) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def relay(self, client):
        self.connections += 1
        if self.drain:
            late = time.monotonic() - sum(self.drain)
            self.drain = None
            self.returns.put_nowait(late)
        if not self.open.is_set():
            client.transport.abort()
            return
        token = client.request.headers.get("Authorization")
        headers = {"Authorization": token} if token else None
        address = STATE["url"].replace("http", "ws") + client.request.path
        async with connect(address, additional_headers=headers, subprotocols=["keyvane.v1"], max_size=LARGEST_MESSAGE) as cluster:
            ways = [self.from_client(client, cluster), self.from_cluster(cluster, client), self.cutting(client)]
            tasks = [asyncio.create_task(way) for way in ways]
            done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            for task in done:
                task.result()

    async def from_client(self, client, cluster):
        try:
            async for text in client:
                message = json.loads(text)
                if message["type"] == "subscribe":
                    self.passed.put_nowait(("subscribe", message, self.cursor))
                await cluster.send(text)
        except ConnectionClosed:
            pass

    async def from_cluster(self, cluster, client):
        try:
            while True:
                text = await cluster.recv()
                if self.takes(json.loads(text)):
                    await client.send(text)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1011
            if code == 1012 and self.drain:
                self.drain = (time.monotonic(), self.drain[1])
            await client.close(code, closed.rcvd.reason if closed.rcvd else "")

    def takes(self, message):
        """Notes a message, and says whether the client gets it."""
        match message["type"]:
            case "ready":
                self.gateway = message["gateway"]
            case "changes" if self.losing:
                self.losing = False
                self.lost.set()
                return False
            case "snapshot" | "changes":
                self.cursor = message["cursor"]
                self.passed.put_nowait((message["type"], message, None))
            case "heartbeat":
                self.cursor = next(iter(message["heads"].values()), self.cursor)
            case "closing":
                self.drain = (time.monotonic(), message["reconnectAfterMs"] / 1_000) if message["reason"] == "drain" else None
        return True

    async def cutting(self, client):
        while self.open.is_set():
            await asyncio.sleep(0.01)
        client.transport.abort()


class Client:
    """The adapter process of one client."""

    def __init__(self, process):
        self.process = process
        self.events = asyncio.Queue()
        self.reading = asyncio.create_task(self.read())

    @staticmethod
    @asynccontextmanager
    async def running(command):
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LARGEST_MESSAGE
        )
        client = Client(process)
        try:
            yield client
        finally:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
            await client.reading

    async def read(self):
        async for line in self.process.stdout:
            self.events.put_nowait(json.loads(line))

    async def command(self, action, **members):
        self.process.stdin.write(json.dumps({"do": action, **members}).encode() + b"\n")
        await self.process.stdin.drain()

    async def event(self, *kinds):
        while True:
            event = await self.events.get()
            if event["event"] in kinds:
                return event
            check(event["event"] != "ended", f"the watch ended: {event}")


class Run:
    """One client's way through the scenario. Each verb of the file is a method."""

    def __init__(self, name, client, relay, url):
        self.client = client
        self.relay = relay
        self.url = url
        self.workspace = f"scenario-{name}"
        self.path = f"/v1/projects/{self.workspace}/web/environments/production"
        self.values = {}
        # What each revision must look like; those inside of a transaction must never be seen.
        self.history = {}
        self.head = 0
        self.seen = 0

    async def prepare(self):
        await rest("POST", "/v1/workspaces", {"slug": self.workspace})
        await rest("POST", f"/v1/workspaces/{self.workspace}/projects", {"slug": "web"})
        await rest("POST", f"/v1/projects/{self.workspace}/web/environments", {"slug": "production"})
        grants = [{"workspace": self.workspace, "permissions": ["read", "read_secrets"]}]
        self.token = (await rest("POST", "/v1/tokens", {"grants": grants})).json()

    async def write(self, set={}, delete=[]):
        body = {"set": [{"name": name, "value": value} for name, value in set.items()], "delete": delete}
        answer = await rest("PATCH", f"{self.path}/configuration", body)
        self.values = {name: value for name, value in {**self.values, **set}.items() if name not in delete}
        self.head = int(answer.headers["Keyvane-Revision"])
        self.history[self.head] = self.values

    async def flood(self, transactions, names, bytes):
        for number in range(transactions):
            await self.write({f"LARGE_{name}": f"{number:08}" * (bytes // 8) for name in range(names)})

    async def watch(self):
        environment = f"{self.workspace}/web/production"
        await self.client.command("watch", url=self.url, token=self.token["token"], environment=environment)

    async def acknowledge(self, status, message=None):
        await self.client.command("acknowledge", revision=self.seen, status=status, message=message)

    async def pause(self):
        await self.client.command("pause")

    async def cut(self):
        self.relay.open.clear()

    async def restore(self):
        self.relay.open.set()

    async def loseFrame(self):
        self.relay.losing = True

    async def drain(self):
        self.drained = self.relay.gateway
        await rest("POST", f"/v1/instances/{self.drained}/drain")

    async def undrain(self):
        check(self.relay.gateway != self.drained, f"still on {self.drained}, which drains")
        await rest("POST", f"/v1/instances/{self.drained}/ready")

    async def revoke(self):
        await rest("DELETE", f"/v1/tokens/{self.token['id']}")

    async def expectHead(self, turns=None):
        """Every configuration on the way is one that was committed, and none comes twice or late."""
        count = 0
        while self.seen < self.head:
            event = await self.client.event("configuration")
            revision = event["revision"]
            check(revision > self.seen, f"revision {revision} after {self.seen}")
            check(revision in self.history, f"revision {revision} is inside of a transaction")
            check(event["values"] == self.history[revision], f"revision {revision} isn't what was written: {str(event['values'])[:500]}")
            self.seen = revision
            count += 1
        check(turns is None or count <= turns, f"{count} turns to the newest state instead of {turns}")

    async def expectSubscribe(self, since):
        kind, message, cursor = await self.relay.passed.get()
        while kind != "subscribe":
            kind, message, cursor = await self.relay.passed.get()
        expected = {"nothing": None, "cursor": cursor}[since]
        check(message.get("since") == expected, f"subscribed since {message.get('since')} instead of {expected}")

    async def expectFrame(self, kind):
        passed = (await self.relay.passed.get())[0]
        check(passed == kind, f"{passed} instead of {kind}")

    async def expectLoss(self):
        await self.relay.lost.wait()

    async def expectInterruption(self, code):
        event = await self.client.event("interrupted")
        check(event["code"] == code, f"interrupted by {event['code']} instead of {code}")

    async def expectReturn(self):
        """Back after a drain neither before it was asked to nor long after."""
        late = await self.relay.returns.get()
        # A timer of a millisecond's grain may ring a little early, and a busy machine is late.
        check(-0.01 < late < 5, f"back {late:.3f} s later than the drain said")

    async def expectWatcher(self, word):
        """`E/watchers` says that the one watcher has applied the head, or why it failed."""
        while True:
            told = (await rest("GET", f"{self.path}/watchers")).json()
            if told["total"] == 1 and word in [failed["message"] for failed in told["failed"]]:
                return
            if told["total"] == 1 and word == "applied" and {"revision": self.seen, "watchers": 1} in told["byRevision"]:
                return
            await asyncio.sleep(0.1)

    async def expectEnd(self, code):
        event = await self.client.event("ended")
        check(event["code"] == code, f"ended with {event['code']} instead of {code}")
        connections = self.relay.connections
        # Longer than the first two delays of a client that would come back.
        await asyncio.sleep(1)
        check(self.relay.connections == connections, "it came back after its end")


# A verb that is a word of Python's.
setattr(Run, "continue", lambda run: run.client.command("continue"))


async def run(name, command):
    relay = Relay()
    async with relay.listening() as url, Client.running(command) as client:
        run = Run(name, client, relay, url)
        await run.prepare()
        for step in SCENARIO["steps"]:
            begun = time.monotonic()
            for action in step["actions"]:
                [(verb, given)] = action.items()
                words = [given] if isinstance(given, str) else []
                options = given if isinstance(given, dict) else {}
                try:
                    async with asyncio.timeout(LONG):
                        await getattr(run, verb)(*words, **options)
                except TimeoutError:
                    raise Failure(f"{step['name']}: {action}: it didn't come in {LONG} s") from None
                except Failure as failure:
                    raise Failure(f"{step['name']}: {action}: {failure}") from None
            print(f"check-clients: {name}: {step['name']} ({time.monotonic() - begun:.1f} s)")


async def main():
    for argument in sys.argv[2:]:
        name, _, command = argument.partition("=")
        try:
            await run(name, command)
        except Failure as failure:
            sys.exit(f"check-clients: FAILED: {name}: {failure}")


asyncio.run(main())
