"""`crystalbench probe`: what it shows and writes, and how mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from commands import ENERGY, call, failed

LINE = "crystalbench.testing._probe_case:VolumeLine"
SMALL = ("--limit", 60, "--results", "results", "--threads", 1, "--offline")


def test_information_shows_the_matrix_and_says_what_it_means() -> None:
    result = call("probe", "information", "--task", ENERGY, "--model", LINE, "--view", "anonymous", *SMALL)
    assert result.exit_code == 0, result.output
    assert f"{ENERGY} (60 of" in result.output
    for text in ("skill by view", "labels shuffled (control)", "where the skill comes from", "The MAE of the dummy is"):
        assert text in result.output
    assert "written: results/information.csv, results/information_sources.csv" in result.output
    table = pd.read_csv("results/information.csv")
    assert table["view"].tolist() == ["full", "anonymous", "shuffled_labels"]
    assert set(table["folds"]) == {5}
    again = call("probe", "information", "--task", ENERGY, "--model", LINE, "--view", "anonymous", *SMALL)
    assert pd.read_csv("results/information.csv").equals(table)
    assert "fitting" not in again.output


def test_invariance_names_drifts_in_units_of_the_error() -> None:
    result = call("probe", "invariance", "--task", ENERGY, "--model", LINE, "--model", "dummy", "--fold", 0, *SMALL)
    assert result.exit_code == 0, result.output
    assert f"{ENERGY} (60 rows): drift of predictions" in result.output
    assert f"VolumeLine on {ENERGY} (60 rows)" in result.output
    words = " ".join(result.output.split())
    assert "VolumeLine is unchanged within 1 % of the error: atom_order, origin, rotation, reflection" in words
    table = pd.read_csv("results/invariance.csv")
    assert list(table)[:5] == ["task", "model", "transform", "drift", "relative_to_error"]
    assert set(table["model"]) == {"VolumeLine", "dummy"}
    assert (table.loc[table["model"] == "dummy", "drift"] == 0).all()


def test_descriptors_of_a_named_task_are_shown_below_the_task_itself() -> None:
    options = ("--model", "magpie_forest", "--set", "trees=5", "--fold", 0, *SMALL)
    result = call("probe", "descriptors", "--task", f"{ENERGY}+descriptor:beta", *options)
    assert result.exit_code == 0, result.output
    assert f"{ENERGY} (60 of" in result.output
    assert "magpie_forest: trained" in " ".join(result.output.split())
    table = pd.read_csv("results/descriptors.csv")
    assert table["descriptor"].tolist() == ["beta", "beta"]
    assert set(table["mode"]) == {"end_to_end", "composition_volume"}


def test_a_probe_may_need_no_models() -> None:
    result = call("probe", "refinement", "--task", ENERGY, *SMALL)
    assert result.exit_code == 0, result.output
    assert f"{ENERGY}: crystals that distances cannot tell apart" in result.output
    assert pd.read_csv("results/refinement.csv")["neighbours"].tolist() == [12, 24]
    failed(call("probe", "refinement", *SMALL), "name what to probe: --task TASK, or --suite SUITE")


def test_a_probe_may_have_a_suite_of_its_own() -> None:
    failed(call("probe", "readout", *SMALL), "phonon_cv_u.parquet")


def test_a_task_of_another_kind_is_refused_before_runs_are_announced() -> None:
    result = call("probe", "diffraction", "--task", ENERGY, "--model", "diffraction_spectrum", *SMALL)
    failed(result, "demo_formation_energy is a task of regression, and it takes those of binary or", "--task")
    assert "run" not in result.output.partition("error")[0]


MINE = """
import pandas as pd
from crystalbench.probes import Probe


class Largest(Probe):
    name = "largest"
    description = "the largest prediction"
    tables = {"largest": ("task", "largest")}

    def evaluate(self, results, answers):
        if not len(results.scores):
            return {"largest": pd.DataFrame(columns=list(self.tables["largest"]))}
        return {"largest": results.predictions.groupby("task")["prediction"].max().rename("largest").reset_index()}
"""


def test_a_probe_of_a_file_has_its_table_on_screen_as_csv_and_on_the_site() -> None:
    Path("mine.py").write_text(MINE, encoding="utf-8")
    site = ("report", "--results", "results", "--site", "--probe", "mine.py:Largest")
    result = call("probe", "mine.py:Largest", "--task", ENERGY, "--model", LINE, "--fold", 0, *SMALL)
    assert result.exit_code == 0, result.output
    assert "largest" in result.output and list(pd.read_csv("results/largest.csv")) == ["task", "largest"]
    assert call(*site).exit_code == 0
    page = Path("results/site/information.html").read_text(encoding="utf-8")
    assert "The largest prediction</h2>" in page
    assert f'<th scope="row">{ENERGY.replace("_", "_<wbr>")}</th><td>' in page
    failed(call(*site[:3], "--probe", "mine.py:Largest"), "--probe is for the site; add --site")
    Path("results/largest.csv").unlink()
    failed(call(*site), "has no tables of the probe mine.py:Largest; run crystalbench probe mine.py:Largest first")


def test_mistakes_are_explained() -> None:
    failed(call("probe", "informaton", "--task", ENERGY, "--model", "dummy"), "Did you mean 'information'")
    failed(call("probe", "information", "--task", ENERGY), "name what to probe: --task TASK --model MODEL")
    failed(call("probe", "information", "--task", "nonsense", "--model", "dummy", *SMALL), "nonsense")
    Path("probe.py").write_text("NOTHING = 1\n", encoding="utf-8")
    failed(call("probe", "probe.py:NOTHING", "--task", ENERGY, "--model", "dummy"), "not a subclass of Probe")


@pytest.mark.parametrize("option", ["--fold", "--seed"])
def test_a_fold_or_seed_that_does_not_exist_is_refused(option: str) -> None:
    result = call("probe", "information", "--task", ENERGY, "--model", LINE, option, "-7", *SMALL)
    assert result.exit_code != 0
    assert "Traceback" not in result.output


def test_the_list_has_the_probes() -> None:
    result = call("list")
    assert "Probes" in result.output
    assert "invariance" in result.output
