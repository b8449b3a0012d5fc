from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution
from searching import DEFAULT, SPACE
from tunable import Bowl

from crystalbench.errors import ConfigError
from crystalbench.models import CGCNN
from crystalbench.targets import Kind
from crystalbench.tuning import default_in, digest_of, space_of


def test_hyperparameters_that_are_set_are_not_tuned() -> None:
    assert set(SPACE) == {"x", "depth", "shape"}  # `fixed` declares no distribution
    without = space_of(Bowl, Kind.REGRESSION, {"x": 1.0})
    assert set(without) == {"depth", "shape"}
    assert digest_of(without) != digest_of(SPACE)


def test_hyperparameters_without_effect_are_not_tuned() -> None:
    assert set(space_of(CGCNN, Kind.REGRESSION)) - set(space_of(CGCNN, Kind.BINARY)) == {"loss"}
    headless = space_of(CGCNN, Kind.REGRESSION, {"head_layers": 0})
    assert set(space_of(CGCNN, Kind.REGRESSION)) - set(headless) == {"head_layers", "head_width", "dropout"}


def test_the_digest_of_a_space_does_not_depend_on_its_order() -> None:
    assert digest_of(dict(reversed(SPACE.items()))) == digest_of(SPACE)


def test_a_default_outside_its_space_is_an_error() -> None:
    with pytest.raises(Exception, match=r"x = 4\.0 is not in its search space .*; widen the space or set x"):
        default_in(SPACE, {**DEFAULT, "x": 4.0})
    with pytest.raises(Exception, match=r"mine: shape = 'flat' is not in"):
        default_in(SPACE, {**DEFAULT, "shape": "flat"}, "mine")


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_must_survive_json() -> None:
    space = {"size": CategoricalDistribution(((1, 2), (3, 4)))}  # JSON would turn them into lists
    with pytest.raises(ConfigError, match=r"mine: size has the choice \(1, 2\); choices must be numbers, text or None"):
        default_in(space, {"size": (1, 2)}, "mine")
