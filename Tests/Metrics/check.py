# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""The metrics of a running cluster: what each role must have, their form, the documents, the alerts and the dashboard.

check.py STATE_FILE WORK_FOLDER
"""

import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.request

import websocket
from exposition import Exposition, scrape
from prometheus import Prometheus, promtool

DASHBOARD = pathlib.Path("docker/grafana/dashboards/keyvane.json")
ALERTS = pathlib.Path("docker/prometheus/alerts.yml")
DOCUMENT = pathlib.Path("docs/observability.md")

# Promised to operators, with the labels that each series has at least.
PROCESS = {"process_cpu_seconds_total": "", "process_open_fds": "", "process_max_fds": "", "process_resident_memory_bytes": "",
           "process_virtual_memory_bytes": "", "process_start_time_seconds": "", "keyvane_build_info": "version role"}
STORE = {"store_transactions_total": "", "store_outbox_lag_seconds": "", "store_pool_in_use": "", "notifier_published_total": "",
         "notifier_reconnects_total": ""}
PROMISED = {
    "api": PROCESS | STORE | {"api_requests_total": "route status", "api_request_duration_seconds": "route"},
    "gateway": PROCESS | STORE | {
        "gateway_connections": "", "gateway_connections_limit": "", "gateway_watchers": "", "gateway_deliveries_total": "",
        "gateway_delivery_seconds": "", "gateway_gaps_total": "", "gateway_conflated_total": "", "gateway_closes_total": "code"},
    "balancer": PROCESS | {
        "balancer_requests_total": "pool server status", "balancer_request_duration_seconds": "", "balancer_tunnels": "pool server",
        "balancer_server_up": "pool server", "balancer_rejected_total": "reason", "balancer_retries_total": "",
        "balancer_connections_limit": ""},
}
# Panels that show something only when something is wrong, or after more time than a check has.
MAY_BE_EMPTY = {"Errors by server and code", "Refused by the balancers, a second"}

faults = []


def check(holds, text):
    if not holds:
        faults.append(text)
        print(f"check-metrics: {text}", file=sys.stderr)


class Cluster:
    def __init__(self, state):
        self.url, self.token = state["url"], state["token"]
        self.roles = {
            "api": ["http://" + one["address"] for one in state["apis"]],
            "gateway": ["http://" + one["address"] for one in state["gateways"]],
            "balancer": [state["admin"]],
        }

    def scrapes(self):
        return {role: [Exposition(scrape(url)) for url in urls] for role, urls in self.roles.items()}

    def call(self, method, path, body=None, token=None):
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {token or self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


def traffic(cluster):
    """Writes, a watcher that sees them, and requests that are refused: by the balancer, the API and the gateway."""
    for path, slug in (("workspaces", "acme"), ("workspaces/acme/projects", "web"), ("projects/acme/web/environments", "production")):
        check(cluster.call("POST", f"/v1/{path}", {"slug": slug}) == 201, f"{path} was not made")
    environment = "/v1/projects/acme/web/environments/production"
    address = cluster.url.replace("http", "ws") + "/v1/watch?environment=acme/web/production"
    watcher = websocket.create_connection(address, header=[f"Authorization: Bearer {cluster.token}"], timeout=20)
    for number in range(20):
        check(cluster.call("PUT", f"{environment}/variables/A", {"value": str(number)}) in (200, 201), "a write failed")
    while json.loads(watcher.recv()).get("revision", 0) < 20:
        pass
    check(cluster.call("GET", f"{environment}/variables/A", token="wrong") == 401, "a wrong token was taken")
    check(cluster.call("GET", "/metrics") == 404, "the balancer shows metrics to its clients")
    try:
        websocket.create_connection(address, header=["Authorization: Bearer wrong"], timeout=20)
        check(False, "a watch with a wrong token was let in")
    except websocket.WebSocketBadStatusException as error:
        check(error.status_code == 401, f"a watch with a wrong token got {error.status_code}")
    return watcher


def check_exposition(scrapes):
    for role, expositions in scrapes.items():
        for exposition in expositions:
            for fault in exposition.faults:
                check(False, f"{role}: {fault}")
            problems = promtool("check", "metrics", text=exposition.text)
            check(not problems, f"{role}: promtool check metrics: {problems}")
            for name, labels in PROMISED[role].items():
                check(name in exposition.types, f"{role} has no {name}")
                missing = set(labels.split()) - exposition.labels.get(name, set())
                check(not missing, f"{role}: {name} lacks the labels {sorted(missing)}")


def check_counts(before, after):
    """What was done has been counted, and nothing was unknown before."""
    def sums(scrapes, role, name, **labels):
        return sum(exposition.total(name, **labels) for exposition in scrapes[role])

    for role, name, labels, least in (
        ("api", "store_transactions_total", {}, 20), ("api", "notifier_published_total", {}, 20),
        ("gateway", "gateway_deliveries_total", {}, 1), ("gateway", "gateway_delivery_seconds_count", {}, 1),
        ("gateway", "gateway_connections", {}, 1), ("gateway", "gateway_watchers", {}, 1), ("balancer", "balancer_tunnels", {}, 1),
        ("balancer", "balancer_requests_total", {"pool": "api", "status": 200}, 19),
        ("balancer", "balancer_requests_total", {"pool": "gateway", "status": 101}, 1),
        ("balancer", "balancer_rejected_total", {"reason": "not_found"}, 1), ("balancer", "balancer_client_connections", {}, 1),
    ):
        risen = sums(after, role, name, **labels) - sums(before, role, name, **labels)
        check(risen >= least, f"{name}{labels} rose by {risen}, not by {least}")
    for role in before:
        for old, new in zip(before[role], after[role]):
            # Families whose labels only traffic or a second of life tells.
            late = new.types.keys() - old.types.keys() - {"balancer_bytes_total", "balancer_client_connections", "api_request_duration_seconds"}
            check(not late, f"{role}: there only after traffic: {sorted(late)}")
    for role, name, labels in (
        ("balancer", "balancer_requests_total", {"pool": "api", "status": 503}), ("api", "api_requests_total", {"status": 500}),
        ("gateway", "gateway_closes_total", {"code": 1013}),
    ):
        for exposition in before[role]:
            wanted = {(k, str(v)) for k, v in labels.items()}
            found = [value for (own, pairs), value in exposition.series.items() if own == name and wanted <= set(pairs)]
            check(found and not any(found), f"{name}{labels} is not there as 0 from the start")


def check_gone(cluster):
    """A server's series come with it, and go with it."""
    admin = cluster.roles["balancer"][0]

    def ask(method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(admin + path, method=method, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def series():
        return [name for name, labels in Exposition(scrape(admin)).series if ("server", "guest") in labels]

    # Nobody is there, and nobody is sent there.
    ask("POST", "/v1/servers", {"pool": "api", "name": "guest", "address": "127.0.0.1:9", "weight": 0})
    check({"balancer_server_up", "balancer_requests_total"} <= set(series()), "a new server has no series")
    ask("DELETE", "/v1/servers/api/guest")
    deadline = time.monotonic() + 5
    while series() and time.monotonic() < deadline:
        time.sleep(0.2)
    check(not series(), f"a removed server still has {series()}")


def check_document(scrapes):
    """The table names what is exposed, and nothing else: name, type, labels."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        row = re.match(r"\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|", line)
        if row:
            check(row[1] not in rows, f"{DOCUMENT} has {row[1]} twice")
            rows[row[1]] = (row[2], set(re.findall(r"`([a-z]+)`", row[3])))
    exposed = {}
    for exposition in (one for many in scrapes.values() for one in many):
        for name, kind in exposition.types.items():
            exposed[name] = (kind, exposed.get(name, (kind, set()))[1] | exposition.labels[name])
    for name in sorted(rows.keys() | exposed.keys()):
        check(rows.get(name) == exposed.get(name), f"{name}: {DOCUMENT} says {rows.get(name)}, /metrics {exposed.get(name)}")
    return exposed


def panels():
    dashboard = json.loads(DASHBOARD.read_text())
    found = dashboard["panels"]
    numbers = [panel["id"] for panel in found]
    check(len(numbers) == len(set(numbers)), "two panels have one id")
    provisioned = re.search(r"^ *uid: (\S+)", pathlib.Path("docker/grafana/provisioning/datasources/prometheus.yaml").read_text(), re.M)
    sources = set(re.findall(r'"uid": "([^"]+)"', DASHBOARD.read_text())) - {dashboard["uid"]}
    check(sources == {provisioned[1]}, f"the dashboard's data sources are {sources}, the provisioned one is {provisioned[1]}")
    places = set()
    for panel in found:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        check(at["x"] + at["w"] <= 24 and not cells & places, f"the panel '{panel['title']}' lies on another")
        places |= cells
        check(panel["type"] == "row" or panel.get("targets"), f"the panel '{panel['title']}' asks for nothing")
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in found if panel["type"] != "row"}


def check_names(expressions, exposed):
    known = set(exposed)
    for name, (kind, _) in exposed.items():
        if kind == "histogram":
            known |= {name + end for end in ("_bucket", "_sum", "_count")}
    for expression in expressions:
        bare = re.sub(r'"[^"]*"', "", expression)
        for name in re.findall(r"\b(?:api|store|notifier|gateway|balancer|process|keyvane)_[a-z_]+", bare):
            check(name in known, f"no role exposes {name}, which is asked for in: {expression.strip()}")


def check_panels(server, asked):
    empty = []
    for title, expressions in asked.items():
        results = [server.query(text.replace("$__rate_interval", "10s").replace("$__range", "1m")) for text in expressions]
        if not any(results):
            empty.append(title)
    check(set(empty) <= MAY_BE_EMPTY, f"panels without any data: {sorted(set(empty) - MAY_BE_EMPTY)}")
    return len(asked), sum(map(len, asked.values())), empty


def check_rules(server):
    rules = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        check(rule["health"] == "ok", f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        check(rule["state"] != "firing", f"{rule['name']} fires in a healthy cluster")
        missing = {"summary", "description", "runbook"} - rule["annotations"].keys()
        check(not missing and rule["labels"].get("severity") in ("warning", "critical"), f"{rule['name']} lacks {missing or 'its severity'}")
    return rules


def main(state, folder):
    cluster = Cluster(json.loads(pathlib.Path(state).read_text()))
    jobs = {role: [url.removeprefix("http://") for url in urls] for role, urls in cluster.roles.items()}
    with Prometheus(folder, ALERTS, jobs) as server:
        began = time.monotonic()
        before = cluster.scrapes()
        # Two scrapes, so that rates have something to rise from.
        time.sleep(2.5)
        watcher = traffic(cluster)
        # Some series are looked at once a second.
        time.sleep(1.5)
        after = cluster.scrapes()
        check_exposition(before)
        check_exposition(after)
        check_counts(before, after)
        check_gone(cluster)
        exposed = check_document(after)

        for arguments in (("check", "config", "--syntax-only", "docker/prometheus/prometheus.yml"), ("check", "rules", str(ALERTS)),
                          ("test", "rules", "docker/prometheus/alerts.test.yml")):
            problems = promtool(*arguments)
            check(not problems, f"promtool {' '.join(arguments)}: {problems}")
        asked = panels()
        time.sleep(max(0, began + 8 - time.monotonic()))
        targets = server.get("targets")["activeTargets"]
        check(targets and all(one["health"] == "up" for one in targets), f"not all up: {[one['lastError'] for one in targets]}")
        rules = check_rules(server)
        check_names([text for texts in asked.values() for text in texts] + [rule["query"] for rule in rules], exposed)
        count, expressions, empty = check_panels(server, asked)
        tests = pathlib.Path("docker/prometheus/alerts.test.yml").read_text()
        for rule in rules:
            check(tests.count(f"alertname: {rule['name']}\n") > 0 and tests.count(f"alertname: {rule['name']}, exp_alerts: []") > 0
                  or rule["name"] == "KeyvaneConnectionsNearLimit", f"{rule['name']} has no test that fires and one that doesn't")
        watcher.close()
    if faults:
        print(f"check-metrics: {len(faults)} faults")
        return 1
    for role, expositions in after.items():
        print(f"{role:9} {len(expositions)} x /metrics: {len(expositions[0].types)} families, {len(expositions[0].series)} series")
    print(f"document: {len(exposed)} metrics, as exposed, with their types and labels")
    print(f"alerts: {len(rules)} rules, whose {tests.count('- name: ')} tests pass; a Prometheus with {len(targets)} targets evaluates all, none fires")
    print(f"dashboard: {count} panels, {expressions} queries, all answered; without data: {', '.join(sorted(empty)) or 'none'}")
    print("check-metrics: clean")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
