"""`python -m tests.chaos --kills 100 [--shape distributed] [--seed 1]`."""

import argparse
import asyncio

from tests.chaos.run import run_chaos
from tests.testkit.shapes import running

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--kills", type=int, default=100)
parser.add_argument("--shape", choices=["standalone", "distributed"], default="distributed")
parser.add_argument("--replicas", default="edge_proxy=2 router=2 provider_adapter=2 billing_ledger=2")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

with running(arguments.shape, credit_usd="100000", replicas=arguments.replicas) as shape:
    report = asyncio.run(run_chaos(shape, arguments.kills, arguments.seed, say=lambda line: print(line, flush=True)))
print("\n".join(report.lines()))
print("the books agree: every whole reply has its record, credits, entries and records match to the nano-dollar")
