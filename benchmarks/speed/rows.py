"""What a row of the speed table is, and how it is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Measurement: TypeAlias = Callable[[], float]
"""Does the work once and returns its cost (or throughput) in the unit of the row."""


@dataclass(frozen=True)
class Settings:
    """What the user may choose.

    Attributes:
        data_dir: folder with matminer's files; None for CrystalBench's usual one.
        threads: threads, or processes, that both sides may use.
        data: files of tasks, as for ``--data`` of the run command.
        cgcnn: clone of the original CGCNN.
    """

    data_dir: Path | None = None
    threads: int = 1
    data: Mapping[str, Path] = field(default_factory=dict)
    cgcnn: Path | None = None


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: unique name.
        unit: unit of the measurements.
        against: what is compared with what, in one line.
        prepare: a context that yields our measurement and the peer's; what it does before is not counted.
        more_is_better: whether the unit is a throughput and not a cost.
        target: the least ratio wanted, with two threads.
    """

    name: str
    unit: str
    against: str
    prepare: Callable[[Settings], AbstractContextManager[tuple[Measurement, Measurement]]]
    more_is_better: bool = False
    target: float | None = None


@dataclass(frozen=True)
class Result:
    """A line of the table.

    Attributes:
        name: of the row.
        ours: median of CrystalBench.
        peer: median of the peer.
        unit: of both.
        ratio: how many times faster CrystalBench is, whatever the unit.
        against: what was compared with what.
        machine: processor, cores, threads and version of torch.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    against: str
    machine: str


def measure(row: Row, settings: Settings, repeats: int, machine: str) -> Result:
    """Measure both sides of a row in turn, after one run of each that does not count.

    Args:
        row: the row.
        settings: the user's choices.
        repeats: measurements of each side; the medians are reported.
        machine: where this happens.
    """
    ours: list[float] = []
    peer: list[float] = []
    with row.prepare(settings) as (measure_ours, measure_peer):
        for _ in range(1 + repeats):
            ours.append(measure_ours())
            peer.append(measure_peer())
    mine, theirs = statistics.median(ours[1:]), statistics.median(peer[1:])
    ratio = mine / theirs if row.more_is_better else theirs / mine
    return Result(row.name, mine, theirs, row.unit, ratio, row.against, machine)
