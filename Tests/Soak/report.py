# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""A line a sample, the table at the end, and what is too much."""

import statistics

from meter import percentiles

ROLES = ("api", "gateway", "balancer")
HEAD = (
    "   time | RSS MB: api  gateway balancer | descriptors     | threads  | REST ms p50  p95   p99 | delivery p50  p95   p99 |"
    "  writes/s reads/s deliveries/s | faults | verdict"
)


def of_role(sample, role, index):
    """The most that one process of the role holds."""
    return max((held[index] for name, held in sample["held"].items() if name.startswith(role)), default=0)


def line(sample):
    resident = [of_role(sample, role, 0) / 1e6 for role in ROLES]
    descriptors = "/".join(str(of_role(sample, role, 1)) for role in ROLES)
    threads = "/".join(str(of_role(sample, role, 2)) for role in ROLES)
    rest, delivery = (
        "{:7.1f} {:6.1f} {:6.1f}".format(*sample[kind]) if sample[kind] else "      -      -      -" for kind in ("rest", "delivery")
    )
    wrong = sample["findings"] + sample["failures"]
    return (
        f"{int(sample['time']) // 60:4}:{int(sample['time']) % 60:02} | {resident[0]:11.1f} {resident[1]:8.1f} {resident[2]:8.1f} | {descriptors:>15} | {threads:>8} |"
        f" {rest} | {delivery} | {sample['rates'][0]:9.0f} {sample['rates'][1]:7.0f} {sample['rates'][2]:12.0f} | {sample['faults']:6} |"
        f" {'right' if not wrong else f'{wrong} WRONG'}"
    )


def table(meter, rows=15):
    """Every nth sample, and the last one."""
    step = max(1, -(-len(meter.samples) // rows))
    chosen = meter.samples[step - 1::step]
    if meter.samples[-1] not in chosen:
        chosen.append(meter.samples[-1])
    return "\n".join([HEAD, *map(line, chosen)])


def growth(meter, clients):
    """The witnesses, which no fault ends, hold in the end what they held when they were warm; nobody ever holds too much."""
    found = []
    for sample in meter.samples:
        for name, (resident, _, threads) in sample["held"].items():
            if resident > 512e6 or threads > 100:
                found.append(f"{name} at {sample['time']:.0f} s: {resident / 1e6:.0f} MB, {threads} threads")
    # Before that a process has not yet seen each kind of work a few times.
    if meter.samples[-1]["time"] < 300:
        return found[:5]
    count = len(meter.samples)
    for name in ("api-1", "gateway-1", "balancer", "dev"):
        warm = [sample["held"][name] for sample in meter.samples[count // 4:count // 2] if name in sample["held"]]
        late = [sample["held"][name] for sample in meter.samples[-(count // 4):] if name in sample["held"]]
        if not warm or not late:
            found.append(f"{name} was not there to be measured")
            continue
        before, after = ([statistics.median(column) for column in zip(*held)] for held in (warm, late))
        # Allocators keep what they once had. Watchers move between gateways with every fault.
        if after[0] > before[0] * 1.15 + 6e6:
            found.append(f"memory of {name} grew: {before[0] / 1e6:.1f} MB, then {after[0] / 1e6:.1f} MB")
        if after[1] > before[1] + clients:
            found.append(f"descriptors of {name} grew: {before[1]:.0f}, then {after[1]:.0f}")
        if after[2] > before[2] + 4:
            found.append(f"threads of {name} grew: {before[2]:.0f}, then {after[2]:.0f}")
    return found[:5]


def summary(meter, truth, clients):
    kinds = {}
    for name, *_ in meter.faults:
        kinds[name] = kinds.get(name, 0) + 1
    lines = [
        f"{len(meter.faults)} faults: " + ", ".join(f"{name} {count}" for name, count in sorted(kinds.items())),
        f"{meter.writes:,} writes ({meter.repeats:,} repeats), {meter.reads:,} reads, {meter.churned:,} clients that came and went",
        f"{truth.audited:,} changes committed; {meter.deliveries:,} delivered to {clients} watchers, {meter.snapshots - clients:,} snapshots and "
        f"{truth.conflated:,} conflated frames for those who fell behind",
        f"failures that a fault excuses: {meter.excused['rest']} requests, {meter.excused['watch']} connections of watchers",
    ]
    for kind in ("write", "read", "delivery"):
        for what, values in (("all", meter.all[kind]), ("while nothing was broken", meter.calm[kind])):
            if found := percentiles(values):
                lines.append(f"{kind:8} p50 {found[0]:7.1f} ms  p95 {found[1]:7.1f} ms  p99 {found[2]:7.1f} ms  {what}")
    return "\n".join(lines)
