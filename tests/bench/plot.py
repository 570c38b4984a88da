"""The picture of a run: rates, CPU per request by process, added latency, memory.

Owns drawing. Invariant: every target keeps its colour in all panels.
"""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tests.bench.cases import PACED_1, PLAIN_1, PLAIN_32, STREAM_32, Case, Measurement
from tests.bench.report import is_bounded
from tests.bench.stages import Findings
from tests.bench.targets import STORES

_COLOURS: Final = {"direct": "#9aa0a6", "proxy": "#e8a33d", "standalone": "#2f6fb7", "distributed": "#7b4ea3"}
_STORE_COLOURS: Final = {"postgres": "#c9d6e3", "kafka": "#e3d2c9"}
_MIB: Final = 1024 * 1024


def draw(path: Path, findings: Findings) -> None:
    figure, panels = plt.subplots(2, 3, figsize=(17, 9.5), layout="constrained")
    figure.suptitle("Switchyard beside a bare proxy and the upstream itself", fontsize=14)
    _rates(panels[0][0], findings)
    _cpu(panels[0][1], findings, PLAIN_32)
    _cpu(panels[0][2], findings, STREAM_32)
    _curves(panels[1][0], findings, PLAIN_1, "latency", is_first=False)
    _curves(panels[1][1], findings, PACED_1, "time to first token", is_first=True)
    _memory(panels[1][2], findings)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _all(findings: Findings, case: Case) -> list[Measurement]:
    """One measurement for each target; `direct` and `proxy` of the first stage that has them."""
    found: dict[str, Measurement] = {}
    for stage in findings.measurements.values():
        for one in stage:
            if one.case == case:
                found.setdefault(one.target, one)
    return list(found.values())


def _rates(panel: Axes, findings: Findings) -> None:
    labels, values, colours = [], [], []
    for case in (PLAIN_32, STREAM_32):
        for one in _all(findings, case):
            if one.target != "direct":
                labels.append(f"{one.target}\n{'stream' if case.is_stream else 'plain'}")
                values.append(one.result.per_s)
                colours.append(_COLOURS.get(one.target, "#666666"))
                if is_bounded(one):
                    labels[-1] += " (≥)"
    bars = panel.bar(range(len(values)), values, color=colours)
    panel.bar_label(bars, [f"{value:,.0f}" for value in values])
    panel.set_xticks(range(len(labels)), labels, fontsize=8)
    panel.set_title("requests per second, 32 clients")


def _cpu(panel: Axes, findings: Findings, case: Case) -> None:
    chosen = [one for one in _all(findings, case) if one.target != "direct" and one.cpu_us]
    for place, one in enumerate(chosen):
        bottom = 0.0
        ours = sorted((item for item in one.cpu_us.items() if item[0] not in STORES), key=lambda item: -item[1])
        stores = [(part, one.cpu_us[part]) for part in STORES if part in one.cpu_us]
        for number, (part, us) in enumerate([*ours, *stores]):
            colour = _STORE_COLOURS.get(part, _COLOURS.get(one.target, "#666666"))
            shade: dict[str, Any] = {} if part in STORES else {"alpha": max(0.35, 1 - number * 0.12)}
            panel.bar(place, us, bottom=bottom, color=colour, edgecolor="white", **shade)
            if us > 25:
                panel.text(
                    place,
                    bottom + us / 2,
                    f"{part} {us:,.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=_ink(part, number),
                )
            bottom += us
    panel.set_xticks(range(len(chosen)), [one.target for one in chosen])
    panel.set_title(f"CPU per reply, µs: {case.name}")


def _ink(part: str, number: int) -> str:
    return "black" if part in STORES or number > 2 else "white"


def _curves(panel: Axes, findings: Findings, case: Case, what: str, *, is_first: bool) -> None:
    for one in _all(findings, case):
        curve = one.result.first_token_s if is_first else one.result.latency_s
        if curve and curve[100]:
            values = [value * 1e3 for value in curve[:100]]
            panel.plot(range(100), values, label=one.target, color=_COLOURS.get(one.target), linewidth=2)
    panel.set_yscale("log")
    panel.set_xlabel("percentile")
    panel.set_ylabel("ms")
    panel.grid(visible=True, which="both", alpha=0.2)
    panel.set_title(f"{what}: {case.name}")
    if panel.lines:
        panel.legend()


def _memory(panel: Axes, findings: Findings) -> None:
    rows = [
        (f"{kind}: {part}" if part != kind else kind, size.pss / _MIB, _COLOURS.get(kind, "#666666"))
        for kind, parts in findings.memory_loaded.items()
        for part, size in parts.items()
    ]
    bars = panel.barh([row[0] for row in rows], [row[1] for row in rows], color=[row[2] for row in rows])
    panel.bar_label(bars, [f" {row[1]:,.0f}" for row in rows], fontsize=8)
    panel.invert_yaxis()
    panel.margins(x=0.12)
    panel.tick_params(axis="y", labelsize=8)
    panel.set_title("memory after load (PSS), MiB")
