"""Values of tables: all bad rows are listed at once, missing values are no data, and look-alikes are not told apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_hostile_input import task_of

from crystalbench.errors import DataError
from crystalbench.tasks import DataSources, TableTaskSpec
from crystalbench.tasks.tables.text import look, visible

FORMULAS = ["NaCl", "KCl", "LiF", "MgO", "CaO", "SrO", "BaO", "LiCl"]
PLAIN = {"composition": '"f"', "folds": "{ k = 2 }"}


def rows_of(**columns: list[Any]) -> dict[str, list[Any]]:
    """Eight rows with other columns."""
    return {"id": list("abcdefgh"), "f": FORMULAS, "y": list(range(8)), **columns}


def test_all_kinds_of_bad_rows_are_listed_at_once(tmp_path: Path) -> None:
    rows = rows_of(f=["Xx", "KCl", None, *FORMULAS[3:]], y=[0, "1,5", 2, 3, None, float("inf"), 6, 7])
    with pytest.raises(DataError) as caught:
        task_of(tmp_path, rows, **PLAIN)
    text = str(caught.value)
    for part in (
        "table.json: 1 of 8 rows have no target (y): e; 1 of 8 rows have no structure or composition: c.",
        "3 of 8 rows are invalid:",
        "  a: 'Xx' is not a chemical formula (Xx is not an element)",
        "  b: its 'y' is '1,5', which is not a number",
        "  f: its 'y' is not finite",
        'missing = "drop"',
        'invalid = "drop"',
    ):
        assert part in text
    with pytest.raises(DataError, match=r"^(?!.*rows are invalid).*have no target"):
        task_of(tmp_path, rows, **PLAIN, invalid='"drop"')
    with pytest.raises(DataError, match=r"^(?!.*have no target).*rows are invalid"):
        task_of(tmp_path, rows, **PLAIN, missing='"drop"')
    task = task_of(tmp_path, rows, **PLAIN, missing='"drop"', invalid='"drop"')
    assert task.inputs.ids.tolist() == ["d", "g", "h"]
    assert [remark.partition(": its")[0].partition(": 'Xx'")[0] for remark in task.remarks[2:]] == [
        f"dropped as invalid: {name}" for name in "abf"
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (10**400, "is not finite"),
        ("1e400", "is not finite"),
        (1e300, "is 1e+300, which is beyond ±1e+100; give it in another unit"),
        ("-2e-400", "is '-2e-400', which is too small for double precision"),
        ("1_000", "is '1_000', which is not a number"),
        ([1.0], "is [1.0], which is not a number"),
        (True, "is True, which is not a number"),
    ],
)
def test_targets_that_are_no_numbers_are_dropped_only_on_request(tmp_path: Path, value: Any, problem: str) -> None:
    rows = rows_of(y=[value, *range(7)])
    with pytest.raises(DataError) as caught:
        task_of(tmp_path, rows, **PLAIN)
    assert f"1 of 8 rows are invalid:\n  a: its 'y' {problem}" in str(caught.value)
    task = task_of(tmp_path, rows, **PLAIN, invalid='"drop"')
    assert task.targets.tolist() == list(range(7))
    (remark,) = task.remarks
    assert remark.startswith(f"dropped as invalid: a: its 'y' {problem}")


def test_zeros_are_numbers(tmp_path: Path) -> None:
    rows = rows_of(y=["0", "0.00", "-0", "0e5", "00.0E-3", "0", "1", "2"])
    assert task_of(tmp_path, rows, **PLAIN).targets.tolist() == [0, 0, 0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize("missing", ["nan", "NA", "None", "null", "n/a", "<NA>", "#N/A", "  "])
def test_missing_formulas_are_missing_inputs(tmp_path: Path, missing: str) -> None:
    rows = rows_of(f=[missing, *FORMULAS[1:]])
    with pytest.raises(DataError, match="1 of 8 rows have no structure or composition: a"):
        task_of(tmp_path, rows, **PLAIN)
    assert len(task_of(tmp_path, rows, **PLAIN, missing='"drop"')) == 7


def test_sodium_is_not_missing(tmp_path: Path) -> None:
    task = task_of(tmp_path, rows_of(f=["Na", *FORMULAS[1:]]), **PLAIN)
    assert task.inputs.formulas()[0] == "Na1"


@pytest.mark.parametrize("missing", ["<NA>", "#N/A", "NaT", "n.a.", "-nan"])
def test_marks_of_other_programs_are_no_classes(tmp_path: Path, missing: str) -> None:
    rows = rows_of(y=["p", "q", missing, "q", "p", "q", "p", "q"])
    task = task_of(tmp_path, rows, **PLAIN, kind='"binary"', missing='"drop"')
    assert task.target.classes == ("p", "q")
    assert "c" not in task.inputs.ids


@pytest.mark.parametrize("label", ["?", "-", ".", "--", "+"])
def test_labels_without_letter_or_digit_are_refused(tmp_path: Path, label: str) -> None:
    rows = rows_of(y=["p", "q", label, "q", "p", "q", "p", "q"])
    with pytest.raises(DataError, match=r"c: label .* has no letter or digit"):
        task_of(tmp_path, rows, **PLAIN, kind='"multiclass"')
    task = task_of(tmp_path, rows, **PLAIN, kind='"multiclass"', invalid='"drop"')
    assert task.target.classes == ("p", "q")


def test_all_labels_of_another_type_are_listed(tmp_path: Path) -> None:
    rows = rows_of(y=[0.5, 1, [1], 0, 1, 0, 1e300, 0])
    with pytest.raises(DataError, match=r"(?s)a: label 0.5 .*c: label \[1\] .*g: label 1e\+300 is not"):
        task_of(tmp_path, rows, **PLAIN, kind='"binary"')
    with pytest.raises(DataError, match=r"c: label '1' has another type than 0 of a \(also d\); write all"):
        task_of(tmp_path, rows_of(y=[0, 1, "1", "0", 1, 0, 1, 0]), **PLAIN, kind='"binary"')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "a  b"),
        ("non-metal", "non\u2010metal"),
        ("-1", "\u22121"),
        ("Ca", "\u0421\u0430"),  # Cyrillic
        ("NaO", "NaΟ"),  # Greek
        ("yes", "yes\u200b"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_texts_that_look_alike(one: str, other: str) -> None:
    assert look(one) == look(other)


@pytest.mark.parametrize(("one", "other"), [("metal", "metals"), ("a_b", "a b"), ("1", "l"), ("α", "a")])
def test_texts_that_differ(one: str, other: str) -> None:
    assert look(one) != look(other)


def test_case_and_width_are_visible() -> None:
    assert visible("A\u00a0 b\u200b") == "A b" != visible("a b")


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (["u", "u\u200b"], "b: group .* looks like 'u' of a"),
        (["u x", "u\u00a0x"], "b: group .* looks like 'u x' of a"),
        (["1.0", "1"], "the groups '1.0' and '1' are one number"),
        (["1", "01"], "the groups '1' and '01' are one number"),
        ([["u"], ["u"]], r"a: group \['u'\] is not a text"),
        (["u", None], "1 of 8 rows have no group in column 'g': b"),
    ],
)
def test_groups_in_several_spellings_would_leak(tmp_path: Path, groups: list[Any], reason: str) -> None:
    others: list[Any] = [2, 3, 4, 5, 6, 7] if str(groups[0])[:1] == "1" else list("vwxyzt")
    rows = rows_of(g=[*groups, *(str(other) if isinstance(groups[0], str) else other for other in others)])
    with pytest.raises(DataError, match=reason):
        task_of(tmp_path, rows, composition='"f"', folds='{ k = 2, group = "column:g" }')


def test_equal_numbers_are_one_group(tmp_path: Path) -> None:
    rows = rows_of(g=[1, 1.0, "1", 2, 3, 4, 5, 6])
    task = task_of(tmp_path, rows, composition='"f"', folds='{ k = 6, group = "column:g" }')
    assert task.folds[0] == task.folds[1] == task.folds[2]
    assert len(set(task.folds.tolist())) == 6


def test_long_numbers_of_groups_and_labels_keep_their_digits(tmp_path: Path) -> None:
    """Double precision would take them for one number, or write another one."""
    long = ["12345678901234567890", "12345678901234567891"]
    task = task_of(tmp_path, rows_of(g=long * 4), composition='"f"', folds='{ k = 2, group = "column:g" }')
    assert task.folds.tolist() == [task.folds[0], 1 - task.folds[0]] * 4
    rows = rows_of(y=long * 4)
    assert task_of(tmp_path, rows, kind='"binary"', **PLAIN).target.classes == tuple(long)


def test_lists_are_no_folds(tmp_path: Path) -> None:
    rows = rows_of(g=[0, [1], 0, {"a": 1}, 0, 1, 0, 1])
    with pytest.raises(DataError, match="folds in column 'g' must be numbers or texts, but not in the rows 1, 3"):
        task_of(tmp_path, rows, composition='"f"', folds='{ column = "g" }')


def test_truth_values_are_no_folds(tmp_path: Path) -> None:
    rows = rows_of(g=[True, False] * 4)
    with pytest.raises(DataError, match="column 'g': true and false may be two folds or a test part"):
        task_of(tmp_path, rows, composition='"f"', folds='{ column = "g" }')


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (["a", "a\u200b"], "more than once: a"),
        (["\u00e9", "e\u0301"], "more than once: \u00e9"),
        (["a", True], "texts or numbers, but not in the rows 1"),
        ([["a"], {"b": 1}], "texts or numbers, but not in the rows 0, 1"),
    ],
)
def test_ids_that_nobody_tells_apart_are_refused(tmp_path: Path, ids: list[Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        task_of(tmp_path, rows_of(id=[*ids, *"cdefgh"]), **PLAIN)


def test_columns_that_nobody_tells_apart_are_refused(tmp_path: Path) -> None:
    for other in ("y ", "y\u200b"):
        with pytest.raises(DataError, match="several columns are named 'y'"):
            task_of(tmp_path, rows_of(**{other: [1] * 8}), **PLAIN)


TASK = """name = "t"
table = "t.{0}"
id = "id"
composition = "f"
target = "y"
kind = "regression"
folds = {{ k = 2 }}
"""


def load(folder: Path, suffix: str) -> int:
    (folder / "t.toml").write_text(TASK.format(suffix))
    return len(TableTaskSpec.from_toml(folder / "t.toml").load(DataSources(download=False)))


def test_a_byte_order_mark_of_json_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(rows_of()), encoding="utf-8-sig")
    assert load(tmp_path, "json") == 8


def test_json_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"t.json: cannot be read \(the JSON is nested too deeply\)"):
        load(tmp_path, "json")


@pytest.mark.skipif(not hasattr(pa, "string_view"), reason="pyarrow without views of text")
def test_parquet_with_views_of_text_is_read(tmp_path: Path) -> None:
    columns = rows_of()
    table = pa.table({"id": columns["id"], "f": pa.array(columns["f"], pa.string_view()), "y": columns["y"]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert load(tmp_path, "parquet") == 8


def test_formulas_as_lists_are_refused_by_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 8 rows are invalid:\n  a: \['NaCl'\] is not a chemical formula"):
        task_of(tmp_path, rows_of(f=[["NaCl"], *FORMULAS[1:]]), **PLAIN)
