"""Final models in Python: what they accept, and how they look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

import crystalbench as cb
from crystalbench.errors import ConfigError, DataError
from crystalbench.runs.final import FinalModel

CUAU = Structure(Lattice.tetragonal(2.8, 3.7), ["Cu", "Au"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.fixture(scope="module")
def forest() -> FinalModel:
    return cb.fit("magpie_forest", cb.load_task("demo_formation_energy", limit=60), trees=5)


@pytest.mark.parametrize(
    "inputs",
    ["CuAu", ["CuAu"], CUAU, [CUAU], cb.Compositions.from_formulas(["CuAu"]), cb.Crystals.from_pymatgen([CUAU])],
)
def test_formulas_and_structures_are_predicted(forest: FinalModel, inputs: Any) -> None:
    expected = forest.predict(cb.Compositions.from_formulas(["AuCu"]))
    assert np.array_equal(forest.predict(inputs).values, expected.values)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "nothing to predict"),
        (5, "not int"),
        (["CuAu", CUAU], "not Structure, str"),
        ([None], "not NoneType"),
        (["Xx2"], "Xx2"),
        (Structure(Lattice.cubic(3), ["Cu", "Cu"], [[0, 0, 0], [0.1, 0, 0]]), "structure 0: .*apart"),
    ],
)
def test_what_cannot_be_predicted_is_refused(forest: FinalModel, inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        forest.predict(inputs)


def test_repr_is_one_line(forest: FinalModel) -> None:
    assert repr(forest) == "<FinalModel: magpie_forest fitted to 60 rows of demo_formation_energy>"


def test_misnamed_arguments_are_not_taken_for_hyperparameters() -> None:
    task = cb.load_task("demo_bulk_modulus", limit=60)
    with pytest.raises(ConfigError, match="no argument fold; did you mean folds"):
        cb.run("dummy", task, fold=[0])
    with pytest.raises(ConfigError, match="no argument seeds; did you mean seed"):
        cb.fit("dummy", task, seeds=[0])


def test_new_elements_are_named_unless_the_view_hides_the_elements(forest: FinalModel) -> None:
    plutonium = Structure(Lattice.cubic(3.6), ["Pu", "Cu"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    crystals = cb.Crystals.from_pymatgen([CUAU, plutonium], ids=["a", "b"])
    assert forest.new_elements(crystals) == {"b": ("Pu",)}
    assert forest.new_elements(crystals.compositions()) == {"b": ("Pu",)}
    blind = cb.fit("dummy", cb.load_task("demo_formation_energy", limit=60), view="anonymous")
    assert blind.new_elements(crystals) == {}


def test_a_long_fit_writes_lines_to_the_error_stream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crystalbench.runs.lines.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("crystalbench.runs.lines.LOOK_SECONDS", 0.01)
    task = cb.load_task("demo_formation_energy", limit=60)
    cb.fit("cgcnn", task, epochs=2)
    assert "demo_formation_energy · cgcnn: fitting" in capsys.readouterr().err
    cb.run("cgcnn", task, folds=[0], epochs=2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "demo_formation_energy · cgcnn · fold 0: fitting" in err
    assert "demo_formation_energy · cgcnn · fold 0: MAE " in err
    cb.run("cgcnn", task, folds=[0], epochs=2, progress=False)
    cb.fit("cgcnn", task, epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")
