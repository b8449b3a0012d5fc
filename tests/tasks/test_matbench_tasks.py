from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import real_file
from official_tables import load, table_of, write
from pymatgen.core import Structure

from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError
from crystalbench.tasks import DataSources
from crystalbench.tasks.matbench import matminer_json as _matminer_json
from crystalbench.tasks.matbench.folds import official_folds, official_labels
from crystalbench.tasks.matbench.official import OFFICIAL, OfficialTask, official_ids
from crystalbench.tasks.matbench.partial_table import read_partial_table
from crystalbench.tasks.matbench.spec import TASKS

Rows = list[list[Any]]
Write = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "matbench_tiny.json.gz"


# ---------------------------------------------------------------------- matminer's file


def test_the_official_file_gives_crystals_ids_targets_and_folds(
    tiny: OfficialTask, tiny_rows: Rows, structures: list[Structure], file: Path, write_rows: Write
) -> None:
    task = load(tiny, write_rows(file, tiny_rows, "structure"))
    assert task.source.verified == "sha256"
    assert task.source.sha256 == tiny.sha256
    assert task.source.name == "matbench_tiny.json.gz"
    assert isinstance(task.inputs, Crystals)
    assert task.inputs.digest == Crystals.from_pymatgen(structures).digest
    assert task.inputs.ids.tolist() == official_ids(tiny.name).tolist()
    assert task.targets.tolist() == [row[1] for row in tiny_rows]
    assert np.array_equal(task.folds, official_folds(tiny.name))
    assert task.fold_numbers == [0, 1, 2, 3, 4]
    assert not task.is_partial


def test_the_same_content_in_another_file_is_accepted(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write
) -> None:
    for row in tiny_rows:
        for site in row[0]["sites"]:
            del site["xyz"]
    assert load(tiny, write_rows(file, tiny_rows, "structure")).source.verified == "content"


def test_compositions(tiny_formulas: OfficialTask, formula_rows: Rows, file: Path, write_rows: Write) -> None:
    task = load(tiny_formulas, write_rows(file, formula_rows, "composition"))
    assert task.source.verified == "sha256"
    assert not task.has_structures
    assert task.inputs.compositions if task.has_structures else task.inputs.chemical_systems()[0] == "Li-O"  # type: ignore[union-attr]
    formula_rows[3][0] = "Rb4O7.0"
    with pytest.raises(DataError, match="formulas or targets differ"):
        load(tiny_formulas, write_rows(file, formula_rows, "composition"))


def test_rows_do_not_depend_on_the_size_of_the_chunks(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(file, tiny_rows, "structure")
    complete = list(_matminer_json.read_rows(file, ("structure", "prop (x)")))
    for chunk in (1, 2, 7, 100):
        monkeypatch.setattr(_matminer_json, "CHUNK", chunk)
        assert list(_matminer_json.read_rows(file, ("structure", "prop (x)"))) == complete


def _table(*rows: str, end: str = "]}", between: str = ", ") -> bytes:
    head = '{"index": [], "columns": ["structure", "prop (x)"], "data": ['
    return gzip.compress((head + between.join(rows) + end).encode(), mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        _table('[{"a": 1}, 0.5]', '[{"a": NaN}, Infinity]', '[{"a": 3}, -0.0]'),
        _table('[{"a": 1}, 0.5]', '[{"a": 2}, 1.5]', '[{"a": 3}, 2]', between=","),
        _table('["Na", 0.5]', '["K], [{", 1.5]', '["Rb", 2.5]', '["\\ud800", 3.5]'),
        _table('[{"a": [[{}], [{}]]}, 0.5]', '[{"a": [[{}], [{}]]}, 1.5]'),
        _table("[[[{}], [{}]], 0.5]", "[[[{}], [{}]], 1.5]"),
        _table('[{"a": 1}, 0.5]', '[{"a": 2}, 1.5, 2.5]', '[{"a": 3}, 2.5]'),
        _table('[{"a": 1}, 0.5]', '[{"a": 02}, 1.5]', '[{"a": 3}, 2.5]'),
        _table('[{"a": 1}, 0.5]', '[{"a": 2}, 1.5]', '[{"a": 3}, 2.', end=""),
        _table('[{"a": 1}, 0.5]', '[{"a": 2}, 1.5]', '[{"a": 3}, 2.5]', end="]} 1"),
        _table('[{"a": 1}, 0.5]', '[{"a": 2}, 1.5]', end=',], "more": 1}'),
    ],
)
def test_rows_and_messages_are_those_of_a_row_by_row_reader(
    content: bytes, tiny: OfficialTask, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)

    def outcome() -> tuple[list[str], str]:
        rows = []
        try:
            for row in _matminer_json.read_rows(file, ("structure", "prop (x)")):
                rows.append(repr(row))  # noqa: PERF401  (some are read before an error)
        except DataError as error:
            return rows, str(error)
        return rows, ""

    in_pieces = outcome()
    with monkeypatch.context() as patch:
        patch.setattr(_matminer_json, "_ROW_ENDS", ())
        assert in_pieces == outcome()


def test_orjson_reads_regular_rows(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(file, tiny_rows, "structure")
    pieces: list[str] = []
    loads = _matminer_json.orjson.loads
    monkeypatch.setattr(_matminer_json.orjson, "loads", lambda text: pieces.append(text) or loads(text))
    rows = list(_matminer_json.read_rows(file, ("prop (x)", "structure")))
    assert [row[0] for row in rows] == [row[1] for row in tiny_rows]
    assert [len(loads(piece)) for piece in pieces] == [len(tiny_rows) - 1]  # nothing tells where the last row ends


def test_a_limit_always_takes_the_same_rows(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    write_rows(file, tiny_rows, "structure")
    some = load(tiny, file, limit=7)
    assert (len(some), some.rows_total, some.is_partial) == (7, 12, True)
    assert load(tiny, file, limit=7).digest == some.digest
    assert load(tiny, file).digest != some.digest


def test_changed_targets_are_refused(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    tiny_rows[4][1] += 0.001
    with pytest.raises(DataError) as caught:
        load(tiny, write_rows(file, tiny_rows, "structure"))
    message = str(caught.value)
    assert str(file) in message and "SHA-256" in message and "formulas or targets differ" in message
    assert "Delete it" in message and "TOML" in message


def test_a_wrong_number_of_rows_is_refused(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    with pytest.raises(DataError, match="11 rows instead of 12"):
        load(tiny, write_rows(file, tiny_rows[:-1], "structure"))
    with pytest.raises(DataError, match="13 rows instead of 12"):
        load(tiny, write_rows(file, [*tiny_rows, tiny_rows[0]], "structure"))
    with pytest.raises(DataError, match=r"has no rows.*12"):
        load(tiny, write_rows(file, [], "structure"))


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_target_is_refused_with_its_id(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write, value: float | None
) -> None:
    tiny_rows[4][1] = value
    with pytest.raises(DataError, match=r"matbench_tiny\.json\.gz.*mb-tiny-05.*missing"):
        load(tiny, write_rows(file, tiny_rows, "structure"))


@pytest.mark.parametrize("value", ["1.5", True, [1.0], float("inf")])
def test_a_target_that_is_not_a_number_is_refused_with_its_id(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write, value: object
) -> None:
    tiny_rows[4][1] = value
    with pytest.raises(DataError, match=r"mb-tiny-05.*not a"):
        load(tiny, write_rows(file, tiny_rows, "structure"))


def test_all_bad_targets_are_listed(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    for row in (4, 6, 11):
        tiny_rows[row][1] = None
    with pytest.raises(DataError, match=r"mb-tiny-05: .*missing \(also mb-tiny-07, mb-tiny-12\)"):
        load(tiny, write_rows(file, tiny_rows, "structure"))


def test_a_disordered_site_is_refused_with_its_id(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write
) -> None:
    tiny_rows[2][0]["sites"][1]["species"] = [{"element": "O", "occu": 0.5}, {"element": "S", "occu": 0.5}]
    with pytest.raises(DataError, match=r"matbench_tiny\.json\.gz.*mb-tiny-03: site 1 is disordered"):
        load(tiny, write_rows(file, tiny_rows, "structure"))


def test_a_missing_structure_is_refused_with_its_id(
    tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write
) -> None:
    tiny_rows[2][0] = None
    with pytest.raises(DataError, match="mb-tiny-03"):
        load(tiny, write_rows(file, tiny_rows, "structure"))


def test_a_missing_column_is_named(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    with pytest.raises(DataError, match=r"no column 'prop \(x\)'; its columns are structure, other"):
        load(tiny, write_rows(file, tiny_rows, "structure", "other"))


def test_a_truncated_file_is_refused(tiny: OfficialTask, tiny_rows: Rows, file: Path, write_rows: Write) -> None:
    content = write_rows(file, tiny_rows, "structure").read_bytes()
    for length in (0, 5, len(content) // 2, len(content) - 9, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(
            DataError, match=r"matbench_tiny\.json\.gz: (is truncated|cannot be read).*download it again"
        ):
            load(tiny, file)


@pytest.mark.parametrize(
    "text",
    [
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1, 2]',
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1, 2',
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1, 2]]} {}',
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1}]}',
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1, 2]',
        '{"index": [0], "columns": ["structure", "prop (x)"], "data": [[1, 2, 3]]}',
        '{"index": [0], "data": [[1, 2]], "columns": ["structure", "prop (x)"]}',
        '{"index": [0], "columns": ["structure", "prop (x)"]}',
        '{"index": "never closed}',
        "[]",
        "",
        "<html>not here</html>",
    ],
)
def test_text_that_is_not_a_table_is_refused(tiny: OfficialTask, file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=r"matbench_tiny\.json\.gz"):
        list(_matminer_json.read_rows(file, ("structure", "prop (x)")))


def test_a_file_that_is_not_compressed_is_refused(tiny: OfficialTask, file: Path) -> None:
    file.parent.mkdir()
    for content in (b"<html>404</html>", gzip.compress(b"\xff\xfe{")):
        file.write_bytes(content)
        with pytest.raises(DataError, match="gzip-compressed JSON"):
            load(tiny, file)


def test_is_metal_takes_the_rows_of_gap_and_the_official_labels(structures: list[Structure], tmp_path: Path) -> None:
    task = OFFICIAL["matbench_mp_is_metal"]
    labels = official_labels(task.name)
    table = table_of(structures[:3], ["mp-1", "mp-2", "mp-3"], y_mp_gap=[0.0, 1.0, 2.0])
    table["id_mp_gap"] = ["mb-mp-gap-000002", "mb-mp-gap-106113", "mb-mp-gap-000001"]
    loaded = load(task, write(tmp_path, table))
    rows = [0, 1, 106112]
    assert loaded.inputs.ids.tolist() == ["mb-mp-is-metal-000001", "mb-mp-is-metal-000002", "mb-mp-is-metal-106113"]
    assert loaded.targets.tolist() == labels[rows].tolist()
    assert np.array_equal(loaded.folds, official_folds(task.name)[rows])
    table["is_metal"] = [bool(labels[1]), bool(labels[106112]), not labels[0]]
    with pytest.raises(DataError, match="labels of mb-mp-is-metal-000001 are not the official ones"):
        load(task, write(tmp_path, table))


def test_there_are_thirteen_tasks() -> None:
    assert [spec.name for spec in TASKS] == list(OFFICIAL)
    for spec in TASKS:
        assert spec.rows_total == OFFICIAL[spec.name].n_samples
        assert spec.metric == ("rocauc" if spec.target.kind == "binary" else "mae")
        assert not spec.availability(DataSources(Path("nowhere"), download=False)).here


# ---------------------------------------------------------------------- real data, where there is some


@pytest.mark.parametrize("short", ["phonons", "jdft2d", "steels", "expt_gap", "expt_is_metal", "glass"])
def test_real_official_files(short: str) -> None:
    official = OFFICIAL[f"matbench_{short}"]
    task = load(official, real_file(f"{official.name}.json.gz"))
    assert len(task) == official.n_samples
    assert task.source.verified in ("sha256", "content")


def test_real_phonons_equal_pymatgens_structures() -> None:
    file = real_file("matbench_phonons.json.gz")
    task = load(OFFICIAL["matbench_phonons"], file)
    rows = list(_matminer_json.read_rows(file, ("structure", "last phdos peak")))[:100]
    structures = [Structure.from_dict(row[0]) for row in rows]
    assert isinstance(task.inputs, Crystals)
    assert task.inputs[:100].digest == Crystals.from_pymatgen(structures).digest


@pytest.mark.parametrize(
    ("short", "name", "fold", "target"),
    [
        ("log_gvrh", "matbench_log_gvrh_log_kvrh_mp2018.parquet", "fold_log_gvrh", "log10_G_VRH"),
        ("log_kvrh", "matbench_log_gvrh_log_kvrh_mp2018.parquet", "fold_log_kvrh", "log10_K_VRH"),
        ("mp_e_form", "mp2018.parquet", "fold_mp_e_form", "y_mp_e_form"),
        ("mp_gap", "mp2018.parquet", "fold_mp_gap", "y_mp_gap"),
        ("mp_is_metal", "mp2018.parquet", "fold_mp_is_metal", None),
    ],
)
def test_real_tables_agree_with_their_own_folds(short: str, name: str, fold: str, target: str | None) -> None:
    file = real_file(name)
    task = load(OFFICIAL[f"matbench_{short}"], file)
    frame = pq.read_table(file).to_pandas()
    ids = f"id_{short}" if f"id_{short}" in frame else "id_mp_gap" if short == "mp_is_metal" else "id"
    frame = frame[frame[ids].notna()].sort_values(ids)
    assert task.inputs.ids.tolist() == frame[ids].str.replace("mp-gap", short.replace("_", "-")).tolist()
    assert np.array_equal(task.folds, frame[fold].to_numpy())
    if target:
        assert np.array_equal(task.targets, frame[target].to_numpy())
    assert isinstance(task.inputs, Crystals)
    assert task.inputs.atom_counts.tolist() == [len(numbers) for numbers in frame["numbers"]]


def test_rows_left_out_are_always_reported_in_one_line(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    task = load(tiny, write(tmp_path, table_of(structures[:3], ["mb-tiny-03", None, None], target=[1.0, 2.0, 3.0])))
    assert task.remarks_line == "matbench_tiny: 2 of 3 rows of part.parquet have no id and are skipped"
    many = dataclasses.replace(task, remarks=tuple(f"dropped: m-{i}" for i in range(12)))
    assert many.remarks_line == (
        "matbench_tiny: dropped: m-0; dropped: m-1; dropped: m-2; and 9 more, which task.remarks and every record list"
    )
    assert dataclasses.replace(task, remarks=()).remarks_line == ""


def test_a_column_that_may_have_one_of_several_names_is_described_without_repetition(
    tiny: OfficialTask, structures: list[Structure], tmp_path: Path
) -> None:
    official = dataclasses.replace(tiny, target="n")
    with pytest.raises(DataError, match=r"no column with the targets \(y_tiny or n or target\)"):
        read_partial_table(official, write(tmp_path, table_of(structures[:1], ["mb-tiny-03"])))
