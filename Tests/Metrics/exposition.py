# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What `/metrics` must be: read by prometheus-client, and held to what that parser lets pass."""

import math
import re
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

UNITS = ("_seconds", "_bytes")


def scrape(url):
    with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
        kind = answer.headers["Content-Type"]
        if kind != "text/plain; version=0.0.4; charset=utf-8":
            raise AssertionError(f"{url}/metrics is {kind}")
        return answer.read().decode()


class Exposition:
    """The families of one scrape by the name that an operator types, and every fault that was found."""

    def __init__(self, text):
        self.text = text
        self.faults = []
        self.types = {}
        self.labels = {}
        self.series = {}
        self._check_lines()
        for family in text_string_to_metric_families(text):
            self._read(family)

    def _fault(self, text):
        self.faults.append(text)

    def _check_lines(self):
        """HELP, TYPE, then the samples, each family in one piece and each series once: the parser would take them in any order."""
        current, heads, seen = None, {}, set()
        if not self.text.endswith("\n"):
            self._fault("the last line has no end")
        for line in self.text.splitlines():
            head = re.fullmatch(r"# (HELP|TYPE) (\S+) (.+)", line)
            if head:
                word, name, rest = head.groups()
                if name in heads.get(word, {}):
                    self._fault(f"{name}: {word} twice")
                heads.setdefault(word, {})[name] = rest
                if word == "TYPE" and current != name:
                    self._fault(f"{name}: TYPE without HELP before it")
                current = name
                continue
            sample = re.fullmatch(r"([a-z_]+)(\{.*\})? (\S+)", line)
            if not sample:
                self._fault(f"no sample: {line}")
                continue
            name, labels, _ = sample.groups()
            if (name, labels) in seen:
                self._fault(f"twice: {name}{labels or ''}")
            seen.add((name, labels))
            kind = heads.get("TYPE", {}).get(current)
            own = [current] if kind != "histogram" else [current + end for end in ("_bucket", "_sum", "_count")]
            if name not in own:
                self._fault(f"{name} stands under {current}")
        for name, text in heads.get("HELP", {}).items():
            if re.match(r"(Counter|Gauge|Recorder|Timer) \S+\.$", text):
                self._fault(f"{name}: HELP says nothing but '{text}'")
        for name in heads.get("HELP", {}).keys() ^ heads.get("TYPE", {}).keys():
            self._fault(f"{name}: only one of HELP and TYPE")

    def _read(self, family):
        # The parser takes the ending of a counter off.
        name = family.name + "_total" if family.type == "counter" else family.name
        self.types[name] = family.type
        labels = set()
        for sample in family.samples:
            labels |= sample.labels.keys() - {"le"}
            if not math.isfinite(sample.value) or (family.type != "gauge" and sample.value < 0):
                self._fault(f"{sample.name}{sample.labels}: {sample.value}")
            self.series[(sample.name, tuple(sorted(sample.labels.items())))] = sample.value
        self.labels[name] = labels
        if family.type not in ("counter", "gauge", "histogram"):
            self._fault(f"{name} is a {family.type}")
        if family.type != "counter" and name.endswith("_total"):
            self._fault(f"{name} is no counter")
        if family.type == "histogram":
            if not name.endswith(UNITS):
                self._fault(f"{name} has no unit")
            self._check_histogram(name, family.samples)

    def _check_histogram(self, name, samples):
        groups = {}
        for sample in samples:
            key = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            groups.setdefault(key, {}).setdefault(sample.name.removeprefix(name), []).append(sample)
        for key, parts in groups.items():
            buckets = [(float(sample.labels["le"]), sample.value) for sample in parts.get("_bucket", [])]
            counts = [count for _, count in buckets]
            if buckets != sorted(buckets) or counts != sorted(counts) or len({bound for bound, _ in buckets}) != len(buckets):
                self._fault(f"{name}{key}: its buckets don't rise")
            if not buckets or buckets[-1][0] != math.inf:
                self._fault(f"{name}{key}: no +Inf bucket")
            elif [sample.value for sample in parts.get("_count", [])] != [buckets[-1][1]]:
                self._fault(f"{name}{key}: _count is not the +Inf bucket")
            if len(parts.get("_sum", [])) != 1:
                self._fault(f"{name}{key}: no _sum")

    def total(self, name, **labels):
        """The sum of the series that have these labels."""
        wanted = {(k, str(v)) for k, v in labels.items()}
        return sum(value for (own, pairs), value in self.series.items() if own == name and wanted <= set(pairs))
