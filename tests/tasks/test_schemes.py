"""Fold schemes: what they keep apart, their parameters as text, and folds in files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import formulas_task, one_crystal, tiny_task

from crystalbench.data.crystals import concatenate
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.targets import Kind
from crystalbench.tasks import Task, load_task
from crystalbench.tasks.schemes import fold_schemes, folds_file, get_fold_scheme, get_folds, read_folds, write_folds

ENERGY = "demo_formation_energy"


@pytest.fixture(scope="module")
def energy() -> Task:
    return load_task(ENERGY)


def sizes(task: Task) -> list[int]:
    return np.bincount(task.folds[task.folds >= 0]).tolist()


# ---------------------------------------------------------------------- schemes


def test_the_registered_schemes() -> None:
    assert list(fold_schemes()) == ["chemical_system", "cluster", "element", "formula", "space_group", "target_tail"]


def test_official_folds_are_the_task_itself(energy: Task) -> None:
    assert get_folds("official").apply(energy) is energy
    assert energy.fold_scheme is None


def test_folds_by_formula_split_no_formula_and_are_balanced(energy: Task) -> None:
    made = get_folds("formula").apply(energy)
    folds_of: dict[str, set[int]] = {}
    for formula, fold in zip(made.inputs.compositions().normalised_formulas(), made.folds, strict=True):
        folds_of.setdefault(formula, set()).add(int(fold))
    assert max(map(len, folds_of.values())) == 1
    assert len(folds_of) < len(made)  # some formulas occur more than once
    assert max(sizes(made)) - min(sizes(made)) <= 3
    assert sum(sizes(made)) == len(energy)
    assert made.digest != energy.digest
    assert made.fold_scheme is not None
    assert made.fold_scheme.model_dump() == {"name": "formula", "parameters": {"k": 5, "seed": 0}, "version": 1}


def test_the_folds_are_the_same_on_every_machine(energy: Task) -> None:
    # Typed from a first run: a change of these numbers needs a new version of the scheme.
    assert get_folds("formula").apply(energy).folds[:12].tolist() == [0, 3, 3, 0, 1, 0, 1, 0, 3, 3, 0, 1]
    assert get_folds("chemical_system").apply(energy).folds[:12].tolist() == [2, 3, 0, 1, 0, 0, 4, 2, 3, 0, 1, 0]
    assert sizes(get_folds("cluster").apply(energy)) == [406, 250, 220, 155, 137]


def test_chemical_systems_are_sets_of_elements() -> None:
    task = formulas_task(6)  # all rows are Fe-O
    with pytest.raises(ConfigError, match=r"folds chemical_system:k=5,seed=0 of formulas: Cannot make 5 folds of 1"):
        get_folds("chemical_system").apply(task)


def test_space_groups_stay_together() -> None:
    rock_salt = [
        [0, 0, 0],
        [0, 0.5, 0.5],
        [0.5, 0, 0.5],
        [0.5, 0.5, 0],
        [0.5, 0.5, 0.5],
        [0.5, 0, 0],
        [0, 0.5, 0],
        [0, 0, 0.5],
    ]
    cells = [
        (4.0, rock_salt, [11] * 4 + [17] * 4),
        (5.6, rock_salt, [12] * 4 + [8] * 4),  # the same space group, other elements
        (3.0, [[0, 0, 0], [0.5, 0.5, 0.5]], [55, 17]),
        (3.2, [[0, 0, 0], [0.5, 0.5, 0.5]], [29, 30]),
        (4.1, [[0, 0, 0], [0.13, 0.31, 0.47]], [55, 17]),
    ]
    crystals = concatenate(
        [one_crystal(np.eye(3) * a, coords, numbers, name=f"c{i}") for i, (a, coords, numbers) in enumerate(cells)]
    )
    task = dataclasses.replace(tiny_task(n=5), inputs=crystals)
    folds = get_folds("space_group:k=3").apply(task).folds
    assert folds[0] == folds[1]
    assert folds[2] == folds[3]
    assert len(set(folds.tolist())) == 3
    with pytest.raises(ConfigError, match="compositions only"):
        get_folds("space_group").apply(formulas_task())


def test_an_element_is_tested_and_never_trained_on(energy: Task) -> None:
    made = get_folds("element:Cu").apply(energy)
    train, test = made.split(0)
    assert made.fold_numbers == [0]
    assert len(train) + len(test) == len(energy)
    assert all("Cu" not in formula for formula in made.inputs[train].formulas())
    assert all("Cu" in formula.replace("Cu", "Cu ") for formula in made.inputs[test].formulas())
    for symbol, count in (("U", "none"), ("Fe", "all")):
        task = energy if symbol == "U" else formulas_task()
        with pytest.raises(ConfigError, match=f"{count} of the"):
            get_folds(f"element:{symbol}").apply(task)
    with pytest.raises(UnknownNameError, match="Unknown element 'Xx'"):
        get_folds("element:Xx")


def test_clusters_keep_equal_compositions_together_and_the_largest_is_first(energy: Task) -> None:
    made = get_folds("cluster:k=3").apply(energy)
    assert sizes(made) == sorted(sizes(made), reverse=True)
    assert len(sizes(made)) == 3
    by_formula: dict[str, set[int]] = {}
    for formula, fold in zip(made.inputs.compositions().normalised_formulas(), made.folds, strict=True):
        by_formula.setdefault(formula, set()).add(int(fold))
    assert max(map(len, by_formula.values())) == 1
    with pytest.raises(ConfigError, match="at least two"):
        get_folds("cluster:k=1").apply(energy)
    with pytest.raises(ConfigError, match="20 distinct compositions cannot form 30 clusters"):
        get_folds("cluster:k=30").apply(formulas_task(20))


def test_tails_hold_the_extreme_targets(energy: Task) -> None:
    made = get_folds("target_tail").apply(energy)
    low, high, rest = (made.targets[made.folds == fold] for fold in (0, 1, -1))
    assert low.max() < rest.min()
    assert rest.max() < high.min()
    assert (len(low), len(high)) == (117, 117)
    assert len(made.split(0)[0]) == len(energy) - 117  # the other tail is trained on


def test_tied_targets_are_never_on_both_sides_of_a_cut() -> None:
    task = dataclasses.replace(tiny_task(n=30), targets=np.repeat(np.arange(15.0), 2))
    made = get_folds("target_tail:0.1").apply(task)
    assert made.targets[made.folds == 0].tolist() == [0.0, 0.0, 1.0, 1.0]
    many = dataclasses.replace(task, targets=np.maximum(0.0, np.arange(30.0) - 15))
    with pytest.raises(ConfigError, match=r"16 of 30 targets are 0, so the tail of 3 rows would have 16"):
        get_folds("target_tail").apply(many)
    with pytest.raises(ConfigError, match="this one is binary"):
        get_folds("target_tail").apply(tiny_task(Kind.BINARY))
    with pytest.raises(ConfigError, match=r"share = 0\.5"):
        get_folds("target_tail:0.5")


# ---------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("formula", "formula:k=5,seed=0"),
        ("formula:10", "formula:k=10,seed=0"),
        ("formula:seed=3, k=4", "formula:k=4,seed=3"),
        ("element:O", "element:O"),
        ("element:symbol=O", "element:O"),
        ("target_tail:0.2", "target_tail:0.2"),
        ("space_group:symprec=0.01", "space_group:k=5,seed=0,symprec=0.01"),
    ],
)
def test_parameters_follow_a_colon(text: str, written: str) -> None:
    scheme = get_fold_scheme(text)
    assert scheme.spec.text == written
    assert get_fold_scheme(written) == scheme


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("formla", "Did you mean 'formula'"),
        ("elemnt:O", "Did you mean 'element'"),
        ("element", "give its symbol, e.g. element:symbol=VALUE"),
        ("formula:folds=3", "Unknown parameter of the fold scheme formula 'folds'"),
        ("formula:k=x", "k: "),
        ("formula:k=3,k=4", "more than once"),
        ("crystalbench.tasks.task:Task", "not a subclass of FoldScheme"),
    ],
)
def test_mistakes_are_explained(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_folds(text)


def test_a_scheme_of_a_file_of_the_user(tmp_path: Path, energy: Task) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nimport numpy as np\n"
        "from crystalbench.tasks.schemes import FoldScheme\n@dataclass(frozen=True)\nclass Last(FoldScheme):\n"
        "    name: ClassVar[str] = 'last'\n    description: ClassVar[str] = 'rows by the last digit of their id'\n"
        "    digit: int = 0\n    def assign(self, task):\n"
        "        return np.where([i.endswith(str(self.digit)) for i in task.inputs.ids], 0, -1)\n"
    )
    made = get_folds(f"{file}:Last:digit=7").apply(energy)
    assert all(str(i).endswith("7") for i in made.inputs.ids[made.folds == 0])
    assert made.fold_scheme is not None
    assert made.fold_scheme.text == "last:7"


# ---------------------------------------------------------------------- files


def test_folds_written_to_a_file_are_the_same_when_read(tmp_path: Path, energy: Task) -> None:
    made = get_folds("element:Cu").apply(energy)
    file = tmp_path / "copper.json"
    write_folds(made, file)
    again = get_folds(str(file)).apply(energy)
    assert (again.digest, again.fold_scheme) == (made.digest, made.fold_scheme)
    write_folds(energy, file)
    assert get_folds(str(file)).apply(energy) is energy


def content(task: Task, /, **changes: Any) -> dict[str, Any]:
    body = {**folds_file(task).model_dump(mode="json"), "scheme": {"name": "by hand"}}
    return {**body, **changes}


@pytest.fixture
def tiny() -> Task:
    return tiny_task(n=6)


def read(body: Any, tmp_path: Path, task: Task) -> Task:
    file = tmp_path / "folds.json"
    file.write_text(json.dumps(body))
    return read_folds(file).apply(task)


def test_a_file_by_hand_needs_task_and_folds_only(tmp_path: Path, tiny: Task) -> None:
    ids = tiny.inputs.ids.tolist()
    made = read({"task": "tiny", "folds": [ids[:2], ids[2:]]}, tmp_path, tiny)
    assert made.folds.tolist() == [0, 0, 1, 1, 1, 1]
    assert made.fold_scheme is not None
    assert made.fold_scheme.text == "custom"
    named = read(
        {"task": "tiny", "folds": [ids[:2]], "train_only": ids[2:], "scheme": {"name": "by year"}}, tmp_path, tiny
    )
    assert named.folds.tolist() == [0, 0, -1, -1, -1, -1]


def test_wrong_ids_are_named(tmp_path: Path, tiny: Task) -> None:
    a, b, c, d, e, f = tiny.inputs.ids.tolist()
    for folds, message in (
        ([[a, b, c], [d, e, f, "ghost"]], "1 id is unknown in tiny: ghost"),
        ([[a, b, c], [d, e]], f"1 id is missing.*: {f}"),
        ([[a, b, c], [d, e, f, a, b]], f"2 ids are in more than one part or twice in one: {a}, {b}"),
        ([[a, b, c, d, e, f]], "training part of fold 0 is empty"),
        ([[a, b, c, d, e, f], []], "test part of fold 1 is empty"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(content(tiny, folds=folds), tmp_path, tiny)
    part = dataclasses.replace(tiny, rows_total=20)
    with pytest.raises(ConfigError, match="loaded with 6 of its 20 rows"):
        read(content(tiny, folds=[[a, b, c], [d, e, f, "ghost"]]), tmp_path, part)
    with pytest.raises(ConfigError, match="of the task other, not of tiny"):
        read(content(tiny, task="other"), tmp_path, tiny)


def test_files_that_are_no_folds_are_refused(tmp_path: Path, tiny: Task) -> None:
    for body, message in (
        ([1], "is not a file of folds"),
        (content(tiny, folds=[]), "folds: "),
        (content(tiny, format=2), "format: "),
        (content(tiny, scheme={"name": "formula"}), "has no digest, so its folds may not be those of formula"),
        (content(tiny, digest="0" * 64), "its digest differs"),
        (content(tiny, scheme={"name": "official"}, folds=[*folds_file(tiny).folds[::-1]]), "give the scheme another"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(body, tmp_path, tiny)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "twice.json").write_text('{"task": "tiny", "folds": [["a"]], "folds": [["b"]]}')
    for name, message in (
        ("broken.json", "not valid JSON"),
        ("deep.json", "not valid JSON"),
        ("twice.json", "not valid JSON .*'folds'"),
        ("none.json", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            get_folds(str(tmp_path / name))


def test_a_byte_order_mark_of_a_file_of_folds_is_skipped(tmp_path: Path, tiny: Task) -> None:
    file = tmp_path / "folds.json"
    file.write_text(json.dumps(content(tiny)), encoding="utf-8-sig")
    assert read_folds(file).apply(tiny).folds.tolist() == tiny.folds.tolist()
