from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from pydantic import ValidationError

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import get_model, model_names
from crystalbench.models.diffraction.base import INTENSITIES
from crystalbench.representations.diffraction.scattering import SCATTERINGS
from crystalbench.runs.suite import (
    ModelEntry,
    Suite,
    TuningEntry,
    load_suite,
    packaged_tasks,
    parse_suite,
    suite_names,
    suite_of_tasks,
    with_tuning,
)
from crystalbench.tasks import resolve_tasks
from crystalbench.tasks.genome import TASKS as GENOME

SHIPPED = sorted((ROOT / "src" / "crystalbench" / "suites").glob("*.toml"))


def parse(folder: Path, text: str) -> Suite:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return parse_suite(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_suite_can_be_used(path: Path) -> None:
    suite = parse_suite(path)
    assert suite.name == path.stem
    assert suite.description
    assert resolve_tasks(suite.tasks)
    assert suite.entries()
    assert 1 <= suite.protocol.ensemble <= suite.protocol.inner_folds
    assert load_suite(path.stem) == suite
    assert suite_names()[path.stem].resolve() == path


def test_the_demo_suite_is_shipped() -> None:
    assert "demo" in {path.stem for path in SHIPPED}


def test_all_keys_of_a_suite(tmp_path: Path) -> None:
    suite = parse(
        tmp_path,
        """
        description = "two models"
        tasks = ["demo_*"]
        models = ["dummy", { model = "magpie_forest", label = "small", parameters = { trees = 10 } }]
        results = "elsewhere"
        limit = 100
        optional_data = true
        [protocol]
        inner_folds = 4
        ensemble = 2
        seeds = [0, 1]
        folds = [2]
        views = ["full", "anonymous"]
        [tuning]
        minutes = 1.5
        scheme = "first_fold"
        inner_folds = 4
        splits = 2
        seeds = 3
        """,
    )
    assert suite.tuning is not None
    how = suite.tuning.tuning("hash", "regression", "rmse")
    assert (how.trials, how.minutes, how.scheme, how.inner_folds) == (None, 1.5, "first_fold", 4)
    assert (how.splits, how.seeds) == (2, 3)
    assert how.evaluations == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert (how.space, how.metric) == ("hash", "rmse")
    assert suite.tuning.tuning("hash", "regression", "mae").metric == ""
    assert [(e.name, e.model, e.parameters) for e in suite.entries()] == [
        ("dummy", "dummy", {}),
        ("small", "magpie_forest", {"trees": 10}),
    ]
    assert (suite.name, suite.results, suite.limit, suite.optional_data) == ("mine", "elsewhere", 100, True)
    assert suite.protocol.protocol().model_dump() == {"inner_folds": 4, "ensemble": 2}
    assert (suite.protocol.seeds, suite.protocol.folds, suite.protocol.views) == (
        (0, 1),
        (2,),
        ("full", "anonymous"),
    )


def test_seeds_and_views_of_a_model(tmp_path: Path) -> None:
    suite = parse(
        tmp_path,
        """
        tasks = ["demo_*"]
        models = ["dummy", { model = "cgcnn", seeds = [0, 1], views = ["unit_density", "full"] }]
        [protocol]
        views = ["full", "anonymous"]
        """,
    )
    assert [(e.seeds, e.views) for e in suite.entries()] == [(None, None), ((0, 1), ("unit_density", "full"))]
    assert suite.all_views() == ["full", "anonymous", "unit_density"]
    with pytest.raises(ConfigError, match=r"models\.0.*seeds"):
        parse(tmp_path, 'tasks = ["demo_*"]\nmodels = [{ model = "dummy", seeds = [] }]')


def test_the_suite_genome_has_every_input_and_more_seeds_where_it_decides() -> None:
    suite = load_suite("genome")
    entries = {entry.name: entry for entry in suite.entries()}
    assert {spec.name for spec in resolve_tasks(suite.tasks)} == {spec.name for spec in GENOME}
    for model in ("deepknet", "diffraction_spectrum"):
        kinds = {name.partition("-")[2] for name in entries if name.startswith(f"{model}-")}
        assert kinds >= {*INTENSITIES} - {"normalised"} | {"neutron", "equal"}
        for kind in ("full", "absences", "none"):
            assert len(entries[f"{model}-{kind}"].seeds or ()) == 3
    for entry in entries.values():  # every entry can be made, and its input is the one that its label names
        made = get_model(entry.model).from_configuration(entry.parameters)
        kind = entry.name.partition("-")[2]
        if kind in INTENSITIES:
            assert made.intensities == kind  # type: ignore[attr-defined]
        elif kind in SCATTERINGS:
            assert made.scattering == kind  # type: ignore[attr-defined]
    assert suite_of_tasks(["genome_bulk_modulus"]) == suite


def test_models_by_pattern_and_a_later_entry_in_place_of_an_earlier() -> None:
    entry = ModelEntry(model="dummy", parameters={})
    suite = Suite(name="x", tasks=("demo_*",), models=("*", entry))
    assert [e.name for e in suite.entries()] == model_names()
    assert Suite(name="x", tasks=("t",)).entries() == suite.entries()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks = [", "is not valid TOML"),
        ("", "tasks: is missing"),
        ("tasks = []", "tasks: "),
        ('tasks = "demo_*"', "tasks: "),
        ('task = ["demo_*"]', "Unknown key 'task'. Did you mean 'tasks'?"),
        ('tasks = ["a"]\n[protocol]\nensembel = 3', "Unknown key 'ensembel'. Did you mean 'ensemble'?"),
        ('tasks = ["a"]\n[protocol]\ninner_folds = 1', "protocol.inner_folds: "),
        ('tasks = ["a"]\n[protocol]\nensemble = 0', "protocol.ensemble: "),
        ('tasks = ["a"]\n[protocol]\nseeds = "all"', "protocol.seeds: "),
        ('tasks = ["a"]\nmodels = [{ label = "x" }]', "model: is missing"),
        ('tasks = ["a"]\nmodels = [{ model = "dummy", lable = "x" }]', "Unknown key 'lable'. Did you mean 'label'?"),
        ('tasks = ["a"]\nmodels = [3]', "models.0"),
        ('tasks = ["a"]\nlimit = 0', "limit: "),
    ],
    ids=range(13),
)
def test_mistakes_name_the_file_and_the_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.toml'}: ")
    assert says in str(caught.value)


def test_a_binary_file_is_not_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        parse_suite(path)


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown suite 'dmeo'\. Did you mean 'demo'"):
        load_suite("dmeo")
    with pytest.raises(UnknownNameError, match=r"Unknown model 'dumy'\. Did you mean 'dummy'"):
        Suite(name="x", tasks=("t",), models=("dumy",)).entries()
    with pytest.raises(UnknownNameError, match=r"Unknown model pattern 'forest_\*'"):
        Suite(name="x", tasks=("t",), models=("forest_*",)).entries()
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file"):
        load_suite("nowhere.toml")


def test_only_packaged_suites_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites").mkdir()
    for name in ("demo", "mine"):
        (tmp_path / f"{name}.toml").write_text('tasks = ["demo_bulk_modulus"]\n')
        (tmp_path / "suites" / f"{name}.toml").write_text('tasks = ["demo_bulk_modulus"]\n')
    monkeypatch.chdir(tmp_path)
    assert sorted(suite_names()) == [path.stem for path in SHIPPED]
    assert load_suite("demo") == parse_suite(next(path for path in SHIPPED if path.stem == "demo"))
    assert load_suite("demo.toml").tasks == ("demo_bulk_modulus",)
    with pytest.raises(UnknownNameError, match="Unknown suite 'mine'"):
        load_suite("mine")


def test_packaged_tasks_are_found_by_name_in_suites_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = ROOT / "src" / "crystalbench" / "suites" / "tasks"
    assert sorted(packaged_tasks().values()) == sorted(folder.rglob("*.toml"))
    for name, file in packaged_tasks().items():
        assert [spec.name for spec in resolve_tasks(parse(tmp_path, f'tasks = ["{name}"]').tasks)] == [name]
        assert suite_of_tasks([name]) == suite_of_tasks([str(file)])
    assert suite_of_tasks(["gong_cv_per_cell"]).name == "periodicity"
    assert suite_of_tasks(["matbench_jdft2d"]).name == "matbench"  # though the suite capsules has it, too
    assert suite_of_tasks(["mp2018"]).name == "selection"


TASK_FILE = 'name = "{name}"\ntable = "t.csv"\ncomposition = "f"\ntarget = "y"\nkind = "regression"\n'


def test_task_files_are_found_from_the_suites_folder_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.toml").write_text(TASK_FILE.format(name="mine"))
    text = 'tasks = ["demo_*", "../tasks/mine.toml"]'
    shown = {".": "tasks/mine.toml", "tasks": "mine.toml", "suites": str(tmp_path / "tasks" / "mine.toml")}
    for folder, place in shown.items():
        monkeypatch.chdir(tmp_path / folder)
        suite = parse(tmp_path / "suites", text)
        assert suite.tasks == ("demo_*", place)
        assert [spec.name for spec in resolve_tasks(suite.tasks)][-1] == "mine"
    monkeypatch.chdir(tmp_path)
    assert load_suite("suites/mine.toml") == parse(tmp_path / "suites", text)


def test_task_files_may_also_be_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "here.toml").write_text(TASK_FILE.format(name="here"))
    monkeypatch.chdir(tmp_path)
    assert parse(tmp_path / "suites", 'tasks = ["here.toml"]').tasks == ("here.toml",)
    (tmp_path / "suites" / "here.toml").write_text(TASK_FILE.format(name="beside"))
    assert parse(tmp_path / "suites", 'tasks = ["here.toml"]').tasks == ("suites/here.toml",)
    (tmp_path / "suites" / "here.toml").unlink()
    (tmp_path / "here.toml").unlink()
    with pytest.raises(ConfigError, match=r"suites/here\.toml: there is no such task file"):
        resolve_tasks(parse(tmp_path / "suites", 'tasks = ["here.toml"]').tasks)


def test_task_files_of_the_user_have_a_suite_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TASK_FILE.format(name="mine"))
    for name in ("mine.toml", "./mine.toml", str(tmp_path / "mine.toml")):
        suite = suite_of_tasks([name, "demo_bulk_modulus"])
        assert (suite.name, suite.tasks, suite.results) == ("selection", ("mine.toml", "demo_bulk_modulus"), "results")


def test_a_suite_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Suite(name="x", tasks=("t",)).name = "y"  # type: ignore[misc]


# ---------------------------------------------------------------------- tuning

MINE = Suite(name="mine", tasks=("demo_*",))
TUNED = MINE.model_copy(update={"tuning": TuningEntry(trials=20, scheme="first_fold", splits=2)})


def test_options_tune_a_suite_and_change_how() -> None:
    assert with_tuning(MINE, trials=None, minutes=None) == MINE
    assert with_tuning(MINE, trials=5).tuning == TuningEntry(trials=5)
    assert with_tuning(TUNED, trials=5).tuning == TuningEntry(trials=5, scheme="first_fold", splits=2)
    assert with_tuning(TUNED, minutes=5).tuning == TuningEntry(minutes=5, scheme="first_fold", splits=2)
    assert with_tuning(TUNED, scheme="per_fold").tuning == TuningEntry(trials=20, splits=2)
    assert with_tuning(TUNED, trials=0).tuning is None


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        (MINE, {"scheme": "first_fold"}, "--tune TRIALS or --tune-minutes MINUTES"),
        (MINE, {"trials": 5, "minutes": 5}, "give --tune or --tune-minutes, not both"),
        (MINE, {"trials": 0, "splits": 2}, "--tune 0 means no tuning"),
        (MINE, {"trials": 5, "scheme": "each"}, "--tune-scheme: Input should be 'per_fold' or 'first_fold'"),
        (MINE, {"minutes": float("nan")}, "--tune-minutes: Input should be a finite number"),
        (TUNED, {"inner_folds": 1}, "--tune-inner-folds: Input should be greater than or equal to 2"),
        (TUNED, {"splits": 6}, "tuning: splits cannot be more than inner_folds"),
        (TUNED, {"splits": 1, "seeds": 1}, "tuning: splits = 1 and seeds = 1: a gain has no standard error"),
    ],
)
def test_options_that_make_no_sense_are_refused(suite: Suite, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_tuning(suite, **options)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("trials = 5\nminutes = 5", "tuning: give either trials or minutes"),
        ("", "give either trials or minutes"),
        ("trials = 0", r"tuning\.trials: Input should be greater than or equal to 1"),
        ("trails = 5", "Unknown key 'trails'. Did you mean 'trials'"),
    ],
)
def test_a_table_of_tuning_that_makes_no_sense_is_refused(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(tmp_path, f"tasks = ['demo_*']\n[tuning]\n{table}\n")
