"""Small data, and a CGCNN fitted to it."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import fitted_cgcnn, random_crystals, samples_of

from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Samples


@pytest.fixture(scope="module")
def train() -> Samples:
    return samples_of(random_crystals(0, 40, most_atoms=4))


@pytest.fixture(scope="module")
def valid() -> Samples:
    return samples_of(random_crystals(1, 12, most_atoms=4))


@pytest.fixture(scope="module")
def unseen() -> Crystals:
    return random_crystals(2, 14, most_atoms=5)


@pytest.fixture(scope="module")
def model(train: Samples, valid: Samples) -> Any:
    return fitted_cgcnn(train, valid)
