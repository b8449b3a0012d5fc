"""A target that is made from one kind of information is attributed to it: the proof that the matrix can be read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from helpers import cell_from_parameters

from crystalbench.data.crystals import Crystals
from crystalbench.evaluation.information import (
    CHEMISTRY,
    CONTROL,
    DENSITY,
    GEOMETRY,
    KINDS,
    PERIODICITY,
    VIEWS,
    information,
    sources_of_skill,
)
from crystalbench.models import get_model
from crystalbench.results import Results
from crystalbench.runs.execute import compute
from crystalbench.runs.plan import Selection, plan_of_task
from crystalbench.runs.resources import Resources
from crystalbench.runs.suite import ModelEntry, Suite
from crystalbench.targets import Kind, Target
from crystalbench.tasks import Source, Task
from crystalbench.tasks.shuffled import shuffled

pytestmark = pytest.mark.slow

ROWS, FOLDS = 90, 3
FOREST = {"trees": 30, "bank": "gong28+magpie"}
ELEMENTS = (3, 5, 8, 9, 12, 14, 20, 22, 26, 31, 38, 50)
SHAPES = (  # space group, b/a, gamma, place of the second atom, number of operations
    ("P4mm", 1.0, 90.0, (1 / 2, 1 / 2), 8),
    ("Pmm2", 1.15, 90.0, (1 / 2, 1 / 2), 4),
    ("P2", 1.15, 78.0, (1 / 2, 1 / 2), 2),
    ("P3m1", 1.0, 120.0, (1 / 3, 2 / 3), 6),
)
"""Cells of two atoms, the second of which is at a height that symmetry does not determine."""


def crystals_with_targets() -> tuple[Crystals, dict[str, np.ndarray]]:
    """Crystals whose elements, density, height of the second atom and symmetry are independent of each other."""
    rng = np.random.default_rng(0)
    shape = np.arange(ROWS) % len(SHAPES)
    height, volume = rng.uniform(0.28, 0.46, ROWS), rng.uniform(10.0, 30.0, ROWS)
    elements = np.array([rng.choice(ELEMENTS, 2, replace=False) for _ in range(ROWS)])
    cells, coords = [], []
    for row in range(ROWS):
        _, ratio, gamma, place, _ = SHAPES[shape[row]]
        cell = cell_from_parameters(1.0, ratio, 1.25, 90.0, 90.0, gamma)
        cells.append(cell * np.cbrt(2 * volume[row] / np.linalg.det(cell)))
        coords += [(0.0, 0.0, 0.0), (*place, height[row])]
    crystals = Crystals.from_flat(np.array(cells), coords, elements.ravel(), [2] * ROWS, [f"c{i}" for i in range(ROWS)])
    operations = np.array([SHAPES[number][4] for number in shape], np.float64)
    return crystals, {
        CHEMISTRY: elements.mean(axis=1),
        DENSITY: volume,
        GEOMETRY: height,
        PERIODICITY: operations,
    }


def task_of(kind: str) -> Task:
    crystals, targets = crystals_with_targets()
    folds = np.random.default_rng(1).permutation(np.arange(ROWS) % FOLDS).astype(np.int16)
    source = Source("planted", "0" * 64, "user")
    target = Target("planted", Kind.REGRESSION)
    return Task(f"planted_{kind.split()[0]}", target, "mae", crystals, targets[kind], folds, ROWS, source)


@pytest.fixture(scope="module", params=KINDS)
def scored(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame]:
    """A kind of information, and the scores of a forest and the dummy on the task that is made from it."""
    task = task_of(request.param)
    entries = [(ModelEntry(model=name, parameters=p), get_model(name)) for name, p in models().items()]
    suite = Suite(name="planted", tasks=(task.name,))
    records = []
    for one, views in ((task, VIEWS), (shuffled(task), ("full",))):
        runs = plan_of_task(one, entries, suite, Selection(views=views)).runs
        runs = [run for run in runs if run.label != "dummy" or run.spec.view == "full"]
        records += [compute(run.spec, run.label, run.model, run.task, Resources()).record for run in runs]
    return request.param, Results(records).scores


def models() -> Mapping[str, dict[str, object]]:
    return {"descriptor_forest": FOREST, "dummy": {}}


def test_the_skill_comes_from_what_the_target_is_made_of(scored: tuple[str, pd.DataFrame]) -> None:
    planted, scores = scored
    matrix, sources = information(scores).set_index("view"), sources_of_skill(scores)
    assert matrix.loc["full", "skill"] > 0.5
    shares = sources.groupby("information")["share"].mean()
    assert shares.idxmax() == planted, shares
    assert shares[planted] > 0.6, shares
    assert shares.drop(planted).max() < 0.35, shares
    alone = {CHEMISTRY: "composition_only", DENSITY: "anonymous", GEOMETRY: "anonymous+unit_density"}
    view = alone.get(planted, "symmetry_only")
    assert matrix.loc[view, "kept"] > 0.7
    others = {"composition_only", "symmetry_only"} - {view}
    assert all(matrix.loc[other, "skill"] < 0.3 for other in others)


def test_shuffled_labels_leave_no_skill(scored: tuple[str, pd.DataFrame]) -> None:
    control = information(scored[1]).set_index("view").loc[CONTROL]
    assert -0.5 < control["skill"] < 0.15
    assert not control["low"] > 0
