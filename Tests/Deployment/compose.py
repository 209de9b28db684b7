# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""compose.yaml as Docker Compose reads it: YAML with merge keys, then ${VARIABLES}."""

import re
import shlex
from pathlib import Path

import yaml

VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:?[-?])([^}]*))?\}|(\w+))")


class Missing(Exception):
    pass


def load(text):
    return yaml.safe_load(text)


def variables(text):
    """name -> (operator, word) of every use."""
    return [(match[1] or match[4], match[2], match[3]) for match in VARIABLE.finditer(text) if match[0] != "$$"]


def interpolated(node, values):
    """With variables put in; one that is missing without a default is what `docker compose` would refuse, too."""
    def put(match):
        if match[0] == "$$":
            return "$"
        name, operator, word = match[1] or match[4], match[2], match[3]
        if values.get(name):
            return values[name]
        if operator in (":-", "-"):
            return word
        raise Missing(f"{name}: {word or 'is not set'}")

    if isinstance(node, dict):
        return {key: interpolated(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, values) for value in node]
    return VARIABLE.sub(put, node) if isinstance(node, str) else node


def settings_of(path):
    """A file of NAME=VALUE lines."""
    lines = [line for line in Path(path).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def seconds(text):
    """`45s`, `1m30s`."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", str(text))
    return sum(int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)


def mounts(project, service, folder):
    """(source, target) of the files and folders of the host that a service is given, secrets included."""
    found = []
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2]
        if source.startswith("."):
            found.append((folder / source, target))
    for name in service.get("secrets", []):
        found.append((folder / project["secrets"][name]["file"], f"/run/secrets/{name}"))
    return found


def test_of(health):
    """The words of a health check."""
    kind, *words = health["test"]
    return words if kind == "CMD" else ["sh", "-c", words[0]]


def start_order(services):
    """Names, each after those that it depends on."""
    ordered = []

    def add(name):
        if name not in ordered:
            for other in services[name].get("depends_on", {}):
                add(other)
            ordered.append(name)

    for name in services:
        add(name)
    return ordered


def words(command):
    return shlex.split(command) if isinstance(command, str) else list(command or [])
