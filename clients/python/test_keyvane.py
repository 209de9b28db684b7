# Keyvane
# SPDX-License-Identifier: Apache-2.0

import asyncio
import json
import unittest
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from keyvane import Configuration, KeyvaneClient, KeyvaneError, WatchState, close_error
from websockets.asyncio.server import serve

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "clients/vectors.json").read_text())
ENVIRONMENT = "acme/web/production"


def text_of(message):
    """A string names a golden file; `text` is what isn't a message."""
    if isinstance(message, str):
        return (ROOT / f"Tests/Golden/watch/{message}.json").read_text().strip()
    return message["text"] if "text" in message else json.dumps(message)


def carry_out(state, step):
    """Carries out one step, and returns what came of it in the words of the vectors."""
    outcome, error, lasted = {}, None, 0
    try:
        sends = []
        if "opened" in step:
            sends = state.opened()
        if "received" in step:
            sends = state.received(text_of(step["received"]))
        if "acknowledged" in step:
            sends = state.acknowledge(**step["acknowledged"])
        if sends:
            outcome["sends"] = sends
    except KeyvaneError as thrown:
        error = thrown
    if "closed" in step:
        error = close_error(step["closed"].get("code", 1006), step["closed"].get("reason", ""))
        lasted = step["closed"].get("lastedMs", 0) / 1_000
    if "unreachable" in step:
        error = KeyvaneError("unreachable", "")
    news = state.take_news()
    if news is not None:
        outcome["holds"] = {"revision": news.revision, "cursor": news.cursor, "values": dict(news)}
    if error:
        state.closed(lasted)
        if error.is_final:
            outcome["ends"] = error.code
        else:
            outcome["reconnects"] = {"code": error.code, "afterMs": state.retry_after(error, VECTORS["jitter"]) * 1_000}
    return outcome


class VectorTests(unittest.TestCase):
    def test_vectors(self):
        outcomes = {"sends", "holds", "reconnects", "ends"}
        for exchange in VECTORS["exchanges"]:
            with self.subTest(exchange["name"]):
                state = WatchState(**exchange["watch"])
                for step in exchange["steps"]:
                    expected = {name: value for name, value in step.items() if name in outcomes}
                    self.assertEqual(carry_out(state, step), expected, f"at {step}")


class AcknowledgementTests(unittest.TestCase):
    def test_the_text_is_well_formed(self):
        state = WatchState(ENVIRONMENT, acknowledges=True)
        state.opened()
        for name in ("subscribed", "snapshot"):
            state.received(text_of(name))
        self.assertEqual(state.acknowledge(57, "failed", "\udc80 x")[0]["message"], "? x")
        self.assertEqual(state.acknowledge(57, "failed", "🔑" * 1_100)[0]["message"], "🔑" * 1_000)


class ScriptedGateway:
    """A server whose connections the test holds in its hands."""

    def __init__(self):
        self.connections = asyncio.Queue()

    @asynccontextmanager
    async def client(self, **settings):
        async def hold(socket):
            self.connections.put_nowait(socket)
            await socket.wait_closed()

        async with serve(hold, "127.0.0.1", 0, subprotocols=["keyvane.v1"]) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield KeyvaneClient(f"http://127.0.0.1:{self.port}", "kv_token", **settings)

    async def connected(self, answer="snapshot"):
        """The next connection, and what its client said first."""
        socket = await self.connections.get()
        said = [json.loads(await socket.recv()) for _ in range(2)]
        subscribed = {"type": "subscribed", "id": said[1]["id"], "environment": ENVIRONMENT}
        for message in ("ready", subscribed, answer):
            await socket.send(text_of(message))
        return socket, said


def change(previous, revision, value):
    return {
        "type": "changes",
        "environment": ENVIRONMENT,
        "previousRevision": previous,
        "revision": revision,
        "cursor": f"{revision}-m",
        "changes": [{"op": "set", "name": "A", "value": value, "isSecret": False, "version": 1, "revision": revision}],
    }


class WatchTests(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.gateway = ScriptedGateway()

    async def test_the_token_travels_in_the_first_message(self):
        async with self.gateway.client() as client:
            async with aclosing(aiter(client.watch(ENVIRONMENT))) as turns:
                first = asyncio.ensure_future(anext(turns))
                socket, said = await self.gateway.connected()
                configuration = await first
            self.assertEqual(socket.request.path, "/v1/watch")
            self.assertEqual(socket.subprotocol, "keyvane.v1")
            subscribe = {"type": "subscribe", "id": 1, "environment": ENVIRONMENT}
            self.assertEqual(said, [{"type": "authenticate", "token": "kv_token"}, subscribe])
            self.assertEqual(configuration["DB_HOST"], "10.0.0.5")
            self.assertTrue(configuration.entry("DB_PASSWORD").is_secret)
            self.assertIsNone(configuration.get("NONE"))
            await socket.wait_closed()
            self.assertNotIn("kv_token", f"{client!r} {client.watch(ENVIRONMENT)!r}")

    async def test_a_slow_body_gets_the_newest_state_next(self):
        async with self.gateway.client() as client, aclosing(aiter(client.watch(ENVIRONMENT))) as turns:
            first = asyncio.ensure_future(anext(turns))
            socket, _ = await self.gateway.connected()
            before = await first
            for revision in range(57, 357):
                await socket.send(json.dumps(change(revision, revision + 1, str(revision + 1))))
            # A gap, to which the client says something: so it has read all that came before.
            await socket.send(json.dumps(change(400, 401, "401")))
            self.assertEqual(json.loads(await socket.recv())["type"], "subscribe")
            configuration = await anext(turns)
            self.assertEqual((configuration.revision, configuration["A"]), (357, "357"))
            self.assertNotIn("A", before, "what was handed out doesn't change any more")

    async def test_it_resumes_and_ends_by_a_final_close_code(self):
        interruptions = []
        async with self.gateway.client() as client:
            watch = client.watch(ENVIRONMENT, on_interruption=lambda error, delay: interruptions.append((error.code, delay)))
            revisions = []

            async def read():
                async for configuration in watch:
                    revisions.append(configuration.revision)

            reading = asyncio.create_task(read())
            socket, _ = await self.gateway.connected()
            await socket.send(json.dumps({"type": "closing", "reason": "drain", "reconnectAfterMs": 5}))
            await socket.close(1012)
            socket, said = await self.gateway.connected(change(57, 58, "2"))
            self.assertEqual(said[1]["since"], "57-9f3a01c2")
            await socket.close(4401, "the token is revoked")
            with self.assertRaises(KeyvaneError) as caught:
                await reading
            self.assertEqual((caught.exception.code, caught.exception.message), ("unauthenticated", "the token is revoked"))
            self.assertTrue(caught.exception.is_final)
            self.assertEqual(revisions, [57, 58])
            self.assertEqual(interruptions, [("draining", 0.005)])
            self.assertTrue(self.gateway.connections.empty())

    async def test_silence_and_unreachable_servers_are_interruptions(self):
        codes = []
        told = asyncio.Event()

        def interrupted(error, delay):
            codes.append(error.code)
            told.set()

        async with self.gateway.client(silence_timeout=0.05) as client:
            reading = asyncio.ensure_future(anext(aiter(client.watch(ENVIRONMENT, on_interruption=interrupted))))
            await told.wait()
            reading.cancel()
        told.clear()
        unreachable = KeyvaneClient(f"http://127.0.0.1:{self.gateway.port}", "kv_token")
        reading = asyncio.ensure_future(anext(aiter(unreachable.watch(ENVIRONMENT, on_interruption=interrupted))))
        await told.wait()
        reading.cancel()
        self.assertEqual(codes, ["silent", "unreachable"])

    async def test_a_message_beyond_the_limit_ends_the_watch(self):
        with patch("keyvane.LARGEST_MESSAGE", 1_000):
            async with self.gateway.client() as client:
                reading = asyncio.ensure_future(anext(aiter(client.watch(ENVIRONMENT))))
                socket = await self.gateway.connections.get()
                await socket.send("x" * 1_001)
                with self.assertRaises(KeyvaneError) as caught:
                    await reading
                self.assertEqual(caught.exception.code, "message_too_large")

    async def test_acknowledgements_go_out_while_the_body_runs(self):
        async with self.gateway.client() as client:
            watch = client.watch(ENVIRONMENT, acknowledges=True)
            async with aclosing(aiter(watch)) as turns:
                first = asyncio.ensure_future(anext(turns))
                socket, said = await self.gateway.connected()
                revision = (await first).revision
                self.assertTrue(said[1]["acks"])
                await watch.acknowledge(revision)
                await watch.acknowledge(revision, "failed", "the port is taken")
                place = {"type": "ack", "environment": ENVIRONMENT, "revision": 57}
                self.assertEqual(json.loads(await socket.recv()), {**place, "status": "applied"})
                self.assertEqual(json.loads(await socket.recv()), {**place, "status": "failed", "message": "the port is taken"})
            # Nothing is sent on a connection that is gone.
            await watch.acknowledge(revision)

    async def test_leaving_the_loop_closes_the_connection_and_each_loop_starts_with_the_whole(self):
        async with self.gateway.client() as client:
            watch = client.watch(ENVIRONMENT)
            for _ in range(2):
                connecting = asyncio.create_task(self.gateway.connected())
                async for configuration in watch:
                    break
                self.assertEqual(configuration.revision, 57)
                socket, said = await connecting
                self.assertNotIn("since", said[1])
                await socket.wait_closed()

    async def test_an_error_of_the_callers_own_is_the_callers(self):
        def broken(error, delay):
            raise ArithmeticError("mine")

        async with self.gateway.client() as client:
            reading = asyncio.ensure_future(anext(aiter(client.watch(ENVIRONMENT, on_interruption=broken))))
            socket = await self.gateway.connections.get()
            await socket.close(1001)
            with self.assertRaises(ArithmeticError):
                await reading


class SettingsTests(unittest.TestCase):
    def test_settings_that_cannot_work_are_refused_at_once(self):
        for url in ["", "config.example.com", "ftp://x", "https://", "https://u:p@x", "https://x/?q", "https://x/#f"]:
            with self.subTest(url), self.assertRaises(KeyvaneError) as caught:
                KeyvaneClient(url, "kv_token")
            self.assertEqual(caught.exception.code, "invalid_url")
        with self.assertRaises(KeyvaneError):
            KeyvaneClient("https://config.example.com", "")

    def test_a_configuration_is_a_mapping_of_values(self):
        configuration = Configuration(ENVIRONMENT, 1, "1-m", {})
        self.assertEqual((configuration, len(configuration), configuration.entries), ({}, 0, []))


if __name__ == "__main__":
    unittest.main()
