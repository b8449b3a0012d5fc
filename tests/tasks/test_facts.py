from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import formulas_task, known_structures

from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import concatenate
from crystalbench.targets import Kind, Target
from crystalbench.tasks import Source, Task
from crystalbench.tasks.facts import rows_of
from crystalbench.testing.crystals import one_crystal


def test_facts_of_known_structures() -> None:
    close = one_crystal(np.eye(3) * 4, np.zeros((2, 3)), [6, 6], "two-atoms-at-one-place")
    crystals = concatenate([known_structures(), close])
    n = len(crystals)
    target = Target("y", Kind.REGRESSION, "")
    source = Source("f", "0" * 64, "user")
    folds = (np.arange(n) % 2).astype(np.int16)
    rows = rows_of(Task("known", target, "mae", crystals, np.arange(n, dtype=np.float64), folds, n, source))
    groups, systems = rows.space_groups, rows.crystal_systems
    assert groups is not None
    assert systems is not None
    assert groups.tolist() == [225, 225, 221, 194, 186, 136, 152, 62, 14, 0]
    assert systems.tolist() == [
        *("cubic", "cubic", "cubic", "hexagonal", "hexagonal", "tetragonal", "trigonal", "orthorhombic", "monoclinic"),
        "unknown",
    ]
    assert rows.formulas[:3].tolist() == ["Cu1.0000", "Na0.5000 Cl0.5000", "O0.6000 Ti0.2000 Sr0.2000"]
    assert rows.systems[2] == "O-Sr-Ti"
    assert np.flatnonzero(rows.elements[2]).tolist() == [8, 22, 38]
    assert rows.atoms is not None
    assert rows.volumes is not None
    assert rows.atoms[0] == 4
    assert rows.volumes[0] == pytest.approx(3.61**3 / 4)
    assert rows.features.shape == (n, 146)


def test_facts_of_compositions() -> None:
    task = formulas_task(4)
    rows = rows_of(task)
    assert len(set(rows.formulas)) == 4
    assert (rows.space_groups, rows.crystal_systems, rows.atoms, rows.volumes) == (None, None, None, None)
    assert (rows.data, rows.classes) == (task.digest, ())


def test_formulas_are_equal_for_equal_atomic_fractions() -> None:
    inputs = Compositions.from_formulas(["Fe0.62Ni0.38", "Fe31Ni19", "Fe2O3", "Fe4O6"])
    task = replace(formulas_task(4), inputs=inputs)
    assert np.unique(rows_of(task).formulas, return_inverse=True)[1].tolist() == [0, 0, 1, 1]
