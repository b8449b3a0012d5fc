"""Names of views: composed ones, those in files, and those that are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pandas as pd
import pytest
from helpers import random_crystals
from typer.testing import CliRunner
from view_checks import Change, assert_equal

from crystalbench import compare, load_results
from crystalbench.cli.app import app
from crystalbench.data.views import View, compose, get_view, is_registered
from crystalbench.errors import ConfigError, UnknownNameError


def test_composed_views_apply_from_left_to_right() -> None:
    crystals = random_crystals(0)
    both = get_view("anonymous+unit_density")
    assert_equal(both(crystals), get_view("unit_density")(get_view("anonymous")(crystals)))
    assert_equal(both(crystals), get_view("unit_density+anonymous")(crystals))
    assert [part.name for part in both.parts] == ["anonymous", "unit_density"]
    assert "elements" in both.removes
    assert "density" in both.removes
    assert get_view("supercell+composition_only")(crystals).atom_counts.tolist() != (
        get_view("composition_only+supercell")(crystals).atom_counts.tolist()
    )


def test_composed_views_are_found_again_and_can_be_sent_to_another_process() -> None:
    name = "primitive+anonymous+unit_density"
    assert get_view(name) is get_view(name)
    assert pickle.loads(pickle.dumps(get_view(name))) == get_view(name)
    assert compose(get_view("primitive"), get_view("anonymous+unit_density")) == get_view(name)
    assert get_view("full+anonymous") is get_view("anonymous+full") is get_view("anonymous")
    assert get_view("full+full") is get_view("full")
    assert is_registered(name)
    assert not is_registered("primitive+mine")
    with pytest.raises(ConfigError, match="at least one"):
        compose()


def test_the_version_of_a_composed_view_grows_with_every_part() -> None:
    one, two = (View(name, name, lambda c: c, version=version) for name, version in (("one", 1), ("two", 3)))
    assert compose(one, two).version == 3
    assert compose(View("one", "one", lambda c: c, version=2), two).version == 4


@pytest.mark.parametrize("name", ["anonymous+", "+anonymous", "anonymous++unit_density", ""])
def test_empty_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a name is missing"):
        get_view(name)


@pytest.mark.parametrize("change", [lambda c: c[[1, 0]], lambda c: c[:1]])
def test_a_view_that_changes_rows_is_refused(change: Change) -> None:
    with pytest.raises(ConfigError, match="view 'mine' changes rows or ids"):
        View("mine", "rows", change)(random_crystals(0, 2))


@pytest.mark.parametrize("name", ["../mine", "one+two", ""])
def test_names_of_views_with_special_characters_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="may contain only letters"):
        View(name, "nothing", lambda crystals: crystals)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("anonymos", r"Unknown view 'anonymos'\. Did you mean 'anonymous'"),
        ("anonymous+unit_densty", r"Unknown view 'unit_densty'\. Did you mean 'unit_density'"),
    ],
)
def test_unknown_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        get_view(name)


def test_finding_views_in_files(tmp_path: Path) -> None:
    source = "from crystalbench.data.views import View\nmine = View('mine', 'all', lambda c: c)\nnumber = 3\n"
    for file in (tmp_path / "my_views.py", tmp_path / "my+views.py"):
        file.write_text(source)
        assert get_view(f"{file}:mine").removes == "all"
    place = tmp_path / "my_views.py"
    composed = get_view(f"{place}:mine+unit_density")
    assert composed.name == "mine+unit_density"
    assert composed is get_view(f"{place}:mine+unit_density")
    assert get_view(f"anonymous+{place}:mine").name == "anonymous+mine"
    with pytest.raises(ConfigError, match="is 3, not a crystalbench"):
        get_view(f"{place}:number")


def test_a_composed_view_passes_from_the_command_to_the_leaderboard(tmp_path: Path) -> None:
    name = "anonymous+unit_density"
    words = [
        "run",
        "--suite",
        "demo",
        "--task",
        "demo_formation_energy",
        "--model",
        "dummy",
        "--limit",
        "40",
        "--offline",
    ]
    words += ["--fold", "0", "--fold", "1", "--view", "full", "--view", name, "--results", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    records = sorted(path.name for path in (tmp_path / "records").rglob(f"{name}-fold*.json"))
    assert len(records) == 2
    repeated = CliRunner().invoke(app, words)
    assert "4 of them done" in repeated.output
    results = load_results(tmp_path)
    assert set(results.scores["view"]) == {"full", name}
    comparison = compare(results, f"dummy ({name})", "dummy", task="demo_formation_energy")
    assert comparison.a == f"dummy ({name})"
    assert comparison.mean == 0
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    assert set(table["view"]) == {"full", name}
    assert name in (tmp_path / "leaderboard.md").read_text()
    misspelt = CliRunner().invoke(app, [*words, "--view", "anonymus+unit_density"])
    assert misspelt.exit_code != 0
    assert "'anonymous'" in misspelt.output
