# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Counts, latencies and faults over time. A sample is what happened since the one before, and what the processes hold at its end."""

import array
import contextlib
import time

# After a fault is mended, connections that it has cut may still report it.
GRACE = 5


def percentiles(values):
    """p50, p95, p99 in milliseconds; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.95, 0.99)]


class Meter:
    def __init__(self, cluster):
        self.cluster = cluster
        self.began = time.monotonic()
        self.samples = []
        # (name, from, to, what it excuses), in seconds since the beginning; open ones end at infinity.
        self.faults = []
        self.failures = []
        self.excused = {"rest": 0, "watch": 0}
        self.repeats = self.snapshots = self.churned = 0
        self.writes = self.reads = self.deliveries = 0
        self.rest, self.delivery = [], []
        # Everything, and apart from that what happened while nothing was broken.
        self.all = {kind: array.array("d") for kind in ("write", "read", "delivery")}
        self.calm = {kind: array.array("d") for kind in ("write", "read", "delivery")}

    @property
    def now(self):
        return time.monotonic() - self.began

    @contextlib.contextmanager
    def fault(self, name, excuses):
        entry = [name, self.now, float("inf"), excuses]
        self.faults.append(entry)
        try:
            yield
        finally:
            entry[2] = self.now

    @property
    def is_calm(self):
        return not self.faults or self.faults[-1][2] + 2 < self.now

    def excusable(self, kind, text):
        """It failed; whether it may is the business of the fault that is under way, or just over."""
        if any(kind in excuses and end + GRACE > self.now for _, _, end, excuses in self.faults[-3:]):
            self.excused[kind] += 1
        else:
            self.failed(kind, text)

    def failed(self, kind, text):
        last = f", {self.now - self.faults[-1][1]:.1f} s after: {self.faults[-1][0]}" if self.faults else ""
        self.failures.append(f"{kind} at {self.now:.1f} s{last}: {text}")
        print(f"soak: {self.failures[-1]}", flush=True)

    def requested(self, kind, seconds):
        if kind == "write":
            self.writes += 1
        else:
            self.reads += 1
        self.rest.append(seconds)
        self.note(kind, seconds)

    def delivered(self, count, seconds):
        self.deliveries += count
        if seconds is not None:
            self.delivery.append(seconds)
            self.note("delivery", seconds)

    def note(self, kind, seconds):
        self.all[kind].append(seconds)
        if self.is_calm:
            self.calm[kind].append(seconds)

    def sample(self, findings):
        last = self.samples[-1]["totals"] if self.samples else (0, 0, 0)
        span = self.now - (self.samples[-1]["time"] if self.samples else 0)
        totals = (self.writes, self.reads, self.deliveries)
        self.samples.append({
            "time": self.now, "held": self.cluster.held(), "rest": percentiles(self.rest), "delivery": percentiles(self.delivery),
            "totals": totals, "rates": [(now - before) / span for now, before in zip(totals, last)], "faults": len(self.faults),
            "findings": findings, "failures": len(self.failures),
        })
        self.rest, self.delivery = [], []
        return self.samples[-1]
