# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 over one connection that is kept; it never sends anything twice by itself."""

import asyncio
import json


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def json(self):
        return json.loads(self.body)

    @property
    def revision(self):
        return int(self.fields.get("keyvane-revision", 0))


class Rest:
    def __init__(self, port, token=None):
        self.port, self.token = port, token
        self.reader = self.writer = None

    async def call(self, method, path, body=None, fields=None, close=False, timeout=30):
        """Raises OSError, EOFError or TimeoutError where there is no whole answer."""
        try:
            return await asyncio.wait_for(self.exchange(method, path, body, fields or {}, close), timeout)
        except BaseException:
            self.close()
            raise

    async def exchange(self, method, path, body, fields, close):
        # A server may close a connection that was long idle; nothing has been asked on it then.
        if self.writer is not None and self.reader.at_eof():
            self.close()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if close:
            lines.append("Connection: close")
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        status, fields = await read_head(self.reader)
        answer = Answer(status, fields, await self.content(method, status, fields))
        if close or fields.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def content(self, method, status, fields):
        if method == "HEAD" or status in (204, 304):
            return b""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return b"".join([chunk async for chunk in chunks(self.reader)])
        return await self.reader.readexactly(int(fields.get("content-length", 0)))

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return int(head[0].split(" ", 2)[1]), fields


async def chunks(reader):
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
