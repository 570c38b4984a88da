"""The picture of a failover: who was asked, what callers got, how long they waited, second by second.

Owns drawing. Does not judge. Invariant: every provider keeps its colour.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_COLOURS: Final = ("#2f6fb7", "#e8a33d", "#7b4ea3")
_TROUBLE: Final = {"down": "#d9534f", "flapping": "#d9534f", "slow": "#8a6d3b"}


class PhaseLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def start_s(self) -> int: ...
    @property
    def end_s(self) -> int: ...


class ReplyLike(Protocol):
    @property
    def at_s(self) -> float: ...
    @property
    def took_s(self) -> float: ...
    @property
    def status(self) -> int: ...
    @property
    def provider(self) -> str: ...
    @property
    def minds(self) -> bool: ...


class StoryLike(Protocol):
    @property
    def providers(self) -> Sequence[str]: ...
    @property
    def asked(self) -> Sequence[dict[str, int]]: ...
    @property
    def replies(self) -> Sequence[ReplyLike]: ...


def draw(path: Path, story: StoryLike, phases: Sequence[PhaseLike]) -> None:
    figure, panels = plt.subplots(4, 1, figsize=(13, 12), layout="constrained", sharex=True)
    figure.suptitle("Three endpoints of one model: one goes down, flaps, another one slows down", fontsize=14)
    _attempts(panels[0], story)
    _success(panels[1], story)
    _waits(panels[2], story)
    _minding(panels[3], story)
    for panel in panels:
        _shade(panel, phases)
    panels[-1].set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _attempts(panel: Axes, story: StoryLike) -> None:
    shares = [[one.get(slug, 0) / max(1, sum(one.values())) for one in story.asked] for slug in story.providers]
    panel.stackplot(range(len(story.asked)), shares, labels=story.providers, colors=_COLOURS, step="post", alpha=0.85)
    panel.set_ylabel("share of attempts")
    panel.set_ylim(0, 1)
    panel.legend(loc="lower left", ncol=3, fontsize=9)


def _success(panel: Axes, story: StoryLike) -> None:
    seconds = range(len(story.asked))
    rates = []
    for second in seconds:
        some = [one.status == 200 for one in story.replies if second <= one.at_s < second + 1]
        rates.append(100 * sum(some) / max(1, len(some)))
    panel.step(seconds, rates, where="post", color="#3c8d40")
    panel.set_ylabel("requests that succeeded, %")
    panel.set_ylim(min(90.0, *rates) - 1, 101)


def _waits(panel: Axes, story: StoryLike) -> None:
    for minds, marker in ((False, "."), (True, "x")):
        for slug, colour in zip(story.providers, _COLOURS, strict=True):
            some = [one for one in story.replies if one.provider == slug and one.minds is minds]
            panel.plot(
                [one.at_s for one in some], [one.took_s * 1000 for one in some], marker, color=colour, markersize=3
            )
    panel.set_yscale("log")
    panel.set_ylabel("ms to the whole reply\n(× minds latency)")


def _minding(panel: Axes, story: StoryLike) -> None:
    """Where the callers are served who prefer a low latency."""
    seconds = range(len(story.asked))
    for slug, colour in zip(story.providers, _COLOURS, strict=True):
        shares = []
        for second in seconds:
            some = [one.provider == slug for one in story.replies if one.minds and second - 2 <= one.at_s < second + 1]
            shares.append(sum(some) / max(1, len(some)))
        panel.plot(seconds, shares, color=colour, label=slug)
    panel.set_ylabel("share, callers who\nmind latency (3 s)")
    panel.set_ylim(-0.02, 1.02)


def _shade(panel: Axes, phases: Sequence[PhaseLike]) -> None:
    for phase in phases:
        colour = _TROUBLE.get(phase.name)
        if colour is not None:
            panel.axvspan(phase.start_s, phase.end_s, color=colour, alpha=0.12)
            panel.text(
                phase.start_s + 0.4, 1.01, phase.name, transform=panel.get_xaxis_transform(), fontsize=9, color=colour
            )
