# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""A Dockerfile's instructions, stage by stage. What isn't understood is an error, never skipped."""

import json
import re
import shlex
from dataclasses import dataclass, field

PLAIN = {"RUN", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "LABEL", "ARG", "ENTRYPOINT", "CMD", "HEALTHCHECK"}


class Unreadable(Exception):
    pass


@dataclass
class Instruction:
    line: int
    name: str
    text: str

    def flags(self):
        """The --name=value words in front, and the rest."""
        found, rest = {}, self.text
        while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            found[match[1]] = match[2]
            rest = rest[match.end():]
        return found, rest

    def exec_form(self, text=None):
        """The list of an exec form; None for a shell form."""
        text = self.text if text is None else text
        if not text.startswith("["):
            return None
        words = json.loads(text)
        if not all(isinstance(word, str) for word in words):
            raise Unreadable(f"line {self.line}: {self.name} has more than strings")
        return words

    def pairs(self, values):
        """KEY=VALUE words, with $VARIABLES of `values` put in."""
        result = {}
        for word in shlex.split(self.text):
            key, equals, value = word.partition("=")
            if not equals:
                raise Unreadable(f"line {self.line}: {self.name} {word}: write KEY=VALUE")
            result[key] = substitute(value, values)
        return result


@dataclass
class Stage:
    image: str
    name: str | None
    instructions: list = field(default_factory=list)

    def last(self, name):
        return next((each for each in reversed(self.instructions) if each.name == name), None)

    def environment(self):
        values, defaults = {}, {}
        for each in self.instructions:
            if each.name == "ARG":
                key, _, value = each.text.partition("=")
                defaults[key] = value
            elif each.name == "ENV":
                values |= each.pairs(defaults | values)
        return values

    def labels(self):
        values = {}
        for each in self.instructions:
            if each.name == "ARG":
                key, _, value = each.text.partition("=")
                values[key] = value
        return {key: value for each in self.instructions if each.name == "LABEL" for key, value in each.pairs(values).items()}

    def health(self):
        """The command of HEALTHCHECK."""
        each = self.last("HEALTHCHECK")
        if each is None:
            return None
        _, rest = each.flags()
        if not rest.startswith("CMD "):
            raise Unreadable(f"line {each.line}: HEALTHCHECK without CMD")
        text = rest[len("CMD "):].strip()
        return each.exec_form(text) or ["sh", "-c", text]


def substitute(text, values):
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values.get(match[1] or match[2], ""), text)


def parse(text):
    stages, number, lines = [], 0, text.split("\n")
    while number < len(lines):
        start, line = number, lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        while line.endswith("\\"):
            if number >= len(lines):
                raise Unreadable(f"line {number}: the file ends in a continued line")
            following = lines[number].strip()
            number += 1
            # A comment may stand within an instruction, as Docker has it.
            if not following.startswith("#"):
                line = line[:-1].rstrip() + " " + following
        name, _, rest = line.partition(" ")
        name, rest = name.upper(), rest.strip()
        if name == "FROM":
            words = rest.split()
            if len(words) not in (1, 3) or len(words) == 3 and words[1].upper() != "AS":
                raise Unreadable(f"line {start + 1}: FROM {rest}")
            stages.append(Stage(words[0], words[2] if len(words) == 3 else None))
        elif name not in PLAIN:
            raise Unreadable(f"line {start + 1}: {name} isn't understood here")
        elif not stages:
            raise Unreadable(f"line {start + 1}: {name} before the first FROM")
        else:
            stages[-1].instructions.append(Instruction(start + 1, name, rest))
    return stages


class Context:
    """What a build is sent: the files of a folder without those that .dockerignore names."""

    def __init__(self, root):
        self.root = root
        self.rules = []
        for line in (root / ".dockerignore").read_text().splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                self.rules.append((not line.startswith("!"), self._pattern(line.lstrip("!").strip("/"))))

    @staticmethod
    def _pattern(text):
        out = ""
        for part in re.split(r"(\*\*/|\*|\?)", text):
            out += {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
        return re.compile(out + "(?:/.*)?")

    def has(self, path):
        """The last rule that matches the path or a folder above it counts."""
        kept = True
        for excludes, pattern in self.rules:
            if pattern.fullmatch(path):
                kept = not excludes
        return kept

    def files(self, source):
        """Paths under `source` (a path or a pattern), relative to the context."""
        found = []
        for top in sorted(self.root.glob(source)) if source != "." else [self.root]:
            for path in [top] if not top.is_dir() or top.is_symlink() else sorted(top.rglob("*")):
                name = path.relative_to(self.root).as_posix()
                if (path.is_symlink() or not path.is_dir()) and self.has(name):
                    found.append((path, path.relative_to(top).as_posix() if path != top else path.name))
        return found
