# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Breaks one thing after the other, in rounds of all kinds in a new order, and mends what it broke before it goes on.

Each kind says what it excuses: `rest` requests or `watch` connections may fail from its beginning until a moment after everything is
well again. Redis away, a gateway's death and every drain excuse no REST request; and no fault excuses a lost change.
"""

import asyncio
import random
import signal


class Faults:
    def __init__(self, cluster, meter, watchers, narrow, flooder, wide):
        self.cluster, self.meter, self.watchers, self.narrow, self.flooder, self.wide = cluster, meter, watchers, narrow, flooder, wide
        self.kinds = [
            ("gateway killed", ("watch",), self.kill_gateway), ("API killed", ("rest",), self.kill_api),
            ("gateway drained", (), self.drain_gateway), ("API drained", (), self.drain_api), ("Redis paused", (), self.pause_redis),
            ("Redis killed", (), self.kill_redis), ("PostgreSQL restarted", ("rest", "watch"), self.restart_postgres),
            ("clients cut off", (), self.cut_clients), ("slow readers", (), self.stall_clients),
        ]

    async def run(self, seconds, pause):
        loop = asyncio.get_running_loop()
        end, left = loop.time() + seconds, []
        while loop.time() + pause < end:
            await asyncio.sleep(pause)
            if not left:
                left = random.sample(self.kinds, len(self.kinds))
            name, excuses, break_it = left.pop()
            with self.meter.fault(name, excuses):
                await break_it()
        await asyncio.sleep(max(0, end - loop.time()))

    # The first of each kind is the witness.

    async def end(self, name, number):
        pid = self.cluster.signal(name, number)
        if pid is not None:
            await self.cluster.restarted(name, pid)

    def any_gateway(self):
        return f"gateway-{random.randint(2, self.cluster.gateways)}"

    def any_api(self):
        return f"api-{random.randint(2, self.cluster.apis)}"

    async def kill_gateway(self):
        await self.end(self.any_gateway(), signal.SIGKILL)

    async def kill_api(self):
        await self.end(self.any_api(), signal.SIGKILL)

    async def drain_gateway(self):
        await self.end(self.any_gateway(), signal.SIGTERM)

    async def drain_api(self):
        await self.end(self.any_api(), signal.SIGTERM)

    async def pause_redis(self):
        self.cluster.signal("redis", signal.SIGSTOP)
        try:
            await asyncio.sleep(random.uniform(1, 4))
        finally:
            self.cluster.signal("redis", signal.SIGCONT)

    async def kill_redis(self):
        await self.end("redis", signal.SIGKILL)

    async def restart_postgres(self):
        """In order, or at once, as a crash: then it recovers from its log."""
        await self.end("postgres", random.choice((signal.SIGINT, signal.SIGQUIT)))

    async def cut_clients(self):
        for watcher in random.sample(self.watchers, len(self.watchers) // 5):
            watcher.cut(by_reset=random.random() < 0.5)

    async def stall_clients(self):
        """Those with small buffers stop reading where large values are written, until they are conflated; some others just stop."""
        until = asyncio.get_running_loop().time() + 6
        for watcher in self.narrow + random.sample(self.watchers, 4):
            watcher.stalled_until = until
        await self.flooder.flood(self.wide, 250, 60_000)
        await asyncio.sleep(max(0, until - asyncio.get_running_loop().time()))
