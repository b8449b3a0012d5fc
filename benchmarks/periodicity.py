"""What descriptors add to a graph network for extensive properties: ``python -m benchmarks.periodicity``.

Writes ``periodicity.md`` from the records of the suite ``periodicity`` in a folder of results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crystalbench._files import write_text
from crystalbench.errors import ConfigError, CrystalBenchError, DataError
from crystalbench.evaluation.paired import DRAWS, Estimate, PairedErrors, reduction, share
from crystalbench.evaluation.predicted import FloatArray, PredictedRows, predicted_rows
from crystalbench.reports.formatting import MISSING, markdown_table, number_text, percent_text
from crystalbench.results.loading import RECORDS, Results, read_results
from crystalbench.results.store import RecordStore

FILE_NAME = "periodicity.md"
PLAIN, HYBRID, SUM, COUNT, DUMMY = "cgcnn", "hybrid", "cgcnn_sum", "cgcnn_atom_count", "dummy"
TIMES = " × atoms"
"""Suffix of the name of a model that was trained per atom, its predictions multiplied by the number of atoms."""

SHARES = (
    (HYBRID, "`{}`: descriptors beside the pooled embedding"),
    (SUM, "`{}`: (i) the atoms are summed, not averaged"),
    (COUNT, "`{}`: (ii) the number of atoms alone beside the pooled embedding"),
    (PLAIN + TIMES, "`{}`: (iii) trained per atom, predictions times the number of atoms"),
    (DUMMY + TIMES, "`{}`: one number per atom for all crystals, times the number of atoms"),
)
"""Models that are compared with the plain network, by name, each with its description."""
REMAINING = ((HYBRID, SUM), (HYBRID, COUNT), (HYBRID + TIMES, PLAIN + TIMES))
"""Pairs of models that both know the number of atoms."""

INTRODUCTION = f"""\
# Periodicity: what descriptors add for extensive properties

Made from the records by `python -m benchmarks.periodicity`; nothing here is typed by hand. `docs/periodicity.md` says
what is asked and how to repeat it.

S. Gong et al. (Sci. Adv. 9, eadi3245, 2023, doi:10.1126/sciadv.adi3245) report that descriptors beside the embedding of
a graph network cut its error by about 90 % for heat capacity and internal energy. Both labels are per primitive cell,
so they grow with the number of atoms, and a network that averages over the atoms cannot see this number; the
descriptors hold it. So how much of the reduction does the number of atoms give by itself?

Errors are absolute, on the authors' test rows, the mean over seeds where there are several. In brackets: the central
95 % of {DRAWS:,} bootstrap draws of the test rows, the same rows for all models of a draw. They say what the choice of
the test rows leaves open, not how results change with other training rows or other initial weights."""


@dataclass(frozen=True)
class Property:
    """A property with the names of its two tasks."""

    title: str
    per_cell: str
    per_atom: str


PROPERTIES = (
    Property("Heat capacity", "gong_cv_per_cell", "gong_cv_per_atom"),
    Property("Internal energy", "gong_internal_energy_per_cell", "gong_internal_energy_per_atom"),
)


@dataclass
class Findings:
    """The results for one property.

    Attributes:
        cell: predictions of the models trained per cell, by name.
        atom: predictions of the models trained per atom, by name.
        counts: (n,) number of atoms in the cell of each test row; None if unknown.
        notes: what is missing or was left out.
    """

    cell: dict[str, PredictedRows]
    atom: dict[str, PredictedRows]
    counts: FloatArray | None = None
    notes: list[str] = field(default_factory=list)

    def cell_errors(self) -> dict[str, FloatArray]:
        """Errors per cell by name; those of models trained per atom have the suffix `TIMES`."""
        errors = {name: part.errors for name, part in self.cell.items()}
        if self.counts is not None:
            errors |= {name + TIMES: part.errors * self.counts for name, part in self.atom.items()}
        return errors


def findings(results: Results, wanted: Property) -> Findings:
    """Collect the results for a property.

    Raises:
        DataError: the records of a task disagree, or the two tasks have different cells.
    """
    cell, notes = predicted_rows(results.scores, results.predictions, wanted.per_cell)
    atom, more = predicted_rows(results.scores, results.predictions, wanted.per_atom)
    found = Findings(cell, atom, notes=notes + more)
    for task, parts, names in (
        (wanted.per_cell, cell, (DUMMY, PLAIN, SUM, HYBRID, COUNT)),
        (wanted.per_atom, atom, (DUMMY, PLAIN, HYBRID)),  # the size of the cell does not matter here
    ):
        missing = [name for name in names if name not in parts]
        if not parts:
            found.notes.append(f"{task}: no records")
        elif missing:
            found.notes.append(f"{task}: no records of {', '.join(missing)}")
    if cell and atom:
        one, other = next(iter(cell.values())), next(iter(atom.values()))
        if np.array_equal(one.ids, other.ids):
            found.counts = atom_counts(one, other)
        else:
            found.notes.append("the two tasks have records of different rows, so per cell and per atom are not joined")
    return found


def atom_counts(per_cell: PredictedRows, per_atom: PredictedRows) -> FloatArray:
    """(n,) number of atoms in each cell: the target per cell divided by the target per atom.

    Raises:
        DataError: a quotient is not an integer; names the id.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = per_cell.targets / per_atom.targets
    rounded = np.rint(counts)
    bad = ~(np.isfinite(counts) & (rounded >= 1) & (np.abs(counts - rounded) <= 1e-6 * rounded))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{per_cell.ids[row]}: its target per cell, {per_cell.targets[row]:g}, is not a multiple of its target per "
            f"atom, {per_atom.targets[row]:g}: the records of the two tasks come from different data"
        )
    return rounded


# ---------------------------------------------------------------------- the page


def page(results: Results) -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION]
    mine = results.select(task=_tasks())
    for wanted in PROPERTIES:
        parts += section(wanted, findings(mine, wanted))
    return "\n\n".join(parts) + "\n"


def section(wanted: Property, found: Findings) -> list[str]:
    """Paragraphs and tables of one property."""
    known = [*found.cell.values(), *found.atom.values()]
    lines = [f"## {wanted.title}" + (f", {known[0].unit}" if known else "")]
    if known:
        lines += [_rows_text(found, known[0]), errors_table(found)]
        errors = PairedErrors(found.cell_errors()) if found.cell else None
        if errors is not None and PLAIN in errors.errors:
            plain = f"`{PLAIN}`{_setting(found, PLAIN, 'readout')}"
            lines += [f"### Reduction of the error per cell of {plain}, trained per cell", shares_table(found, errors)]
        lines += remaining(found, errors)
    if found.notes:
        lines.append("Missing or left out:\n\n" + "\n".join(f"- {note}" for note in found.notes))
    return lines


def _rows_text(found: Findings, part: PredictedRows) -> str:
    size = "" if found.counts is None else f", of {found.counts.min():.0f} to {found.counts.max():.0f} atoms"
    mean = "" if found.counts is None else f" ({found.counts.mean():.1f} on average)"
    return f"{len(part.ids):,} test rows{size}{mean}. Mean absolute errors:"


def errors_table(found: Findings) -> str:
    """Mean absolute errors of all models, per cell and per atom."""
    counts = found.counts
    rows = []
    for name in dict.fromkeys([*found.cell, *found.atom]):
        cell, atom = found.cell.get(name), found.atom.get(name)
        rows.append(
            [
                f"`{name}`",
                _error(cell, 1.0),
                _error(cell, None if counts is None else 1 / counts),
                _error(atom, counts),
                _error(atom, 1.0),
                " and ".join(dict.fromkeys(str(part.seeds) for part in (cell, atom) if part is not None)),
            ]
        )
    per_cell = ["per cell, trained per cell", "per atom, trained per cell (÷ atoms)"]
    per_atom = ["per cell, trained per atom (× atoms)", "per atom, trained per atom"]
    return _table(["model", *per_cell, *per_atom, "seeds"], rows)


def shares_table(found: Findings, errors: PairedErrors) -> str:
    """Reduction of the plain network's error by each change, also as a share of the reduction by the hybrid."""
    by_hybrid = _estimate(errors, HYBRID, PLAIN)
    shared = by_hybrid is not None and by_hybrid.low > 0  # otherwise there is no reduction to take a share of
    rows = []
    for name, text in SHARES:
        cut = _estimate(errors, name, PLAIN)
        part = errors.estimate(share(name, HYBRID, PLAIN)) if shared and cut and name != HYBRID else None
        mean = number_text(float(errors.means[name])) if cut else MISSING
        change = text.format(name) + _setting(found, name, "bank")
        rows.append([change, mean, _percent(cut), _percent(part)])
    return _table(["change", "error per cell", "reduction", f"share of the reduction by `{HYBRID}`"], rows)


def remaining(found: Findings, errors: PairedErrors | None) -> list[str]:
    """The reduction by descriptors for networks that know the number of atoms."""
    rows = []
    for name, reference in REMAINING:
        estimate = _estimate(errors, name, reference) if errors is not None else None
        if estimate is not None:
            rows.append([f"`{name}` against `{reference}`", "per cell", _percent(estimate)])
    if HYBRID in found.atom and PLAIN in found.atom:
        both = PairedErrors({name: found.atom[name].errors for name in (HYBRID, PLAIN)})
        rows.append([f"`{HYBRID}` against `{PLAIN}`, both trained per atom", "per atom", _percent_of(both)])
    if not rows:
        return []
    return [
        "### What descriptors add once the number of atoms is known",
        _table(["models", "error", "reduction"], rows),
    ]


def _setting(found: Findings, name: str, hyperparameter: str) -> str:
    """Value of a hyperparameter of a model, in brackets; empty if it has no such hyperparameter."""
    settings = found.cell[name].settings if name in found.cell else {}
    return f" ({hyperparameter} = {settings[hyperparameter]})" if hyperparameter in settings else ""


def _percent_of(errors: PairedErrors) -> str:
    return _percent(errors.estimate(reduction(HYBRID, PLAIN)))


def _estimate(errors: PairedErrors, name: str, reference: str) -> Estimate | None:
    known = errors.errors
    return errors.estimate(reduction(name, reference)) if name in known and reference in known else None


def _error(part: PredictedRows | None, factor: FloatArray | float | None) -> str:
    return MISSING if part is None or factor is None else number_text(float((part.errors * factor).mean()))


def _percent(estimate: Estimate | None) -> str:
    return MISSING if estimate is None else percent_text(estimate.value, estimate.low, estimate.high)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(markdown_table(header, rows, ["---", *["---:"] * (len(header) - 1)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.periodicity", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/periodicity"), help="folder of the results")
    folder = parser.parse_args(arguments).results
    try:
        results = read_results(RecordStore(folder / RECORDS))
        if results.scores.empty or not results.scores["task"].isin(_tasks()).any():
            raise ConfigError(
                f"{folder / RECORDS}: there are no records of {', '.join(_tasks())}; run the suite periodicity first, "
                "or give --results"
            )
        write_text(folder / FILE_NAME, page(results))
    except CrystalBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for problem in results.problems:
        print(f"not counted: {problem}", file=sys.stderr)
    print(f"written: {folder / FILE_NAME}")
    return 1 if results.problems else 0


def _tasks() -> list[str]:
    return [task for wanted in PROPERTIES for task in (wanted.per_cell, wanted.per_atom)]


if __name__ == "__main__":
    raise SystemExit(main())
