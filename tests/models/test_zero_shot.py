"""ZeroShot chooses a column and scales it by the line of least absolute error."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import samples_of
from scipy.stats import linregress

from crystalbench.data.crystals import Crystals, concatenate
from crystalbench.data.samples import Samples
from crystalbench.errors import ConfigError
from crystalbench.models import get_model
from crystalbench.models.model import Runtime
from crystalbench.models.potentials.zero_shot import ZeroShot, robust_lines
from crystalbench.targets import Kind
from crystalbench.testing.crystals import known_structures, one_crystal
from crystalbench.testing.samples import TARGETS

SPRINGS = f"{Path(__file__).parents[1] / 'representations/potentials/toys.py'}:Springs"


def squeezed(n: int = 40) -> Crystals:
    """Caesium chloride in cells of several sizes."""
    edges = np.linspace(2.6, 3.0, n)
    return concatenate(
        [one_crystal(np.eye(3) * e, [[0, 0, 0], [0.5] * 3], [55, 17], f"cell-{k:02d}") for k, e in enumerate(edges)]
    )


def fitted(crystals: Crystals, targets: np.ndarray) -> ZeroShot:
    model = ZeroShot(potential=SPRINGS, columns="cell")
    model.runtime = Runtime(seed=1)
    samples = Samples(crystals, TARGETS[Kind.REGRESSION], targets)
    return model.fit(samples[::2], samples[1::2])


def columns(crystals: Crystals, label: str) -> np.ndarray:
    from crystalbench.representations.potentials import PotentialDescriptors

    part = PotentialDescriptors(SPRINGS, "cell")
    return part(crystals).values["descriptors"][:, part.labels.index(f"Springs cell: {label}")]


def test_it_finds_the_column_that_the_target_is_made_of_despite_outliers() -> None:
    crystals = squeezed()
    targets = 3 - 2 * columns(crystals, "pressure")
    targets[[3, 17, 30]] += 1000
    model = fitted(crystals, targets)
    assert model.chosen in ("Springs cell: pressure", "Springs cell: largest principal stress")
    good = np.delete(np.arange(40), [3, 17, 30])
    predicted = model.predict(samples_of(crystals).to_predict()).values
    np.testing.assert_allclose(predicted[good], targets[good], atol=1e-2)
    assert model.n_parameters == 2


def test_it_takes_the_logarithm_where_the_target_is_one() -> None:
    crystals = squeezed()[:24]  # under a pressure of several GPa
    targets = np.log10(columns(crystals, "pressure")) + 1
    assert fitted(crystals, targets).chosen == "log10 Springs cell: pressure"


def test_a_crystal_without_the_column_gets_the_median() -> None:
    crystals = squeezed()
    targets = columns(crystals, "pressure")
    heavy = one_crystal(np.eye(3) * 4, [[0, 0, 0]], [118], "oganesson")
    assert fitted(crystals, targets).predict(samples_of(heavy).to_predict()).values == pytest.approx(np.median(targets))


def test_lines_have_the_least_absolute_error() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1, 1e4, 1e-3] + [0, 5e5, 0]
    x[:50, 1] = np.nan
    x[:, 2] = 7.0
    y = 2 * x[:, 0] + 1 + rng.standard_cauchy(200)
    slopes, intercepts = robust_lines(x, y)
    error = np.abs(slopes[0] * x[:, 0] + intercepts[0] - y).mean()
    squares = linregress(x[:, 0], y)
    assert error < np.abs(squares.slope * x[:, 0] + squares.intercept - y).mean()
    for change in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)):
        changed = np.abs((slopes[0] + change[0]) * x[:, 0] + intercepts[0] + change[1] - y).mean()
        assert error <= changed + 1e-6
    assert slopes[2] == 0
    assert intercepts[2] == pytest.approx(np.median(y), abs=0.05)
    assert np.isfinite([slopes, intercepts]).all()


@pytest.mark.parametrize("name", ["potential", "potential_forest", "hybrid_potential"])
def test_models_declare_what_their_potential_was_fitted_to(name: str) -> None:
    model = get_model(name)
    assert model().pretrained_on == {"MPtrj"}
    assert model(potential=SPRINGS).pretrained_on == {"springs"}
    assert model.extra == "potentials"


def test_an_unknown_potential_is_refused_when_the_model_is_made() -> None:
    with pytest.raises(ConfigError, match=r"potential = 'chgnett'; it must be .*\. Did you mean 'chgnet'"):
        get_model("potential")(potential="chgnett")


def test_importing_a_model_of_potentials_imports_no_potential() -> None:
    import subprocess

    script = "import sys; from crystalbench.models import get_model; get_model('potential_forest')(); "
    script += "print([m for m in ('chgnet', 'sevenn', 'ase') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_forest_reads_both_kinds_of_columns() -> None:
    crystals = known_structures()
    model = get_model("potential_forest")(potential=SPRINGS, columns="cell+harmonic", trees=3)
    alone = get_model("descriptor_forest")()
    both, bank = (m._computed(samples_of(crystals)) for m in (model, alone))
    assert both.shape[1] == bank.shape[1] + len(model.potential_labels())
    np.testing.assert_array_equal(both[:, : bank.shape[1]], bank)
