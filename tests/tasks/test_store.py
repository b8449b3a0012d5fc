from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalbench.tasks import DataSources, Task, store
from crystalbench.tasks.matbench import spec as module
from crystalbench.tasks.matbench.official import OfficialTask
from crystalbench.tasks.matbench.spec import MatbenchTaskSpec

Load = Callable[[], Task]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path, tiny: OfficialTask, tiny_rows: list[Any], write_rows: Callable[..., Path]) -> Path:
    write_rows(tmp_path / "data" / "matbench_tiny.json.gz", tiny_rows, "structure")
    return tmp_path / "data"


@pytest.fixture
def load(folder: Path, tiny: OfficialTask) -> Load:
    return lambda: MatbenchTaskSpec.of(tiny).load(DataSources(folder, download=False))


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_official_file", lambda *_: pytest.fail("must come from the store"))


def stores() -> list[Path]:
    return list(store.store_dir().iterdir())


def test_the_second_load_is_mapped_from_the_store(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load()
    assert [p.name.split("-")[0] for p in stores()] == ["matbench_tiny"]
    no_decoding(monkeypatch)
    second = load()
    assert second.digest == first.digest
    assert second.source == first.source
    assert (second.target, second.metric, second.rows_total) == (first.target, first.metric, first.rows_total)
    assert np.array_equal(second.folds, first.folds)
    assert isinstance(second.inputs.numbers, np.memmap)


def test_a_changed_source_is_decoded_again(
    load: Load, folder: Path, tiny_rows: list[Any], write_rows: Callable[..., Path]
) -> None:
    assert load().source.verified == "sha256"
    tiny_rows[0][0]["sites"][0]["properties"] = {"magmom": 0.0}
    write_rows(folder / "matbench_tiny.json.gz", tiny_rows, "structure")
    assert load().source.verified == "content"
    assert len(stores()) == 2


@pytest.mark.parametrize("name", ["frac_coords.npy", "targets.npy", "meta.json", "folds.npy"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_store_is_replaced(
    load: Load,
    name: str,
    damage: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = load().digest
    (file,) = store.store_dir().glob(f"*/{name}")
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[:-5])
    elif damage == "flip":
        content[-3] ^= 0xFF
        file.write_bytes(content)
    else:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        assert load().digest == digest
    assert "damaged" in caplog.text
    caplog.clear()
    no_decoding(monkeypatch)
    assert load().digest == digest
    assert not caplog.text


@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_nothing_is_written_next_to_the_data(
    load: Load,
    folder: Path,
    own_cache: Path,
    mode: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = sorted(folder.iterdir())
    folder.chmod(mode)
    try:
        digest = load().digest
        assert sorted(folder.iterdir()) == before
        assert store.store_dir() == own_cache / "tasks" and len(stores()) == 1
        no_decoding(monkeypatch)
        assert load().digest == digest
        assert not caplog.text
    finally:
        folder.chmod(0o755)


def test_an_old_store_next_to_the_data_is_ignored(load: Load, folder: Path) -> None:
    digest = load().digest
    old = folder / ".crystalbench" / stores()[0].name
    shutil.copytree(stores()[0], old)
    (old / "targets.npy").write_bytes(b"damaged")
    shutil.rmtree(store.store_dir())
    assert load().digest == digest
    assert (old / "targets.npy").read_bytes() == b"damaged"


def test_two_copies_of_a_file_share_a_store(load: Load, folder: Path, tiny: OfficialTask, tmp_path: Path) -> None:
    first = load()
    shutil.copytree(folder, tmp_path / "copy")
    again = MatbenchTaskSpec.of(tiny).load(DataSources(tmp_path / "copy", download=False))
    assert again.digest == first.digest and len(stores()) == 1


def test_a_store_that_cannot_be_written_is_only_a_warning(
    load: Load, own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(store, "save_arrays", full)
    assert len(load()) == 12
    assert "No space left" in caplog.text
    assert not own_cache.exists()


def test_an_interrupted_write_leaves_no_partial_store(
    load: Load, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def save(file: Path, *_: object, **__: object) -> None:
        calls.append(file)
        Path(file).write_bytes(b"half")
        if len(calls) > 2:
            raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", save)
        load()
    assert len(calls) > 2
    assert not [p for p in own_cache.rglob("*") if p.is_file()]


def test_remarks_are_kept_with_a_stored_task(tiny: OfficialTask) -> None:
    task = Task(
        "t",
        MatbenchTaskSpec.of(tiny).target,
        "mae",
        store.Compositions.from_formulas(["NaCl", "KBr"]),
        np.zeros(2),
        np.arange(2, dtype=np.int16),
        2,
        store.Source("x", "0", "user"),
    )
    for _ in range(2):
        loaded = store.load_or_build("t", "0" * 64, lambda: store.Decoded(task, ("3 rows left out",)))
        assert loaded.inputs.ids.tolist() == ["0", "1"]
        assert loaded.remarks == ("3 rows left out",)
