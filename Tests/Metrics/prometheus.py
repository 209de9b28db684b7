# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus on loopback that scrapes the cluster with our rules, asked over its HTTP API."""

import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def promtool(*arguments, text=None):
    """Standard output and error where it failed, else nothing."""
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, timeout=60)
    # `check metrics` exits with 3 for what it would only mend.
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit {done.returncode}"


class Prometheus:
    """`with Prometheus(folder, rules, {job: [address]}) as server:`; it ends with the block."""

    def __init__(self, folder, rules, jobs):
        folder = pathlib.Path(folder)
        shutil.copy(rules, folder / "alerts.yml")
        scrapes = [{"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()]
        times = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps({"global": times, "rule_files": ["alerts.yml"], "scrape_configs": scrapes}))
        self.port = free_port()
        self.log = open(folder / "prometheus.log", "w")
        self.process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
            ],
            stdout=self.log, stderr=self.log,
        )

    def __enter__(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2):
                    return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise AssertionError("prometheus did not start: " + pathlib.Path(self.log.name).read_text()[-2000:])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.code} {error.read().decode()[:300]}") from None

    def query(self, expression):
        return self.get("query", query=expression)["result"]
