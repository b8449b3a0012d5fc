"""What each view removes and keeps: ``python -m benchmarks.views --data-dir DIR``.

Predicts facts of crystals from descriptors of the same crystals under each view, with a forest and five-fold
cross-validation, and prints a Markdown table. A fact that a view removes cannot be predicted; a fact that it keeps can.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import spglib
from matminer.utils.data import MagpieData
from pymatgen.core import Element
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict

import crystalbench as cb
from crystalbench.data import Crystals, get_view, view_names
from crystalbench.errors import CrystalBenchError
from crystalbench.reports.formatting import markdown_table
from crystalbench.representations import DescriptorBank

TOLERANCE = 0.01  # Å
NUMBERS = ("mean covalent radius", "mean electronegativity", "volume per atom", "atoms in the primitive cell")
CLASSES = ("space group", "crystal system")
SYSTEMS = (2, 15, 74, 142, 167, 194, 230)
"""Largest space group number of each crystal system."""

Facts = dict[str, npt.NDArray[np.float64]]


def facts_of(crystals: Crystals) -> Facts:
    """(n,) values of each fact of n crystals: radii in pm, volumes in Å³."""
    radius, negativity = element_table("CovalentRadius"), element_table("Electronegativity")
    groups, atoms = symmetries(crystals)

    def mean(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(crystals.owners, table[crystals.numbers]) / crystals.atom_counts

    per_atom = crystals.volumes / crystals.atom_counts
    values = (mean(radius), mean(negativity), per_atom, atoms, groups, np.searchsorted(SYSTEMS, groups))
    return dict(zip(NUMBERS + CLASSES, values, strict=True))


def element_table(name: str) -> npt.NDArray[np.float64]:
    """(119,) a property by atomic number, from matminer's Magpie tables; 0 if unknown."""
    elements = (Element.from_Z(z) for z in range(1, 119))
    source = MagpieData()
    return np.nan_to_num([0.0, *(float(source.get_elemental_property(element, name)) for element in elements)])


def symmetries(crystals: Crystals) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n,) space group numbers and (n,) numbers of atoms in the primitive cell."""
    found = []
    for row, structure in enumerate(crystals.to_pymatgen()):
        cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
        dataset = spglib.get_symmetry_dataset(cell, symprec=TOLERANCE)
        if dataset is None:
            raise SystemExit(f"{crystals.ids[row]}: spglib finds no symmetry within {TOLERANCE} Å")
        found.append((dataset.number, dataset.mapping_to_primitive.max() + 1))
    groups, atoms = np.array(found, dtype=np.float64).T
    return groups, atoms


def skills(columns: npt.NDArray[np.float64], facts: Facts, trees: int) -> list[float]:
    """R² of each number and accuracy of each class, from five folds."""
    folds = KFold(5, shuffle=True, random_state=0)
    result = []
    for name, values in facts.items():
        kind = ExtraTreesRegressor if name in NUMBERS else ExtraTreesClassifier
        forest = kind(trees, max_features=0.33, random_state=0)
        result.append(skill(name, values, cross_val_predict(forest, columns, values, cv=folds)))
    return result


def skill(name: str, values: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> float:
    """R² of a number, or accuracy of a class."""
    if name in NUMBERS:
        return float(1 - np.mean((values - predicted) ** 2) / values.var())
    return float(np.mean(values == predicted))


def chance(facts: Facts) -> list[float]:
    """The skills without any information: 0, or the share of the most frequent class."""
    dummy, empty = DummyClassifier(), np.zeros((len(next(iter(facts.values()))), 1))
    return [0.0 if n in NUMBERS else skill(n, v, dummy.fit(empty, v).predict(empty)) for n, v in facts.items()]


def table_of(crystals: Crystals, names: Sequence[str], bank: str, trees: int) -> list[str]:
    """Lines of the table: one row per view."""
    facts = facts_of(crystals)
    rows = [["(no information)", *(f"{value:.2f}" for value in chance(facts))]]
    for name in names:
        columns = DescriptorBank(bank)(get_view(name)(crystals)).values["descriptors"]
        values = skills(np.nan_to_num(columns, nan=-1.0), facts, trees)
        rows.append([f"`{name}`", *(f"{value:.2f}" for value in values)])
        print(name, *rows[-1][1:], file=sys.stderr, flush=True)
    titles = [f"{name}<br>{'R²' if name in NUMBERS else 'accuracy'}" for name in facts]
    return markdown_table(["view", *titles], rows, ["---", *["---:"] * len(titles)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="matbench_phonons")
    parser.add_argument("--data-dir", help="folder with the Matbench files")
    parser.add_argument("--rows", type=int, default=200, help="rows of the task, drawn at random")
    parser.add_argument("--bank", default="rich", help="descriptors: gong28 or rich")
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--view", action="append", help="a view (repeatable); all registered ones by default")
    options = parser.parse_args(arguments)
    try:
        crystals = cb.load_task(options.task, data_dir=options.data_dir).inputs
        if not isinstance(crystals, Crystals):
            parser.error(f"{options.task} has no structures")
        count = min(options.rows, len(crystals))
        rows = np.sort(np.random.default_rng(0).choice(len(crystals), count, replace=False))
        names = options.view or [*view_names(), "anonymous+unit_density"]
        print("\n".join(table_of(crystals[rows], names, options.bank, options.trees)))
    except CrystalBenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
