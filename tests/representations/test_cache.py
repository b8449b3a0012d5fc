from __future__ import annotations

import errno
import logging
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pytest
from filelock import FileLock
from helpers import changed, random_crystals

from crystalbench import plugins
from crystalbench.data.crystals import Crystals
from crystalbench.data.samples import Inputs
from crystalbench.errors import ConfigError
from crystalbench.representations import CRYSTAL, Arrays, CrystalGraph, Layout, MagpieFeatures, Representation, cache
from crystalbench.representations.cache import cache_dir, represent
from crystalbench.representations.processes import processes


@dataclass(frozen=True)
class Volumes(Representation):
    """Volumes, times a factor; counts how often it is computed."""

    factor: float = 1.0
    computed: ClassVar[list[int]] = []

    def __call__(self, inputs: Inputs) -> Arrays:
        assert isinstance(inputs, Crystals)
        self.computed.append(len(inputs))
        return Arrays({"volume": self.factor * inputs.volumes}, {"volume": Layout(CRYSTAL)}, {}, len(inputs))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached representations, empty."""
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path / "cache"))
    Volumes.computed.clear()
    return tmp_path / "cache" / "representations"


@pytest.fixture
def crystals() -> Crystals:
    return random_crystals(1, 5)


def entry(folder: Path) -> Path:
    (only,) = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return only


def test_the_second_call_reads_from_the_cache(folder: Path, crystals: Crystals) -> None:
    first, seconds = represent(Volumes(), crystals)
    second, again = represent(Volumes(), crystals)
    assert Volumes.computed == [5]
    assert again == seconds > 0
    assert np.array_equal(first.values["volume"], second.values["volume"])
    assert isinstance(second.values["volume"], np.memmap)
    assert not second.values["volume"].flags.writeable


@pytest.mark.parametrize("representation", [CrystalGraph(neighbors=3), MagpieFeatures()])
def test_cached_arrays_equal_the_computed_ones(
    folder: Path, crystals: Crystals, representation: Representation
) -> None:
    computed, read = represent(representation, crystals)[0], represent(representation, crystals)[0]
    assert computed.layouts == read.layouts
    for name in computed.values:
        assert computed.values[name].dtype == read.values[name].dtype
        assert np.array_equal(computed.values[name], read.values[name])
    for level in computed.offsets:
        assert np.array_equal(computed.offsets[level], read.offsets[level])


def test_the_key_depends_on_everything_except_ids(
    folder: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    represent(Volumes(), crystals)
    represent(Volumes(), changed(crystals, ids=np.array(list("abcde"))))
    assert len(Volumes.computed) == 1
    represent(Volumes(2.0), crystals)
    assert len(Volumes.computed) == 2
    for other in (
        changed(crystals, lattices=crystals.lattices * (1 + 1e-15)),
        changed(crystals, frac_coords=crystals.frac_coords + 1e-12),
        changed(crystals, numbers=crystals.numbers + np.uint8(1)),
        crystals[[1, 0, 2, 3, 4]],
        crystals[:4],
    ):
        before = len(Volumes.computed)
        represent(Volumes(), other)
        assert len(Volumes.computed) == before + 1
    before = len(Volumes.computed)
    monkeypatch.setattr(Volumes, "version", 2)
    represent(Volumes(), crystals)
    assert len(Volumes.computed) == before + 1


def test_keys_differ_by_class_options_and_version() -> None:
    keys = [r.key for r in (Volumes(), Volumes(2.0), CrystalGraph(), CrystalGraph(neighbors=8), MagpieFeatures())]
    assert len(set(keys)) == 5
    assert CrystalGraph().key == CrystalGraph(neighbors=12).key


def test_keys_contain_the_versions_of_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    before = MagpieFeatures().key
    assert MagpieFeatures().recipe["packages"].keys() == {"matminer"}
    monkeypatch.setattr("crystalbench.representations.representation._version_of", lambda package: "99.0")
    assert MagpieFeatures().key != before


FILE = """
from dataclasses import dataclass
from crystalbench.representations import CRYSTAL, Arrays, Layout, Representation

FACTOR = {factor}

@dataclass(frozen=True)
class Scaled(Representation):
    def __call__(self, inputs):
        return Arrays({{"volume": FACTOR * inputs.volumes}}, {{"volume": Layout(CRYSTAL)}}, {{}}, len(inputs))
"""


def test_an_edited_file_gives_other_keys(
    folder: Path, tmp_path: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, factor in enumerate((1.0, 1000.0, 1.0)):
        file = tmp_path / f"{number}" / "mine.py"  # a process imports a file once
        file.parent.mkdir()
        file.write_text(FILE.format(factor=factor))
        made = plugins.load("crystalbench.representations", "representation", f"{file}:Scaled")
        # As if one file were edited, and imported by a new process each time.
        monkeypatch.setitem(sys.modules, "mine", sys.modules[made.__module__])
        made.__module__ = "mine"
        found.append(represent(made(), crystals)[0].values["volume"])
    np.testing.assert_array_equal(found[1], 1000 * found[0])
    assert len(list(folder.iterdir())) == 2


def test_options_that_cannot_be_written_as_json_are_refused() -> None:
    @dataclass(frozen=True)
    class Weighted(Volumes):
        weights: object = None

    with pytest.raises(ConfigError, match="Weighted: an option cannot be written as JSON"):
        assert Weighted(weights=np.zeros(5000)).key


def _cut(file: Path, size: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(size)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no array": lambda e: (e / "value.volume.npy").unlink(),
    "cut array": lambda e: _cut(e / "value.volume.npy", 140),
    "cut header": lambda e: _cut(e / "value.volume.npy", 20),
    "empty array": lambda e: _cut(e / "value.volume.npy", 0),
    "other rows": lambda e: np.save(e / "value.volume.npy", np.zeros(3)),
    "no meta": lambda e: (e / "meta.json").unlink(),
    "empty meta": lambda e: _cut(e / "meta.json", 0),
    "cut meta": lambda e: _cut(e / "meta.json", 10),
    "foreign meta": lambda e: (e / "meta.json").write_text('{"format": "crystals"}'),
    "list as meta": lambda e: (e / "meta.json").write_text("[1, 2]"),
    "meta of bytes": lambda e: (e / "meta.json").write_bytes(b"\xff\xfe\x00"),
}


def test_an_entry_is_kept_by_a_process_with_too_many_open_files(
    folder: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = represent(Volumes(), crystals)[0].values["volume"]

    def refuse(file: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(file))

    with monkeypatch.context() as patch:
        patch.setattr("crystalbench.data.storage._map", refuse)
        arrays, _ = represent(Volumes(), crystals)
    assert np.array_equal(arrays.values["volume"], expected)
    assert "damaged" not in caplog.text
    assert len(Volumes.computed) == 2
    represent(Volumes(), crystals)
    assert len(Volumes.computed) == 2  # the entry is still there


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_recomputed_and_replaced(
    folder: Path, crystals: Crystals, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = np.array(represent(Volumes(), crystals)[0].values["volume"])  # a copy, since its file is damaged
    DAMAGES[damage](entry(folder))
    with caplog.at_level(logging.WARNING, "crystalbench"):
        arrays, _ = represent(Volumes(), crystals)
    assert np.array_equal(arrays.values["volume"], expected)
    assert len(Volumes.computed) == 2
    assert "damaged" in caplog.text
    represent(Volumes(), crystals)
    assert len(Volumes.computed) == 2  # replaced


@pytest.mark.parametrize("place", ["cache", "cache/representations"])
def test_a_cache_that_cannot_be_written_only_warns(
    folder: Path, tmp_path: Path, crystals: Crystals, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "crystalbench"):
        arrays, seconds = represent(Volumes(), crystals)
    assert np.array_equal(arrays.values["volume"], crystals.volumes)
    assert seconds > 0
    assert "could not be cached" in caplog.text


def test_nothing_is_left_of_an_entry_that_could_not_be_written(
    folder: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    represent(Volumes(), crystals)
    assert "No space left on device" in caplog.text
    assert list(folder.iterdir()) == []


def test_of_two_concurrent_calls_only_one_computes(
    folder: Path, crystals: Crystals, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = threading.Event(), threading.Event()

    @dataclass(frozen=True)
    class Slow(Volumes):
        def __call__(self, inputs: Inputs) -> Arrays:
            begun.set()
            assert go.wait(30)
            return super().__call__(inputs)

    found: list[tuple[Arrays, float]] = []
    first, second = (threading.Thread(target=lambda: found.append(represent(Slow(), crystals))) for _ in range(2))
    with caplog.at_level(logging.INFO, "crystalbench"):
        first.start()
        assert begun.wait(30)
        second.start()
        while "waiting for another process" not in caplog.text:
            assert second.is_alive()
        represent(Volumes(3.0), crystals)  # other entries do not wait
        go.set()
        first.join()
        second.join()
    assert Volumes.computed == [5, 5]
    assert found[0][1] == found[1][1]
    assert np.array_equal(found[0][0].values["volume"], found[1][0].values["volume"])


def test_a_damaged_entry_that_another_process_repairs_is_not_removed(
    folder: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    represent(Volumes(), crystals)
    _cut(entry(folder) / "meta.json", 0)
    locked = cache._locked

    def repaired_meanwhile(name: str) -> AbstractContextManager[None]:
        monkeypatch.setattr(cache, "_locked", locked)
        represent(Volumes(), crystals)
        return locked(name)

    monkeypatch.setattr(cache, "_locked", repaired_meanwhile)
    represent(Volumes(), crystals)
    assert Volumes.computed == [5, 5]


def test_a_file_system_without_locks_is_sufficient(
    folder: Path, crystals: Crystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", unknown)
    represent(Volumes(), crystals)
    represent(Volumes(), crystals)
    assert Volumes.computed == [5]


def test_the_first_of_two_writers_wins(folder: Path, crystals: Crystals) -> None:
    other = folder.parent / "elsewhere"

    @dataclass(frozen=True)
    class Slow(Volumes):
        def __call__(self, inputs: Inputs) -> Arrays:
            arrays = super().__call__(inputs)
            if other.exists():  # another process finishes while this one computes
                shutil.copytree(other, target)
            return arrays

    represent(Slow(), crystals)
    target = entry(folder)
    target.rename(other)
    arrays, _ = represent(Slow(), crystals)
    assert np.array_equal(arrays.values["volume"], crystals.volumes)
    assert [path.name for path in folder.iterdir()] == [target.name]
    represent(Slow(), crystals)
    assert len(Volumes.computed) == 2


def test_the_folder_is_set_by_the_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    monkeypatch.setenv("CRYSTALBENCH_CACHE", "")
    assert cache_dir().name == "crystalbench"


@pytest.mark.parametrize(("allowed", "expected"), [(None, 23), (1, 1), (4, 4)])
def test_all_usable_cores_may_compute_by_default(
    folder: Path, crystals: Crystals, allowed: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 23)

    @dataclass(frozen=True)
    class Allowed(Volumes):
        def __call__(self, inputs: Inputs) -> Arrays:
            return Arrays({"processes": np.full(len(inputs), processes())}, {"processes": Layout(CRYSTAL)}, {}, 5)

    arrays, _ = represent(Allowed(), crystals) if allowed is None else represent(Allowed(), crystals, allowed)
    assert set(arrays.values["processes"].tolist()) == {expected}
