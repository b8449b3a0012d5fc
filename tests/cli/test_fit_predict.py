"""The commands `fit` and `predict`: a model for new materials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import ENERGY, call, failed
from helpers import known_structures, write_toys

from crystalbench.cli.predict import _number, predictions_frame
from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Predictions
from crystalbench.runs.final import FinalModel

FOREST = ("fit", "--task", ENERGY, "--limit", 60, "--model", "magpie_forest", "--set", "trees=20")


def write_cifs(crystals: Crystals) -> list[Path]:
    Path("cifs").mkdir()
    for i, name in enumerate(crystals.ids):
        crystals.structure(i).to(filename=f"cifs/{name}.cif", fmt="cif")
    return sorted(Path("cifs").glob("*.cif"))


def test_fit_then_predict_cif_files_in_a_fresh_folder() -> None:
    crystals = known_structures()
    result = call("fit", "--task", ENERGY, "--limit", 60, "--model", "cgcnn", "--set", "epochs=2", "--out", "my_model")
    assert result.exit_code == 0, result.output
    assert "cgcnn fitted to 60 rows of demo_formation_energy, saved in my_model" in result.output
    files = write_cifs(crystals)
    result = call("predict", "my_model", *files, "--out", "predictions.csv")
    assert result.exit_code == 0, result.output
    assert f"{len(crystals)} predictions of formation_energy (eV/atom) written to predictions.csv" in result.output
    frame = pd.read_csv("predictions.csv")
    assert list(frame.columns) == ["id", "prediction"]
    assert sorted(frame["id"]) == sorted(crystals.ids)
    expected = dict(zip(crystals.ids, FinalModel.load("my_model").predict(crystals).values, strict=True))
    found = dict(zip(frame["id"], frame["prediction"], strict=True))
    # A CIF has fewer digits than the crystals it was written from.
    assert [found[name] for name in expected] == pytest.approx(list(expected.values()), abs=1e-3)


def test_an_ensemble_gives_standard_deviations_and_formulas_suffice_for_a_composition_model() -> None:
    assert call(*FOREST, "--ensemble", 3, "--out", "forest").exit_code == 0
    result = call("predict", "forest", "--formula", "CuAu", "--formula", "NiPd3", "--out", "p.csv")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv("p.csv")
    assert list(frame.columns) == ["id", "prediction", "std"]
    assert list(frame["id"]) == ["CuAu", "NiPd3"]
    assert (frame["std"] >= 0).all()
    assert (frame["std"] > 0).any()
    members = FinalModel.load("forest").members
    assert len(members) == 3


@pytest.mark.parametrize("name", ["p.xlsx", "p.parquet", "p.csv.gz"])
def test_predictions_are_not_written_under_the_name_of_another_format(name: str) -> None:
    result = call("predict", "forest", "--formula", "CuAu", "--out", name)
    assert result.exit_code == 1
    assert f"--out {name}: predictions are written as CSV; give a name that ends in .csv" in result.output
    assert not Path(name).exists()


def test_classes_have_probabilities() -> None:
    fit = ("fit", "--task", "demo_crystal_system", "--limit", 80, "--model", "descriptor_forest", "--set", "trees=10")
    assert call(*fit, "--out", "systems").exit_code == 0
    result = call("predict", "systems", *write_cifs(known_structures()[:3]), "--out", "p.csv")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv("p.csv")
    shares = frame.filter(like="p_")
    assert np.allclose(shares.sum(axis=1), 1)
    assert list(frame["prediction"]) == list(shares.idxmax(axis=1).str.removeprefix("p_"))


def test_a_table_is_read_by_the_columns_of_the_task() -> None:
    rows = [f"Fe{i}O2,{i},m{i}" for i in range(1, 31)]
    Path("alloys.csv").write_text("formel,gap,nr\n" + "\n".join(rows) + "\n")
    Path("alloys.toml").write_text(
        'name = "alloys"\ntable = "alloys.csv"\ncomposition = "formel"\nid = "nr"\ntarget = "gap"\n'
        'kind = "regression"\nunit = "eV"\n'
    )
    fit = ("fit", "--task", "alloys.toml", "--model", "magpie_forest", "--set", "trees=5", "--out", "final")
    assert call(*fit).exit_code == 0
    Path("new.csv").write_text("nr,formel\nx1,Fe4O2\nx2,Fe3O4\n")
    result = call("predict", "final", "new.csv")
    assert result.exit_code == 0, result.output
    assert "x1" in result.output
    assert "gap (eV), magpie_forest fitted to alloys" in result.output
    Path("other.csv").write_text("name,what\nx1,Fe4O2\n")
    failed(call("predict", "final", "other.csv"), "other.csv", "'nr'")
    result = call("predict", "final", "other.csv", "--id", "name", "--composition", "what", "--out", "o.csv")
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv("o.csv")["id"]) == ["x1"]


def test_a_model_that_cannot_be_saved_is_refused_before_it_is_fitted(tmp_path: Path) -> None:
    toys = write_toys(tmp_path)
    failed(call("fit", "--task", ENERGY, "--limit", 60, "--model", f"{toys}:Shifted", "--out", "m"), "cannot be saved")
    assert not Path("m").exists()


def test_mistakes_name_the_file_and_the_reason() -> None:
    failed(call("fit", "--task", ENERGY, "--model", "cgcn", "--out", "m"), "Did you mean 'cgcnn'")
    failed(call("predict", "nowhere", "x.cif"), "nowhere: there is no such folder; crystalbench fit writes one")
    assert call(*FOREST, "--out", "forest").exit_code == 0
    failed(call(*FOREST, "--out", "forest"), "forest: exists already")
    failed(call("predict", "forest"), "give structure files, or a table")
    failed(call("predict", "forest", "x.cif"), "x.cif: there is no such file")
    Path("bad.cif").write_text("not a crystal")
    Path("worse.cif").write_text("neither")
    failed(
        call("predict", "forest", "bad.cif", "worse.cif"), "bad.cif: its CIF has no atom sites", "worse.cif: its CIF"
    )
    failed(call("predict", "forest", "--formula", "Xx2"), "Xx2")
    assert (
        call("fit", "--task", ENERGY, "--limit", 60, "--model", "cgcnn", "--set", "epochs=1", "--out", "net").exit_code
        == 0
    )
    failed(call("predict", "net", "--formula", "CuAu"), "needs structures; these are compositions")


def test_a_poscar_without_elements_is_refused() -> None:
    assert call(*FOREST, "--out", "forest").exit_code == 0
    lattice = "1.0\n4 0 0\n0 4 0\n0 0 4\n"
    Path("POSCAR").write_text(f"comment\n{lattice}1 1\ndirect\n0 0 0\n.5 .5 .5\n")
    failed(call("predict", "forest", "POSCAR"), "POSCAR: is read only by guessing", "cannot be determined")
    Path("POSCAR").write_text(f"comment\n{lattice}Cu Au\n1 1\ndirect\n0 0 0\n.5 .5 .5\n")
    assert call("predict", "forest", "POSCAR").exit_code == 0


def test_a_spread_of_round_off_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(*FOREST, "--out", "forest").exit_code == 0
    found = Predictions(np.array([2.0, 2.0]), np.array([1e-14, 0.1]))
    monkeypatch.setattr(FinalModel, "predict", lambda *_: found)
    frame = predictions_frame(FinalModel.load("forest"), Compositions.from_formulas(["CuAu", "Cu"]))
    assert frame["std"].tolist() == [0.0, 0.1]


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (9.7e-157, 1.5, "0"),
        (-9.7e-157, 1.5, "0"),
        (0.000123456, 1.5, "0.00012"),
        (1.23456789, 1.5, "1.2346"),
        (-123456.7, 80000.0, "-1.2346e+05"),
        (3.3333e-12, 2e-12, "3.3333e-12"),
        (9.7e-157, 2e-12, "0"),
        (9.7e-157, 1.0, "0"),
        (9.7e-157, None, "9.7e-157"),
        (4.0, 0.0, "4"),
    ],
)
def test_what_is_negligible_is_shown_as_zero(value: float, scale: float | None, text: str) -> None:
    assert _number(value, scale) == text


def test_the_file_of_predictions_has_all_digits_and_the_screen_has_five(monkeypatch: pytest.MonkeyPatch) -> None:
    call("fit", "--task", ENERGY, "--model", "dummy", "--limit", 60, "--out", "dummy")
    monkeypatch.setattr("crystalbench.models.Dummy.predict", lambda self, samples: Predictions(np.full(1, 1.1e-157)))
    shown = call("predict", "dummy", "--formula", "CuAu")
    assert shown.exit_code == 0, shown.output
    assert "e-157" not in shown.output and shown.output.split()[-1] == "0"
    call("predict", "dummy", "--formula", "CuAu", "--out", "all.csv")
    assert Path("all.csv").read_text().endswith("1.1e-157\n")


def test_rows_with_elements_that_the_model_has_never_seen_are_named() -> None:
    assert call(*FOREST, "--out", "forest").exit_code == 0
    formulas = ("CuAu", "CuPu", "Pu2Xe", "NiPd3")
    result = call("predict", "forest", *(word for formula in formulas for word in ("--formula", formula)))
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "elements in none of the 60 rows that magpie_forest was fitted to: Pu in CuPu, Pu2Xe; Xe in Pu2Xe" in said
    assert "elements in none" not in call("predict", "forest", "--formula", "CuAu").output


def test_a_long_fit_is_told_of_and_leaves_no_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crystalbench.models.checkpoints.EVERY_SECONDS", 0.0)
    monkeypatch.setattr("crystalbench.runs.lines.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("crystalbench.runs.lines.LOOK_SECONDS", 0.01)
    result = call("fit", "--task", ENERGY, "--limit", 60, "--model", "cgcnn", "--set", "epochs=3", "--out", "my_model")
    assert result.exit_code == 0, result.output
    assert f"{ENERGY} · cgcnn: fitting" in result.output
    assert [path.name for path in Path().iterdir()] == ["my_model"]
