# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What is checked, as texts by path, so that a check can be tried on a changed copy; and what the rest of the repository says."""

import re
import subprocess
from functools import cache
from pathlib import Path

FOLDERS = ("docker/compose.yaml", "docker/Dockerfile", "docker/*.yaml", "docker/kubernetes/**/*.yaml", "docker/prometheus/*.yml",
           "docker/grafana/provisioning/**/*.y*ml", ".dockerignore")


def read(repository):
    paths = sorted({path for pattern in FOLDERS for path in repository.glob(pattern)})
    return {path.relative_to(repository).as_posix(): path.read_text() for path in paths if "secrets" not in path.parts}


class Repository:
    """The facts that deployments are held to."""

    def __init__(self, root):
        self.root = root
        table = (root / "docs/configuration.md").read_text()
        self.variables = set(re.findall(r"`(KEYVANE_[A-Z_]+)`", table))
        role = (root / "Sources/Keyvane/Process/Role.swift").read_text()
        # What a process allows itself after SIGTERM.
        self.end = int(re.search(r"maximumGracefulShutdownDuration = \.seconds\((\d+)\)", role)[1])

    @cache
    def metrics(self):
        sources = subprocess.run(["git", "grep", "-hoE", r'"[a-z]+_[a-z_]+"', "--", "Sources"], cwd=self.root, capture_output=True, text=True)
        return {line.strip('"') for line in sources.stdout.splitlines()}

    def unknown(self, names):
        return [name for name in names if name.startswith("KEYVANE_") and name not in self.variables]


def made_secrets(repository, into, *options):
    """Runs docker/make-secrets, and returns what it made: settings, and names of files."""
    subprocess.run([str(repository / "docker/make-secrets"), *options, "--into", str(into)], check=True, stdout=subprocess.DEVNULL)
    settings = next(path for path in (Path(into) / ".env", Path(into) / "secrets/keyvane.env") if path.exists())
    lines = [line.split("=", 1) for line in settings.read_text().splitlines() if not line.startswith("#")]
    return dict(lines), {path.name for path in (Path(into) / "secrets").iterdir()}
