# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""The Python client as a process of the shared scenario: commands come in on standard input, what the loop over a watch sees goes
out on standard output, one JSON object a line."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "clients/python"))
from keyvane import KeyvaneClient, KeyvaneError  # noqa: E402


def write(event, **members):
    print(json.dumps({"event": event, **members}), flush=True)


async def report(watch, gate):
    try:
        async for configuration in watch:
            write("configuration", revision=configuration.revision, cursor=configuration.cursor, values=dict(configuration))
            await gate.wait()
    except KeyvaneError as error:
        write("ended", code=error.code)


async def main():
    gate = asyncio.Event()
    gate.set()
    watch = reporting = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        match command["do"]:
            case "watch":
                watch = KeyvaneClient(command["url"], command["token"]).watch(
                    command["environment"],
                    acknowledges=True,
                    on_interruption=lambda error, delay: write("interrupted", code=error.code, retryAfterMs=delay * 1_000),
                )
                reporting = asyncio.create_task(report(watch, gate))
            case "acknowledge":
                await watch.acknowledge(command["revision"], command["status"], command.get("message", ""))
            case "pause":
                gate.clear()
            case "continue":
                gate.set()
    reporting.cancel()


asyncio.run(main())
