from __future__ import annotations

import numpy as np
import pytest
from helpers import formulas_task, known_structures

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
    assert rows.formulas[:3].tolist() == ["Cu", "NaCl", "SrTiO3"]
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
    assert rows.formulas.tolist() == ["FeO2", "FeO", "Fe3O2", "Fe2O"]
    assert (rows.space_groups, rows.crystal_systems, rows.atoms, rows.volumes) == (None, None, None, None)
    assert (rows.data, rows.classes) == (task.digest, ())
