# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Mixed load with faults on a whole cluster, and whether everybody was told everything. Started by scripts/soak, which says how.

What flows through: writers and readers through the balancer (load.py), every committed change to every watcher (watchers.py), faults into
all of it (faults.py); the change table, the watchers' logs and the writers' answers into the checker (truth.py); samples into lines, table
and picture (meter.py, report.py, plot.py). Everything ends with the cluster's scope (cluster.py). A verdict is given when all is quiet.
"""

import argparse
import asyncio
import json
import pathlib
import signal
import sys

import plot
import report
from cluster import Cluster
from faults import Faults
from load import Churn, Reader, Writer, differences
from meter import Meter
from rest import Rest
from truth import Log, Truth
from watchers import SocketWatcher, StreamWatcher

ENVIRONMENTS, WATCHERS, WRITERS, READERS, CHURNERS = 8, 60, 6, 3, 2
# Between two calls of one writer, reader or churning client, in seconds.
PACE = {"write": (0.1, 0.3), "read": (0.1, 0.3), "churn": (0.05, 0.3)}


class Soak:
    def __init__(self, options, cluster):
        self.options, self.cluster = options, cluster
        self.meter, self.truth = Meter(cluster), Truth(cluster)
        self.heads = {}
        # Where large values are written: watched by few, and written by nobody else so often.
        self.wide = None
        self.tasks = []
        self.is_finished = False

    async def prepare(self):
        rest = Rest(self.cluster.port, self.cluster.token)
        await self.created(rest, "/v1/workspaces", {"slug": "acme"})
        await self.created(rest, "/v1/workspaces/acme/projects", {"slug": "web"})
        for number in range(ENVIRONMENTS):
            answer = await self.created(rest, "/v1/projects/acme/web/environments", {"slug": f"e{number}"})
            self.truth.add(answer["environment"], answer["cursor"])
            self.heads[answer["environment"]] = 0
        self.paths = list(self.heads)
        self.wide = self.paths.pop()
        blind = await self.created(rest, "/v1/tokens", {"grants": [{"workspace": "acme", "permissions": ["read"]}]})
        self.watchers = [self.watcher(number, blind["token"]) for number in range(WATCHERS)]
        self.narrow = [self.watcher(WATCHERS + number, blind["token"], is_narrow=True) for number in range(3)]
        rest.close()

    @staticmethod
    async def created(rest, path, body):
        answer = await rest.call("POST", path, body)
        if answer.status != 201:
            raise SystemExit(f"soak: POST {path}: {answer.status} {answer.body!r}")
        return answer.json()

    def watcher(self, number, blind, is_narrow=False):
        """One in five has a filter, one in nine may not read secrets, one in ten watches three environments, one in six reads an event stream."""
        first = number % len(self.paths)
        paths = [self.wide] if is_narrow else self.paths[first:first + (3 if number % 10 == 9 else 1)]
        shows_secrets = number % 9 != 8
        logs = {path: Log(number, path, "K_1" if number % 5 == 4 else "", shows_secrets) for path in paths}
        self.truth.logs += logs.values()
        arguments = number, self.cluster, self.meter, self.cluster.token if shows_secrets else blind, logs
        if number % 6 == 2 and len(logs) == 1 and not is_narrow:
            return StreamWatcher(*arguments)
        return SocketWatcher(*arguments, is_narrow=is_narrow)

    def start(self, work):
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def run(self):
        await self.prepare()
        everybody = self.watchers + self.narrow
        if self.options.lose_a_frame:
            everybody[7].loses_frame = 5
        for watcher in everybody:
            self.start(watcher.run())
        if not await self.caught_up(60):
            raise SystemExit(f"soak: not every watcher got a first state within a minute: {self.meter.failures[:3]}")
        writers = [Writer(number, self.cluster, self.meter, self.truth, self.heads) for number in range(WRITERS + 1)]
        writing = [self.start(writer.run(self.paths + [self.wide], PACE["write"])) for writer in writers[:-1]]
        for _ in range(READERS):
            self.start(Reader(self.cluster, self.meter, self.heads).run(self.paths, PACE["read"]))
        for _ in range(CHURNERS):
            self.start(Churn(self.cluster, self.meter, self.paths[0]).run(PACE["churn"]))
        sampling = self.start(self.sample())
        short = self.options.minutes < 3
        # A fault every ten seconds or so, and in a short run one after the other.
        faults = Faults(self.cluster, self.meter, self.watchers, self.narrow, writers[-1], self.wide)
        await self.until(self.start(faults.run(self.options.minutes * 60, 1.5 if short else 8)))
        for writer in writers:
            writer.is_stopped = True
        await asyncio.gather(*writing)
        await self.caught_up(60)
        sampling.cancel()
        await self.truth.audit(is_last=True)
        await differences(self.cluster, self.truth)
        self.say(self.meter.sample(len(self.truth.findings)))
        self.is_finished = True

    async def until(self, main):
        """Waits for `main`; any other task that ends meanwhile has failed."""
        done, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if main not in done:
            raise RuntimeError("a part of the load ended by itself")

    async def caught_up(self, seconds):
        for _ in range(seconds * 5):
            if await self.truth.audit() and not self.truth.behind():
                return True
            await asyncio.sleep(0.2)
        return False

    async def sample(self):
        interval = 10 if self.options.minutes >= 3 else 5
        print(report.HEAD, flush=True)
        while True:
            await asyncio.sleep(interval)
            # With PostgreSQL away the next audit reads on.
            await self.truth.audit()
            self.say(self.meter.sample(len(self.truth.findings)))

    @staticmethod
    def say(sample):
        print(report.line(sample), flush=True)

    async def stop(self):
        left = set(self.tasks)
        # Again, because asyncio.wait_for may lose a cancellation to a result that comes in the same moment.
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1)

    async def size(self):
        """Of PostgreSQL's rows for a change, with their indexes."""
        rows = await self.cluster.sql("SELECT pg_total_relation_size('keyvane.change') / greatest(count(*), 1) FROM keyvane.change")
        return f"PostgreSQL keeps {rows[0]} bytes a change" if rows else ""

    def verdict(self):
        faults = self.truth.findings + self.meter.failures + self.cluster.unwanted_ends() + report.growth(self.meter, len(self.truth.logs))
        print(f"\n{report.table(self.meter)}\n\n{report.summary(self.meter, self.truth, len(self.truth.logs))}")
        for fault in faults[:20]:
            print(f"soak: {fault}")
        if not self.is_finished:
            print("the soak was cut short: there is no verdict")
            return False
        print(
            f"the soak has failed: {len(self.truth.findings)} findings, {len(self.meter.failures)} failed requests or connections" if faults else
            "every watcher got every committed change, once and in order, and knows PostgreSQL's state; no request failed that must not; nothing grew"
        )
        return not faults


async def main(options):
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    async with Cluster(options.binary) as cluster:
        soak = Soak(options, cluster)
        try:
            await soak.run()
            print(await soak.size())
        finally:
            await soak.stop()
            if soak.meter.samples:
                passed = soak.verdict()
                plot.draw(soak.meter, output / "soak.png", f"scripts/soak {options.minutes:g}: {len(soak.meter.faults)} faults, {'all right' if passed else 'not all right'}")
                (output / "soak.json").write_text(json.dumps({"faults": soak.meter.faults, "samples": soak.meter.samples}))
                (output / "dev.log").write_bytes(cluster.log.read_bytes())
                print(f"soak: {output / 'soak.png'}, soak.json, dev.log")
    return passed


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=30, metavar="MINUTES")
    parser.add_argument("--output", default="soak-output", metavar="DIR", help="for soak.png, soak.json and dev.log (soak-output)")
    parser.add_argument("--binary", default=".build/release/keyvane", metavar="FILE", help="built by scripts/build where it is missing")
    parser.add_argument("--lose-a-frame", action="store_true", help="one watcher forgets a frame: the verdict must be red")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(0 if asyncio.run(main(arguments())) else 1)
    except asyncio.CancelledError:
        sys.exit("soak: interrupted")
