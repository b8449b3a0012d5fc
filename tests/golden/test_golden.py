"""Predictions and representations compared with the pinned ones: numbers change only together with a version."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from crystalbench import representations
from crystalbench.models import model_names
from crystalbench.representations import Representation
from golden import golden

MODELS = golden.pinned(golden.MODELS_FILE)
REPRESENTATIONS = golden.pinned(golden.REPRESENTATIONS_FILE)

TOLERANCES = {"start": 2e-3, "fit": 0.25}
"""Largest difference of a network's prediction, in standard deviations of the pinned ones.

Measured on one processor with AVX-512, with AVX2 and with neither, and with one and two threads: up to 3.3e-4 before
training, and up to 0.075 after three epochs (cgcnn), when training has amplified the round-off.
"""

EXACT = 1e-6
"""The same for other models, whose predictions did not differ."""

SCALE = 1e-3
"""Also allowed for networks, relative to the largest prediction: after a short fit, predictions may hardly differ from
each other (`deepknet_sphere`), so that their standard deviation is no scale."""

ARRAY_TOLERANCE = 1e-5
"""Largest difference of a weighted sum of an array, relative to the sum of its absolute values."""

REMEDY = "increase the version of the class, say why in CHANGELOG.md, and run: python tests/golden/golden.py pin"


def test_everything_registered_is_pinned() -> None:
    assert set(MODELS) == set(golden.cases()) >= set(model_names())
    assert set(REPRESENTATIONS) == set(golden.REPRESENTATIONS)
    exported = [getattr(representations, name) for name in representations.__all__]
    classes = {c for c in exported if inspect.isclass(c) and issubclass(c, Representation) and c is not Representation}
    assert {type(representation) for representation in golden.REPRESENTATIONS.values()} == classes


STAGES = [
    # One process computes what several cases read: the columns of a potential, or a bank of descriptors.
    pytest.param(title, stage, marks=pytest.mark.xdist_group(f"golden {golden.inputs_of(title)}"))
    for title in golden.cases()
    for stage in golden.stages_of(title)
]


@pytest.mark.parametrize(("title", "stage"), STAGES)
def test_predictions_are_the_pinned_ones(title: str, stage: str) -> None:
    entry = MODELS[title]
    assert golden.model_version(title) == entry["version"], f"{title} has a new version; run golden.py pin"
    # The inputs of models that read a potential come from a network: trees split them elsewhere at near ties.
    network = "start" in golden.stages_of(title) or golden.sees_potential(title)
    tolerance, scale = (TOLERANCES[stage], SCALE) if network else (EXACT, EXACT)
    for kind in golden.kinds_of(title):
        expected = np.array(entry[f"{kind} {stage}"])
        off = np.abs(golden.predictions(title, kind, stage) - expected).max()
        allowed = tolerance * expected.std() + scale * np.abs(expected).max()
        assert off <= allowed, f"{title}, {kind}: predictions moved by {off:.3g}, more than {allowed:.3g}; {REMEDY}"


@pytest.mark.parametrize("title", golden.REPRESENTATIONS)
def test_arrays_are_the_pinned_ones(title: str) -> None:
    entry = REPRESENTATIONS[title]
    version = golden.REPRESENTATIONS[title].version
    assert version == entry["version"], f"{title} has a new version; run golden.py pin"
    arrays = golden.arrays_of(title)
    assert set(arrays) == set(entry["arrays"])
    for name, array in arrays.items():
        found, expected = golden.summary(array), entry["arrays"][name]
        assert {k: found[k] for k in ("dtype", "shape", "missing")} == {
            k: expected[k] for k in ("dtype", "shape", "missing")
        }, f"{title}, {name}; {REMEDY}"
        off = abs(found["sum"] - expected["sum"])
        assert off <= ARRAY_TOLERANCE * expected["size"], f"{title}, {name}: moved by {off:.3g}; {REMEDY}"


def entry_of(version: int, value: float) -> dict[str, Any]:
    return {"version": version, "regression": [[value]]}


def test_pinning_again_keeps_numbers_whose_version_has_not_changed() -> None:
    before = {"kept": entry_of(1, 0.5), "raised": entry_of(1, 0.5), "gone": entry_of(1, 0.5)}
    now = {"kept": entry_of(1, 0.7), "raised": entry_of(2, 0.7), "new": entry_of(1, 0.9)}
    after = golden.updated(before, now)
    assert after == {"kept": entry_of(1, 0.5), "raised": entry_of(2, 0.7), "new": entry_of(1, 0.9)}
