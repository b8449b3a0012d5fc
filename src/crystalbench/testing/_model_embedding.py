"""Checks of the embeddings of a model, if it has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crystalbench.data.crystals import Crystals
from crystalbench.models.model import Embeds
from crystalbench.testing._model_case import (
    TOLERANCE,
    ModelCase,
    prediction_crystals,
    require_identical,
    training_crystals,
)
from crystalbench.testing.report import CheckFailure, SkipCheck


def embeddings_are_valid(case: ModelCase) -> None:
    """There is a finite vector for each row.

    The same width for any number of rows, none included.
    """
    crystals = prediction_crystals()
    found = _embedded(case, crystals)
    if len(found) != len(crystals) or not np.isfinite(found).all():
        raise CheckFailure(f"{len(crystals)} crystals have {len(found)} vectors, or some are not finite")
    if (none := _embedded(case, crystals[:0])).shape != (0, found.shape[1]):
        raise CheckFailure(f"no crystals have embeddings of shape {none.shape}; it must be (0, {found.shape[1]})")


def rows_are_embedded_independently(case: ModelCase) -> None:
    """Rows are embedded independently."""
    crystals = prediction_crystals()
    order = np.random.default_rng(0).permutation(len(crystals))[:9]
    all_rows = _embedded(case, crystals)
    off = float(np.abs(_embedded(case, crystals[order]) - all_rows[order]).max())
    if off > TOLERANCE * max(float(all_rows.std(0).max()), float(np.abs(all_rows).max())):
        raise CheckFailure(f"embeddings of some rows change by {off:.3g} if others are left out")


def embedding_changes_nothing(case: ModelCase) -> None:
    """Reading embeddings changes nothing.

    Neither does making the untrained model, whose embeddings have the same width.
    """
    kind = case.kind
    expected, model = case.expected(kind), _model(case)
    train = case.samples(training_crystals()[0], kind, fit=True)
    trained = _embedded(case, prediction_crystals())
    untrained = model.untrained(train)
    if untrained is model or type(untrained) is not type(model):
        raise CheckFailure("untrained must return a new model of the same class")
    before = np.asarray(untrained.embed(case.samples(prediction_crystals(), kind)))
    if before.shape != trained.shape:
        raise CheckFailure(f"embeddings have shape {trained.shape}, and {before.shape} before training")
    if not np.array_equal(before, model.untrained(train).embed(case.samples(prediction_crystals(), kind))):
        raise CheckFailure("two untrained models of the same seed have different embeddings")
    again = case.predictions(case.fitted(kind), prediction_crystals(), kind)
    require_identical(expected, again, "predicted again after reading embeddings")


def _model(case: ModelCase) -> Embeds:
    case.expected(case.kind)  # so that a model that cannot predict at all is reported once
    model = case.fitted(case.kind)
    if not isinstance(model, Embeds):
        raise SkipCheck
    return model


def _embedded(case: ModelCase, crystals: Crystals) -> npt.NDArray[np.float64]:
    found = np.asarray(_model(case).embed(case.samples(crystals, case.kind)))
    if found.ndim != 2:
        raise CheckFailure(f"embed returns an array of shape {found.shape}; it must be (n, d)")
    return found


CHECKS = (embeddings_are_valid, rows_are_embedded_independently, embedding_changes_nothing)
