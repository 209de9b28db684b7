# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""Unit files, as far as the check needs them."""

import re
import shlex
import subprocess


class Unit:
    def __init__(self, path):
        self.path = path
        self.lines = []
        for line in path.read_text().splitlines():
            match = re.match(r"(\w+)=(.*)", line)
            if match:
                self.lines.append(match.groups())

    def all(self, key):
        return [value for name, value in self.lines if name == key]

    def one(self, key):
        (value,) = self.all(key)
        return value

    def command(self, instance):
        return shlex.split(self.one("ExecStart").replace("%i", instance).replace("%H", "host"))

    def system_calls(self):
        """The names that SystemCallFilter= leaves: a list of what is allowed, then what is taken away and added."""
        allowed = set()
        for line in self.all("SystemCallFilter"):
            names = set().union(*(expand(word) for word in line.lstrip("~").split()))
            allowed = allowed - names if line.startswith("~") else allowed | names
        return allowed


def expand(word):
    if not word.startswith("@"):
        return {word}
    listing = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listing.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(expand(each) for each in words))
