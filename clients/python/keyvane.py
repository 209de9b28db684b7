# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""A client of Keyvane for asyncio, in one file: copy it into your project. It needs Python 3.10 and `websockets` 14.2 or newer: older
ones lose what came right before a close, which is where a draining gateway says when to come back.

    client = KeyvaneClient("https://config.example.com", token)
    async for configuration in client.watch("acme/web/production"):
        print(configuration.revision, configuration["DB_HOST"])

The loop's first turn has the whole configuration, each further one the configuration after a change. It reconnects and resumes by
itself, and misses nothing. A body that is slow gets the newest state next. The connection ends with the loop. The loop raises a
KeyvaneError only where trying again is of no use: a token that is wrong, revoked or not granted, an environment that isn't there.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

__all__ = ["Configuration", "Entry", "KeyvaneClient", "KeyvaneError", "Watch", "WatchState", "close_error"]

Message = dict[str, Any]

# The gateway's snapshots have 32 MiB at most; the rest is for what surrounds the values.
LARGEST_MESSAGE = 40 * 1024 * 1024
FIRST_BACKOFF = 0.25
LONGEST_BACKOFF = 10.0
STABLE_AFTER = 5.0
TOO_FAST_PAUSE = 30.0


class KeyvaneError(Exception):
    """What went wrong: `code`, stable and in snake_case, for programs, `message` for people. `is_final`: trying again is of no use."""

    def __init__(self, code: str, message: str, *, is_final: bool = False, close_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_final = is_final
        self.close_code = close_code

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Entry:
    """A variable or a secret."""

    name: str
    value: str
    """In plaintext, secrets included."""
    is_secret: bool
    version: int
    """How often this entry has changed."""
    revision: int
    """The environment's revision that this value came with."""

    @staticmethod
    def of(message: Message) -> Entry:
        return Entry(message["name"], message["value"], message["isSecret"], message["version"], message["revision"])


class Configuration(Mapping[str, str]):
    """All that an environment holds at one revision, as far as the token and the names show it. It doesn't change any more.

    As a mapping it has the values by name, as an application's environment variables would hold them.
    """

    def __init__(self, environment: str, revision: int, cursor: str, entries: Mapping[str, Entry]) -> None:
        self.environment = environment
        self.revision = revision
        self.cursor = cursor
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, name: str) -> Entry | None:
        """The entry under a name."""
        return self._entries.get(name)

    @property
    def entries(self) -> list[Entry]:
        """All entries."""
        return list(self._entries.values())


class KeyvaneClient:
    """A client of one Keyvane service.

    `url` is the service's base URL, http or https, with a path where a proxy puts one in front. `ssl` has trust roots and client
    certificates of your own. A connection may take `connect_timeout` seconds to open; one without a message for `silence_timeout`
    seconds is dead, which is stretched for slower heartbeats.
    """

    def __init__(
        self, url: str, token: str, *, ssl: SSLContext | None = None, connect_timeout: float = 10.0, silence_timeout: float = 45.0
    ) -> None:
        if not re.fullmatch(r"https?://[^/?#@]+[^?#@]*", url, re.IGNORECASE):
            raise KeyvaneError("invalid_url", "The URL of the service must look like https://config.example.com.", is_final=True)
        if not token:
            raise KeyvaneError("invalid_token", "The token is empty. Check where it is read from.", is_final=True)
        self._address = "ws" + url.rstrip("/")[len("http") :] + "/v1/watch"
        self._token = token
        self._ssl = ssl
        self._connect_timeout = connect_timeout
        self._silence_timeout = silence_timeout

    def watch(
        self,
        environment: str,
        *,
        names: Sequence[str] = (),
        acknowledges: bool = False,
        on_interruption: Callable[[KeyvaneError, float], None] | None = None,
    ) -> Watch:
        """The configuration of `workspace/project/environment`, now and after each change, for `async for`.

        `names` are globs such as `FEATURE_*`; none is all names. `acknowledges`: writers who wait for their change to be applied wait
        for `Watch.acknowledge`. `on_interruption` is called with the reason and the seconds until the next attempt when a connection
        is gone or could not be made.
        """
        return Watch(self, environment, names, acknowledges, on_interruption)


class Watch:
    """The watch of one environment, for one loop at a time."""

    def __init__(
        self,
        client: KeyvaneClient,
        environment: str,
        names: Sequence[str],
        acknowledges: bool,
        on_interruption: Callable[[KeyvaneError, float], None] | None,
    ) -> None:
        self._client = client
        self._subscription = (environment, list(names), acknowledges)
        self._on_interruption = on_interruption
        # What the loop knows; each loop starts with nothing.
        self._state = WatchState(*self._subscription)
        self._send: Callable[[list[Message]], Awaitable[None]] | None = None

    async def acknowledge(self, revision: int, status: str = "applied", message: str = "") -> None:
        """Tells the service that a revision is in use, or that it can't be. Needs `acknowledges`. It is repeated on a new connection.

        `status` is `applied` or `failed`, and `message` says why, for whoever looks at the environment's watchers: no secrets in it.
        """
        messages = self._state.acknowledge(revision, status, message)
        if self._send is not None:
            # A connection that is gone is noticed by whoever reads from it.
            with suppress(ConnectionClosed):
                await self._send(messages)

    async def __aiter__(self) -> AsyncIterator[Configuration]:
        state = self._state = WatchState(*self._subscription)
        news = asyncio.Event()
        running = asyncio.create_task(self._run(news))
        running.add_done_callback(lambda _: news.set())
        try:
            while True:
                # However many frames have come since, there is one state to hand out: the newest.
                if (configuration := state.take_news()) is not None:
                    yield configuration
                elif running.done():
                    await running
                else:
                    await news.wait()
                    news.clear()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self, news: asyncio.Event) -> None:
        """Connects again and again; raises when that is of no use."""
        while True:
            try:
                await self._connection(news)
            except KeyvaneError as error:
                if error.is_final:
                    raise
                delay = self._state.retry_after(error, random.random())
                if self._on_interruption is not None:
                    self._on_interruption(error, delay)
                await asyncio.sleep(delay)

    async def _connection(self, news: asyncio.Event) -> None:
        """One connection from its beginning to its end, which it raises."""
        opened_at: float | None = None
        try:
            async with connect(
                self._client._address,
                subprotocols=[Subprotocol("keyvane.v1")],
                ssl=self._client._ssl,
                max_size=LARGEST_MESSAGE,
                open_timeout=self._client._connect_timeout,
                # The gateway's heartbeats tell whether it is there, and it pings itself. A dead one answers no close frame.
                ping_interval=None,
                close_timeout=1,
            ) as socket:
                opened_at = time.monotonic()

                async def send(messages: list[Message]) -> None:
                    for message in messages:
                        await socket.send(json.dumps(message))

                # As a message and not in a header: so a wrong token is told by a close code, as in browsers.
                await send([{"type": "authenticate", "token": self._client._token}, *self._state.opened()])
                self._send = send
                while True:
                    silence = max(self._client._silence_timeout, self._state.heartbeat * 2.25)
                    text = await asyncio.wait_for(socket.recv(), silence)
                    messages = self._state.received(text)
                    news.set()
                    await send(messages)
        except ConnectionClosed as error:
            # A message beyond the limit is refused by this side.
            close = error.rcvd or (error.sent if error.sent and error.sent.code == 1009 else None)
            raise close_error(close.code if close else 1006, close.reason if close else "") from error
        except (OSError, InvalidHandshake, asyncio.TimeoutError) as error:
            if opened_at is None:
                raise KeyvaneError("unreachable", f"The service could not be reached: {error}") from error
            raise KeyvaneError("silent", "The gateway has sent nothing, not even a heartbeat, and counts as dead.") from error
        finally:
            self._send = None
            self._state.closed(0 if opened_at is None else time.monotonic() - opened_at)


class WatchState:
    """What a watch knows and says, without any I/O: `docs/protocol.md` in code.

    Methods return the messages to send; one that raises a KeyvaneError wants the connection closed, and another one made unless the
    error is final.
    """

    # `error` codes of a refused subscription after which it is worth trying again.
    _PASSING = frozenset({"unavailable", "overloaded", "draining", "too_fast", "timeout", "internal_error"})

    def __init__(self, environment: str, names: Sequence[str] = (), acknowledges: bool = False) -> None:
        # How often, in seconds, the gateway says something at least.
        self.heartbeat = 0.0
        self._environment = environment
        self._names = list(names)
        self._acknowledges = acknowledges
        self._next_id = 1
        # The subscription without an answer; frames before its `subscribed` belong to an older one.
        self._requested: int | None = None
        # A frame of the newest subscription has come.
        self._is_live = False
        # Where to resume.
        self._cursor: str | None = None
        # What the next frame starts from. Not the cursor's: heartbeats move that past changes that this watch may not see.
        self._revision: int | None = None
        # The newest state and its place.
        self._entries: dict[str, Entry] = {}
        self._place = (0, "")
        self._has_news = False
        self._last_acknowledgement: Message | None = None
        self._announced_delay: float | None = None
        self._backoff = FIRST_BACKOFF

    def take_news(self) -> Configuration | None:
        """The newest state, where it wasn't taken yet."""
        if not self._has_news:
            return None
        self._has_news = False
        return Configuration(self._environment, *self._place, self._entries)

    def opened(self) -> list[Message]:
        """A connection is open."""
        self._announced_delay = None
        return self._subscribe()

    def closed(self, lasted: float) -> None:
        """The connection is gone, after so many seconds."""
        self._is_live = False
        if lasted >= STABLE_AFTER:
            self._backoff = FIRST_BACKOFF

    def retry_after(self, error: KeyvaneError, jitter: float) -> float:
        """How many seconds to wait before the next connection; `jitter` is random, from 0 up to 1."""
        if error.close_code == 4429:
            return TOO_FAST_PAUSE * (0.5 + jitter / 2)
        if error.close_code is not None and self._announced_delay is not None:
            return self._announced_delay
        # All of the delay is random: after a gateway's death its clients come back spread over the whole of it.
        delay = self._backoff * jitter
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF)
        return delay

    def acknowledge(self, revision: int, status: str, message: str = "") -> list[Message]:
        """The consumer has applied a revision, or failed to."""
        if not self._acknowledges:
            return []
        acknowledgement: Message = {"type": "ack", "environment": self._environment, "revision": revision, "status": status}
        if status == "failed":
            # Half a surrogate pair, as in the name of a file, is no UTF-8, and the gateway would close the connection over it.
            acknowledgement["message"] = message[:1_000].encode(errors="replace").decode()
        self._last_acknowledgement = acknowledgement
        return [acknowledgement] if self._is_live else []

    def received(self, text: str | bytes) -> list[Message]:
        """A message came. Unknown types are newer than this client, and left alone."""
        message = self._parse(text)
        if message.get("environment", self._environment) != self._environment:
            return []
        match message["type"]:
            case "ready":
                self.heartbeat = (message.get("heartbeatMs") or 0) / 1_000
            case "subscribed":
                if message.get("id") == self._requested:
                    self._requested = None
            case "snapshot":
                return self._snapshot_received(message)
            case "changes":
                return self._changes_received(message)
            case "heartbeat":
                self._head_received(message.get("heads", {}).get(self._environment))
            case "unsubscribed":
                # Never asked for, so a grant has changed: the answer to another subscription tells.
                return self._subscribe()
            case "error":
                self._refused(message)
            case "closing":
                self._closing(message)
        return []

    def _parse(self, text: str | bytes) -> Message:
        try:
            message: Message = json.loads(text)
            if not isinstance(message["type"], str):
                raise TypeError("not a message")
            if message["type"] in ("snapshot", "changes"):
                message["revision"] = int(message["revision"])
                if not isinstance(message["cursor"], str):
                    raise TypeError("not a cursor")
            if message["type"] == "snapshot":
                message["entries"] = [Entry.of(entry) for entry in message["entries"]]
            if message["type"] == "changes":
                message["changes"] = [(c["name"], Entry.of(c) if c["op"] == "set" else None) for c in message["changes"]]
            return message
        except (ValueError, KeyError, TypeError) as error:
            why = "A message of the gateway isn't what this client understands. Check that their versions fit."
            raise self._unreadable(why) from error

    def _unreadable(self, message: str) -> KeyvaneError:
        """What this watch knows may be incomplete from here on: the next connection starts with a snapshot."""
        self._cursor = None
        return KeyvaneError("invalid_answer", message)

    def _subscribe(self) -> list[Message]:
        self._requested = self._next_id
        self._next_id += 1
        self._is_live = False
        self._revision = int(self._cursor.partition("-")[0]) if self._cursor else None
        message: Message = {"type": "subscribe", "id": self._requested, "environment": self._environment}
        if self._cursor:
            message["since"] = self._cursor
        if self._names:
            message["names"] = self._names
        if self._acknowledges:
            message["acks"] = True
        return [message]

    def _snapshot_received(self, message: Message) -> list[Message]:
        if self._requested is not None:
            return []
        self._entries = {entry.name: entry for entry in message["entries"]}
        self._has_news = True
        return self._frame_taken(message)

    def _changes_received(self, message: Message) -> list[Message]:
        if self._requested is not None:
            return []
        if self._revision is None:
            raise self._unreadable("The gateway sent changes where a snapshot was asked for.")
        if message.get("previousRevision") != self._revision or message["revision"] < self._revision:
            # Something between is missing, and nobody can say what: start over.
            self._cursor = None
            return self._subscribe()
        for name, entry in message["changes"]:
            if entry is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = entry
            self._has_news = True
        return self._frame_taken(message)

    def _frame_taken(self, message: Message) -> list[Message]:
        # The cursor moves only after the state, never before it: what is missed in between comes again.
        self._place = (message["revision"], message["cursor"])
        self._revision, self._cursor = self._place
        is_first, self._is_live = not self._is_live, True
        # A new connection knows nothing of what was acknowledged on the one before.
        return [self._last_acknowledgement] if is_first and self._last_acknowledgement else []

    def _head_received(self, head: str | None) -> None:
        if self._is_live and head and int(head.partition("-")[0]) >= (self._revision or 0):
            self._cursor = head

    def _refused(self, message: Message) -> None:
        # What isn't about the subscription, such as an acknowledgement that came too late, is followed by a close where it is serious.
        if self._requested is not None and message.get("id") == self._requested:
            code = message.get("code", "refused")
            text = message.get("message", "The gateway refused the subscription.")
            raise KeyvaneError(code, text, is_final=code not in self._PASSING)

    def _closing(self, message: Message) -> None:
        if message.get("reason") == "deleted":
            raise close_error(4404, "")
        delay = message.get("reconnectAfterMs")
        self._announced_delay = None if delay is None else max(0, delay) / 1_000


_LOST = ("connection_lost", "The connection to the gateway was lost.")
_CLOSED = ("connection_closed", "The gateway closed the connection.")
_CLOSE_CODES = {
    1000: _CLOSED,
    1001: _CLOSED,
    # RFC 6455, section 7.1.5: what a WebSocket reports where no code came at all.
    1005: _LOST,
    1006: _LOST,
    1009: ("message_too_large", "The gateway sent a message that is larger than this client takes."),
    1012: ("draining", "The gateway is being restarted."),
    1013: ("overloaded", "The gateway has too much to do, or this client took nothing for too long."),
    4400: ("bad_message", "The gateway doesn't understand this client. Check that their versions fit."),
    4401: ("unauthenticated", "The token is not valid: it was revoked or has expired. Get a new one."),
    4403: ("forbidden", "The token doesn't grant this. Ask for a grant that covers the environment."),
    4404: ("environment_not_found", "There is no such environment. Check its spelling, or whether it was deleted."),
    4408: ("authentication_timeout", "The gateway got no token in time."),
    4429: ("too_fast", "The gateway found this client too fast."),
}


def close_error(code: int, reason: str) -> KeyvaneError:
    """What a close code means."""
    name, message = _CLOSE_CODES.get(code, (f"closed_{code}", f"The gateway closed the connection with code {code}."))
    # A message that was too large once comes again.
    is_final = code == 1009 or (code >= 4400 and code != 4429)
    return KeyvaneError(name, reason or message, is_final=is_final, close_code=code)
