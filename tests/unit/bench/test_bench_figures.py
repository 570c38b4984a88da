import os
import subprocess
import sys

import pytest

from tests.bench import cpu
from tests.bench.goals import Goal
from tests.bench.quantiles import percentiles, quantile
from tests.bench.targets import Target
from tests.bench.text_table import table

_STAT = "4242 (a (b) c) S 41 4242 4242 0 -1 4194560 5000 0 0 0 250 50 10 5 20 0 3 0 1000 123456 789 18446744073709551615 0 0"


def test_quantile_of_few_values_is_one_of_them() -> None:
    values = [float(number) for number in range(1, 11)]

    assert [quantile(values, share) for share in (0, 0.5, 0.9, 0.91, 0.99, 1)] == [1, 5, 9, 10, 10, 10]
    assert quantile([], 0.5) == 0


def test_percentiles_of_a_hundred_values_are_those_values() -> None:
    assert percentiles([float(number) for number in range(100, 0, -1)])[1:] == [float(n) for n in range(1, 101)]


def test_stat_line_with_brackets_in_the_name_is_read() -> None:
    assert cpu.parse_stat(_STAT) == cpu.ProcessStat(4242, "a (b) c", 41, 315 / os.sysconf("SC_CLK_TCK"))


def test_core_lines_are_read_without_their_sum() -> None:
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 200 5000 0 10 20 30 0 0\ncpu3 1 1 1 1 1 1 1 0 0 0\nintr 5 6"
    tick_s = 1 / os.sysconf("SC_CLK_TCK")

    cores = cpu.parse_cores(text)

    assert (cores[0].busy_s, cores[0].stolen_s) == pytest.approx((330 * tick_s, 30 * tick_s))
    assert sorted(cores) == [0, 3]


def test_sizes_are_bytes_and_other_lines_are_left_out() -> None:
    assert cpu.parse_sizes("Name:\tpython\nVmRSS:\t    12 kB\nThreads:\t3\nPss: 1 kB\n") == {
        "VmRSS": 12_288,
        "Pss": 1_024,
    }


def test_tree_holds_grandchildren_and_nobody_else() -> None:
    parents = {1: 0, 2: 1, 3: 2, 4: 1, 5: 0, 6: 5}
    processes = {pid: cpu.ProcessStat(pid, "x", parent, 0.0) for pid, parent in parents.items()}

    assert sorted(cpu.tree(1, processes)) == [1, 2, 3, 4]
    assert cpu.tree(99, processes) == []


def test_cpu_of_a_child_that_ended_stays_counted() -> None:
    before = cpu.all_processes()[os.getpid()].cpu_s

    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)

    assert cpu.all_processes()[os.getpid()].cpu_s - before >= 0.15  # ticks of 10 ms


def test_memory_of_this_process_is_more_than_nothing() -> None:
    found = cpu.memory([os.getpid()])

    assert 0 < found.pss <= found.rss <= found.peak_rss


def test_supervisor_does_not_count_what_its_children_are_listed_with() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        target = Target("distributed", 0, "/", roots={"supervisor": [os.getpid()], "router": [child.pid]})

        parts = target.parts()
        child.communicate()

    assert parts == {"supervisor": [os.getpid()], "router": [child.pid]}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, "not measured"),
        (50.0, "wanted, met"),
        (150.0, "met; 50 % over what we want"),
        (250.0, "MISSED by 25 %"),
    ],
)
def test_goal_says_how_far_it_is_missed(found: float | None, verdict: str) -> None:
    assert Goal("x", "ms", 200, 100, found).verdict() == verdict


def test_table_aligns_columns() -> None:
    assert table(("name", "n"), [["a", "10"], ["longer", "5"]]).splitlines() == [
        "name     n",
        "------  --",
        "a       10",
        "longer   5",
    ]
