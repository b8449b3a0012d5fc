"""Rows of the speed table, and how they are measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Measurement: TypeAlias = Callable[[], float]
"""Does the work once and returns its cost or throughput in the unit of the row."""


@dataclass(frozen=True)
class Settings:
    """The user's options.

    Attributes:
        data_dir: folder with matminer's files; None for CrystalBench's default.
        threads: number of threads or processes of both sides.
        data: data files by task, as with ``--data`` of the run command.
        cgcnn: folder with a clone of the original CGCNN.
    """

    data_dir: Path | None = None
    threads: int = 1
    data: Mapping[str, Path] = field(default_factory=dict)
    cgcnn: Path | None = None


@dataclass(frozen=True)
class Row:
    """One comparison of CrystalBench with a peer.

    Attributes:
        name: unique name.
        unit: unit of the measurements.
        against: what is compared, in one line: CrystalBench's work; the peer's.
        prepare: a context that yields the measurements of CrystalBench and of the peer. Preparation is not timed.
        more_is_better: whether the unit is a throughput instead of a cost.
        target: smallest ratio that is aimed for, with two threads.
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
        name: name of the row.
        ours: median of CrystalBench.
        peer: median of the peer.
        unit: unit of both.
        ratio: factor by which CrystalBench is faster.
        against: what was compared, as in `Row`.
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
    """Measure both sides of a row alternately. The first measurement of each side is discarded.

    Args:
        row: the row.
        settings: the user's options.
        repeats: number of further measurements of each side, whose medians are reported.
        machine: description of the machine.
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
