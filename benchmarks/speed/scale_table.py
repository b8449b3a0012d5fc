"""The table of `benchmarks.speed.scale` as CSV and as Markdown: time and memory for increasing numbers of crystals."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.table import read_lines, written
from crystalbench._files import write_text

FILE_NAME = "scale.csv"
FLAT = 1.2
"""Largest ratio between the costs per crystal of two sizes for which the cost counts as flat."""
MEMORY_MB = 6000
"""Limit for the memory of the largest size of each model."""


@dataclass(frozen=True)
class Size:
    """Cost of a number of crystals.

    Attributes:
        crystals: number of crystals.
        atoms: number of atoms of all crystals.
        load_s: seconds to read the stored crystals.
        graph_s: seconds to represent them.
        epoch_s: seconds of one epoch of training, or of a complete fit of a model without epochs.
        peak_mb: largest resident memory in MB (10^6 bytes), including that of other processes.
        threads: number of threads or processes.
        machine: processor, cores, threads and version of torch.
        model: registered name.
        predict_s: seconds to predict all of them.
    """

    crystals: int
    atoms: int
    load_s: float
    graph_s: float
    epoch_s: float
    peak_mb: float
    threads: int
    machine: str
    model: str
    predict_s: float

    @property
    def milliseconds(self) -> float:
        """Milliseconds per crystal."""
        return 1000 * (self.load_s + self.graph_s + self.epoch_s + self.predict_s) / self.crystals


HEADER = tuple(field.name for field in dataclasses.fields(Size))


def read_sizes(file: Path) -> list[Size]:
    """Read a table; empty if there is no file.

    Raises:
        DataError: the file is not such a table.
    """
    return read_lines(file, HEADER, _size)


def _size(line: list[str]) -> Size:
    crystals, atoms, load, graph, epoch, peak, threads, machine, model, predict = line
    numbers = (float(load), float(graph), float(epoch), float(peak))
    return Size(int(crystals), int(atoms), *numbers, int(threads), machine, model, float(predict))


def write_sizes(file: Path, sizes: Iterable[Size]) -> None:
    """Write a table atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for size in sizes:
        values = dataclasses.astuple(size)
        writer.writerow([written(value) if isinstance(value, float) else value for value in values])
    write_text(file, text.getvalue())


def text_of(sizes: Iterable[Size]) -> str:
    """A section in Markdown."""
    sizes = sorted(sizes, key=lambda size: (size.model, size.crystals))
    lines = [
        "## Scale",
        "",
        f"Written by `python -m benchmarks.speed.scale` from [{FILE_NAME}]({FILE_NAME}): reading the stored crystals, "
        "representing them, one epoch of training (a complete fit of models without epochs), and predictions for all "
        "of them, each model and size in a separate process. Sizes beyond the number of crystals in the data file "
        "contain copies with slightly larger or smaller cells.",
        "",
        "| model | crystals | atoms | load, s | representation, s | epoch, s | prediction, s | ms/crystal | relative "
        "| peak memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    verdicts = []
    for model, group in itertools.groupby(sizes, key=lambda size: size.model):
        own = list(group)
        least, largest = min(size.milliseconds for size in own), own[-1]
        for s in own:
            times = (s.load_s, s.graph_s, s.epoch_s, s.predict_s, s.milliseconds)
            cells = " | ".join(written(seconds) for seconds in times)
            relative = f"{s.milliseconds / least:.2f} ×"
            lines.append(f"| `{model}` | {s.crystals:,} | {s.atoms:,} | {cells} | {relative} | {written(s.peak_mb)} |")
        growth = max(size.milliseconds for size in own) / least
        verdicts.append(
            f"- `{model}`: cost per crystal flat to within {FLAT - 1:.0%}: {_yes(growth <= FLAT)}; "
            f"{largest.crystals:,} crystals in under {MEMORY_MB / 1000:g} GB: {_yes(largest.peak_mb < MEMORY_MB)}."
        )
    lines += ["", *verdicts, "", "; ".join(dict.fromkeys(size.machine for size in sizes)) + "."]
    return "\n".join(lines) + "\n"


def _yes(met: bool) -> str:
    return "yes" if met else "no"
