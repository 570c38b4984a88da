"""`python -m tests.bench`: measures, prints tables, writes JSON and a plot under var/bench."""

import argparse
import sys
from pathlib import Path

from tests.bench.plot import draw
from tests.bench.report import text, write_json
from tests.bench.stages import Findings, Options, carry_out
from tests.bench.targets import choose_cores
from tests.testkit.shapes import CHECKOUT

_TARGETS = ("direct", "proxy", "chunks", "router", "standalone", "distributed")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (default 4)")
    parser.add_argument("--quick", action="store_true", help="1 second each, to see that it works")
    parser.add_argument("--only", action="append", choices=_TARGETS, default=[], help="may be given several times")
    parser.add_argument("--tracing", action="store_true", help="also standalone without spans and with all of them")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="also memory over N requests")
    parser.add_argument(
        "--json", type=Path, default=CHECKOUT / "var" / "bench" / "bench.json", help="the plot goes beside it"
    )
    parser.add_argument(
        "--patience", type=float, default=0.0, metavar="S", help="wait so long before each figure for an idle machine"
    )
    chosen = parser.parse_args()
    options = Options(
        seconds=1.0 if chosen.quick else chosen.seconds,
        only=("direct", *chosen.only) if chosen.only else (),
        tracing=chosen.tracing,
        soak=chosen.soak,
        patience_s=chosen.patience,
    )

    def keep(findings: Findings) -> None:
        write_json(chosen.json, findings, options)
        draw(chosen.json.with_suffix(".png"), findings)

    cores = choose_cores()
    findings = carry_out(options, cores, on_stage=keep)
    sys.stdout.write(text(findings, options, cores))
    sys.stdout.write(f"\n{chosen.json}\n{chosen.json.with_suffix('.png')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
