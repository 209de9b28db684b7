# Keyvane
# SPDX-License-Identifier: Apache-2.0
#
# Clients that are not ours, against a running cluster: python-socketio as keyshade's own client uses Socket.IO, websocket-client, curl.
# Arguments: the cluster's state file. Prints what held; exits 1 at the first thing that didn't.

import json
import queue
import subprocess
import sys
import threading
import time

import requests
import socketio
import websocket

NAMESPACE = "/change-notifier"
PLACE = {"workspaceSlug": "clients", "projectSlug": "web", "environmentSlug": "production"}
PATH = "clients/web/production"
REST = "/v1/projects/clients/web/environments/production"
LONG = 20

state = json.load(open(sys.argv[1]))
url, token = state["url"], state["token"]
gateways = ["http://" + gateway["address"] for gateway in state["gateways"]]


def check(condition, what):
    if not condition:
        print(f"check-clients: FAILED: {what}", file=sys.stderr)
        sys.exit(1)


def rest(method, path, body=None, expected=(200, 201, 204)):
    answer = requests.request(method, url + path, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=LONG)
    check(answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}")
    return answer


def put(name, value, kind="variables"):
    return int(rest("PUT", f"{REST}/{kind}/{name}", {"value": value}).headers["Keyvane-Revision"])


class KeyshadeClient:
    """A session as keyshade's command opens it."""

    def __init__(self, address, own_token=token):
        self.registered, self.updates, self.gone = queue.Queue(), queue.Queue(), threading.Event()
        self.sio = socketio.Client(reconnection=False)
        self.sio.on("client-registered", self.registered.put, namespace=NAMESPACE)
        self.sio.on("configuration-updated", self.updates.put, namespace=NAMESPACE)
        self.sio.on("disconnect", lambda *_: self.gone.set(), namespace=NAMESPACE)
        self.sio.connect(
            address, headers={"x-keyshade-token": own_token}, transports=["websocket"], namespaces=[NAMESPACE], wait_timeout=LONG
        )

    def register(self, place=None, callback=None):
        self.sio.emit("register-client-app", place or PLACE, namespace=NAMESPACE, callback=callback)
        return self.registered.get(timeout=LONG)

    def update(self):
        return self.updates.get(timeout=LONG)

    def close(self):
        self.sio.disconnect()


def register_and_receive(name, address):
    client = KeyshadeClient(address)
    answer = client.register()
    check(answer == {"success": True, "message": "Registration Successful"}, f"{name}: {answer}")
    # What was changed a moment ago is sent again; it is known by its values.
    while not client.updates.empty():
        client.updates.get()
    mark = f"{name} {time.time()}"
    put("COLOUR", mark)
    put("PASSWORD", "secret of " + mark, "secrets")
    rest("PATCH", f"{REST}/configuration", {"set": [{"name": f"PART_{part}", "value": mark} for part in "ABC"], "delete": ["OLD"]})
    rest("DELETE", f"{REST}/variables/PART_C")
    put("LAST", mark)
    expected = [("COLOUR", mark), ("PASSWORD", "secret of " + mark), ("PART_A", mark), ("PART_B", mark), ("PART_C", mark), ("LAST", mark)]
    got = []
    while not got or got[-1][0] != "LAST" or got[-1][1] != mark:
        update = client.update()
        check(set(update) == {"name", "value", "isPlaintext"} and update["isPlaintext"] is True, f"{name}: {update}")
        if mark in update["value"]:
            got.append((update["name"], update["value"]))
    check(got == expected, f"{name}: {got} instead of {expected}")
    client.close()
    print(f"check-clients: python-socketio, {name}: registered, {len(got)} updates in order, each once")


def refusals():
    client = KeyshadeClient(url)
    answer = client.register(dict(PLACE, environmentSlug="nowhere"))
    check(answer["success"] is False and answer["message"], f"an unknown environment: {answer}")
    acknowledged = queue.Queue()
    client.register(callback=lambda *words: acknowledged.put(words))
    acknowledged.get(timeout=LONG)
    client.close()
    stranger = KeyshadeClient(url, "kv_00000000_" + "A" * 43)
    answer = stranger.register()
    check(answer["success"] is False and answer["message"], f"a wrong token: {answer}")
    stranger.close()
    print("check-clients: python-socketio: an unknown environment and a wrong token are refused, an acknowledgement is answered")


def resent_after_a_reconnect():
    put("MISSED", "before anybody came")
    client = KeyshadeClient(url)
    client.register()
    while (update := client.update())["name"] != "MISSED":
        pass
    check(update["value"] == "before anybody came", f"{update}")
    client.close()
    print("check-clients: python-socketio: what changed shortly before a registration is sent again")


def watch_until_gone(start, gone):
    """Runs `start`, which returns how the connection ended once it has, and notes when that was."""

    def run():
        end = "an error, see above"
        try:
            end = start()
        finally:
            gone.put((time.monotonic(), end))

    threading.Thread(target=run, daemon=True).start()


def revocation():
    own = rest("POST", "/v1/tokens", {"grants": [{"workspace": "clients", "permissions": ["read", "read_secrets"]}]}).json()
    ended = []
    for gateway in gateways:
        socket = websocket.create_connection(
            gateway.replace("http", "ws") + f"/v1/watch?environment={PATH}", header=[f"Authorization: Bearer {own['token']}"], timeout=LONG
        )
        while json.loads(socket.recv())["type"] != "snapshot":
            pass
        events = requests.get(
            gateway + "/v1/watch",
            params={"environment": PATH},
            headers={"Authorization": f"Bearer {own['token']}", "Accept": "text/event-stream"},
            stream=True,
            timeout=LONG,
        )
        check(events.status_code == 200, f"SSE: {events.status_code}")
        lines = events.iter_lines()
        while not next(lines).startswith(b"event: snapshot"):
            pass
        client = KeyshadeClient(gateway, own["token"])
        check(client.register()["success"] is True, "the token's own Socket.IO registration")

        def read_socket(socket=socket):
            while True:
                opcode, data = socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    return int.from_bytes(data[:2], "big")

        def read_events(lines=lines):
            events = [line for line in lines if line.startswith(b"event: ")]
            return events[-1] if events else None

        for kind, start, end in [
            ("WebSocket", read_socket, 4401),
            ("SSE", read_events, b"event: closing"),
            ("Socket.IO", lambda client=client: client.gone.wait(LONG), True),
        ]:
            gone = queue.Queue()
            watch_until_gone(start, gone)
            ended.append((kind, gone, end))
    begun = time.monotonic()
    rest("DELETE", f"/v1/tokens/{own['id']}")
    slowest = {}
    for kind, gone, expected in ended:
        moment, end = gone.get(timeout=LONG)
        check(end == expected, f"a revoked token's {kind} ended with {end} instead of {expected}")
        slowest[kind] = max(slowest.get(kind, 0), moment - begun)
    told = ", ".join(f"{kind} {seconds * 1000:.0f} ms" for kind, seconds in sorted(slowest.items()))
    check(max(slowest.values()) < 1, f"a revoked token's sockets took {told}")
    refused = requests.get(url + REST, headers={"Authorization": f"Bearer {own['token']}"}, timeout=LONG)
    check(refused.status_code == 401, f"REST with a revoked token: {refused.status_code}")
    print(f"check-clients: a revoked token was gone from {len(gateways)} gateways after: {told}")


class Curl:
    """`curl` as anybody would read an event stream with it."""

    def __init__(self, last=None):
        arguments = ["curl", "-sSN", "-H", f"Authorization: Bearer {token}", "-H", "Accept: text/event-stream"]
        if last:
            arguments += ["-H", f"Last-Event-ID: {last}"]
        self.process = subprocess.Popen(arguments + [f"{url}/v1/watch?environment={PATH}"], stdout=subprocess.PIPE, text=True)
        # A stream that says nothing must not hold the check for ever.
        self.timer = threading.Timer(LONG, self.process.kill)
        self.timer.start()

    def event(self, kind):
        fields = {}
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == "":
                if fields.get("event") == kind:
                    return fields["id"], json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        check(False, f"curl's stream ended before an event '{kind}'")

    def close(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()


def events_with_curl():
    stream = Curl()
    cursor, snapshot = stream.event("snapshot")
    check(cursor == snapshot["cursor"], f"id {cursor} of {snapshot['cursor']}")
    revision = put("COLOUR", "curl 1")
    cursor, changes = stream.event("changes")
    check(changes["revision"] == revision and changes["changes"][0]["value"] == "curl 1", f"{changes}")
    stream.close()
    for number in (2, 3):
        put("COLOUR", f"curl {number}")
    stream = Curl(cursor)
    values, at = [], revision
    while at < revision + 2:
        cursor, changes = stream.event("changes")
        check(changes["previousRevision"] == at, f"{changes} after {at}")
        values += [change["value"] for change in changes["changes"]]
        at = changes["revision"]
    check(values == ["curl 2", "curl 3"], f"{values}")
    stream.close()
    print("check-clients: curl through the balancer: an event stream, and its Last-Event-ID resumed without a gap")


for path, slug in [("/v1/workspaces", "clients"), ("/v1/workspaces/clients/projects", "web"), ("/v1/projects/clients/web/environments", "production")]:
    rest("POST", path, {"slug": slug})
put("OLD", "to be deleted")
for name, address in [("balancer", url)] + [(f"gateway {number + 1}", address) for number, address in enumerate(gateways)]:
    register_and_receive(name, address)
refusals()
resent_after_a_reconnect()
events_with_curl()
revocation()
