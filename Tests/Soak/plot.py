# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Everything over time in one picture, with the faults marked."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from report import ROLES, of_role  # noqa: E402

COLOURS = {"api": "#1f6fb4", "gateway": "#d1601c", "balancer": "#2c8a4b"}
FAULTS = {
    "gateway killed": "#d1601c", "gateway drained": "#f2b48c", "API killed": "#1f6fb4", "API drained": "#9cc3e5", "Redis killed": "#b3202c",
    "Redis paused": "#e8979d", "PostgreSQL restarted": "#5b3c99", "clients cut off": "#666666", "slow readers": "#b9b9b9",
}


def draw(meter, path, title):
    # A process that is just being restarted leaves its role out of a sample.
    samples, end = meter.samples, meter.samples[-1]["time"]
    unit, name = (60, "minutes") if end > 150 else (1, "seconds")
    times = [sample["time"] / unit for sample in samples]
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "font.family": "DejaVu Sans"})
    figure, (memory, descriptors, rest, delivery, rates, faults) = plt.subplots(
        6, 1, figsize=(10, 10.5), sharex=True, gridspec_kw={"height_ratios": [2, 1.6, 2, 2, 1.6, 1.8], "hspace": 0.22}
    )
    for role in ROLES:
        memory.plot(times, [of_role(sample, role, 0) / 1e6 or None for sample in samples], color=COLOURS[role], label=role)
        descriptors.plot(times, [of_role(sample, role, 1) or None for sample in samples], color=COLOURS[role], label=role)
        descriptors.plot(times, [of_role(sample, role, 2) or None for sample in samples], color=COLOURS[role], linestyle=":", linewidth=1)
    memory.set_ylabel("resident MB\n(largest of its role)")
    descriptors.set_ylabel("descriptors\n(dotted: threads)")
    for axes, kind, label in ((rest, "rest", "REST requests\nms"), (delivery, "delivery", "commit to watcher\nms")):
        for index, (share, colour) in enumerate((("p50", "#1b7837"), ("p95", "#e08214"), ("p99", "#b2182b"))):
            axes.plot(times, [sample[kind][index] if sample[kind] else None for sample in samples], color=colour, label=share)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel(label)
    for index, (label, colour) in enumerate((("writes", "#1f6fb4"), ("reads", "#7a7a7a"), ("deliveries", "#d1601c"))):
        rates.plot(times, [sample["rates"][index] for sample in samples], color=colour, label=f"{label}/s")
    rates.set_yscale("log")
    rates.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    rates.set_ylabel("a second")
    kinds = [kind for kind in FAULTS if any(fault[0] == kind for fault in meter.faults)]
    for kind, began, ended, _ in meter.faults:
        row = len(kinds) - 1 - kinds.index(kind)
        faults.barh(row, max(min(ended, end) - began, end / 400) / unit, left=began / unit, height=0.7, color=FAULTS[kind])
    faults.set_yticks(range(len(kinds)), reversed(kinds))
    faults.tick_params(axis="y", length=0, labelsize=7)
    faults.set_xlabel(name)
    faults.set_xlim(0, end / unit)
    for axes in (memory, descriptors, rest, delivery, rates):
        # What breaks a server is marked across all curves; the kinds are below.
        for kind, began, *_ in meter.faults:
            if "killed" in kind or "restarted" in kind:
                axes.axvline(began / unit, color=FAULTS[kind], alpha=0.18, linewidth=0.8)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1), frameon=False)
        if axes in (memory, descriptors):
            axes.set_ylim(bottom=0)
    figure.align_ylabels()
    figure.suptitle(title, x=0.125, y=0.905, ha="left", fontsize=9)
    figure.savefig(path, dpi=100, bbox_inches="tight")
