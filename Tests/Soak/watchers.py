# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Clients as the protocol asks for them: they keep their cursors, reconnect after a failure and resume. Each writes its log for the checker."""

import asyncio
import datetime
import json
import random
import socket
import struct
import time

from rest import read_head
from truth import Seen
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

# What a server may answer while it is on its way out, or PostgreSQL away; the meter counts those that nothing excuses.
BUSY = (429, 502, 503, 504)


class Watcher:
    """Watches one environment or several; the connection is its subclass's."""

    def __init__(self, number, cluster, meter, token, logs):
        self.number, self.cluster, self.meter, self.token, self.logs = number, cluster, meter, token, logs
        self.cursors = {path: None for path in logs}
        self.pause = None
        self.stalled_until = 0
        # A planted bug, to see the checker red: this frame with changes is lost.
        self.loses_frame = None
        self.frames = 0

    async def run(self):
        failures = 0
        while True:
            self.pause = None
            try:
                await self.connection()
                failures = 0
            except (OSError, EOFError, ConnectionClosed, InvalidMessage, asyncio.TimeoutError) as error:
                failures = 0 if isinstance(error, ConnectionClosed) else failures + 1
                code = error.rcvd.code if isinstance(error, ConnectionClosed) and error.rcvd else 0
                if code >= 4400:
                    self.meter.failed("watch", f"watcher {self.number} was closed with {code} {error.rcvd.reason}")
                elif not isinstance(error, ConnectionClosed):
                    self.meter.excusable("watch", f"watcher {self.number}: {error!r}")
            except InvalidStatus as error:
                failures += 1
                self.refused(error.response.status_code)
            except InvalidHandshake as error:
                failures += 1
                self.meter.excusable("watch", f"watcher {self.number}: {error!r}")
            longest = min(0.1 * 2 ** min(failures, 4), 1)
            await asyncio.sleep(random.uniform(0.02, longest) if self.pause is None else self.pause)

    def refused(self, status):
        if status in BUSY:
            self.meter.excusable("watch", f"watcher {self.number} was refused with {status}")
        else:
            self.meter.failed("watch", f"watcher {self.number} was refused with {status}")

    def asked(self, path):
        cursor = self.cursors[path]
        self.logs[path].records.append(("asked", 0, None if cursor is None else int(cursor.split("-")[0])))

    async def stall(self):
        while (rest := self.stalled_until - time.monotonic()) > 0:
            await asyncio.sleep(rest)

    async def received(self, text):
        now = time.time()
        message = json.loads(text)
        kind, path = message["type"], message.get("environment")
        if kind == "snapshot":
            entries = [Seen.of(item) for item in message["entries"]]
            self.logs[path].records.append(("snapshot", message["revision"], message["cursor"], entries))
            self.cursors[path] = message["cursor"]
            self.meter.snapshots += 1
        elif kind == "changes":
            changes = [Seen.of(item) for item in message["changes"]]
            self.cursors[path] = message["cursor"]
            self.frames += bool(changes)
            if changes and self.frames == self.loses_frame:
                return
            self.logs[path].records.append(("changes", message["revision"], message["cursor"], message["previousRevision"], changes))
            if changes:
                at = datetime.datetime.fromisoformat(message["changes"][-1]["at"].replace("Z", "+00:00")).timestamp()
                # Whoever didn't want to read has made the rest of the latency himself.
                self.meter.delivered(len(changes), now - at if self.stalled_until + 2 < time.monotonic() else None)
        elif kind == "heartbeat":
            for name, cursor in message["heads"].items():
                self.logs[name].records.append(("head", int(cursor.split("-")[0]), cursor))
                self.cursors[name] = cursor
        elif kind == "closing":
            self.pause = message.get("reconnectAfterMs", 0) / 1000
        elif kind == "error":
            await self.error(message)

    async def error(self, message):
        # PostgreSQL is away: the connection stays, so this ends it to begin again.
        if message["code"] == "unavailable":
            self.meter.excusable("watch", f"watcher {self.number}: unavailable")
            raise EOFError
        self.meter.failed("watch", f"watcher {self.number}: {message}")


class SocketWatcher(Watcher):
    def __init__(self, *arguments, is_narrow=False):
        super().__init__(*arguments)
        self.is_narrow = is_narrow
        self.socket = None

    async def connection(self):
        target = f"ws://127.0.0.1:{self.cluster.port}/v1/watch"
        only = next(iter(self.logs)) if len(self.logs) == 1 else None
        if only:
            log, cursor = self.logs[only], self.cursors[only]
            target += f"?environment={only}" + (f"&names={log.prefix}*" if log.prefix else "") + (f"&since={cursor}" if cursor else "")
            self.asked(only)
        raw = socket.socket()
        raw.setblocking(False)
        # The kernel's buffers would hide from the server that a client reads nothing.
        if self.is_narrow:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        try:
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.cluster.port)), 10)
            # A cut takes it away at any time.
            self.socket = connection = await connect(
                target, sock=raw, proxy=None, additional_headers={"Authorization": f"Bearer {self.token}"}, open_timeout=20,
                ping_interval=None, max_size=None, max_queue=(4, 1), compression="deflate" if self.number % 3 == 1 else None, close_timeout=2,
            )
        except BaseException:
            raw.close()
            raise
        try:
            for path in [] if only else self.logs:
                self.asked(path)
                since = {"since": self.cursors[path]} if self.cursors[path] else {}
                names = {"names": [f"{self.logs[path].prefix}*"]} if self.logs[path].prefix else {}
                await connection.send(json.dumps({"type": "subscribe", "id": 1, "environment": path, **since, **names}))
            while True:
                await self.stall()
                # A server that says nothing for so long is given up; its heartbeat comes every 20 s.
                await self.received(await asyncio.wait_for(connection.recv(), 45))
        finally:
            self.cut()

    def cut(self, by_reset=False):
        if self.socket is not None:
            if by_reset:
                reset(self.socket.transport)
            self.socket.transport.abort()
            self.socket = None


class StreamWatcher(Watcher):
    """Server-Sent Events."""

    writer = None

    async def connection(self):
        path, log = next(iter(self.logs.items()))
        reader, self.writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.cluster.port, limit=1 << 26), 10)
        try:
            target = f"/v1/watch?environment={path}" + (f"&names={log.prefix}*" if log.prefix else "")
            resume = f"Last-Event-ID: {self.cursors[path]}\r\n" if self.cursors[path] else ""
            self.asked(path)
            self.writer.write(
                f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {self.token}\r\n{resume}\r\n".encode()
            )
            status, _ = await asyncio.wait_for(read_head(reader), 20)
            if status != 200:
                return self.refused(status)
            # Neither a length nor chunks: the body ends with the connection.
            buffer = b""
            while True:
                await self.stall()
                piece = await asyncio.wait_for(reader.read(65_536), 45)
                if not piece:
                    return
                buffer += piece
                *events, buffer = buffer.split(b"\n\n")
                for event in events:
                    for line in event.split(b"\n"):
                        if line.startswith(b"data: "):
                            await self.received(line[6:])
        finally:
            self.cut()

    def cut(self, by_reset=False):
        if self.writer is not None:
            if by_reset:
                reset(self.writer)
            self.writer.transport.abort()
            self.writer = None


def reset(transport):
    """A reset instead of an end, at the close that follows."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
