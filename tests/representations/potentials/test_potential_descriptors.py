"""Columns of potentials: names, missing values, the contract, and going on after an interruption."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import toys

from crystalbench.data.crystals import concatenate
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.representations import represent
from crystalbench.representations.potentials import PARTS, PotentialDescriptors, get_potential
from crystalbench.representations.potentials import descriptors as module
from crystalbench.testing import check_representation
from crystalbench.testing.crystals import known_structures, large_cell, one_crystal

SPRINGS = f"{Path(toys.__file__)}:SmoothSprings"


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"zone"}))  # whose supercells of random crystals take long
def test_every_part_keeps_the_contract(part: str) -> None:
    assert len(check_representation(PotentialDescriptors(SPRINGS, part)).passed) == 11


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chgnet", "sevennet"])
def test_registered_potentials_keep_the_contract(name: str) -> None:
    assert len(check_representation(PotentialDescriptors(name, "features")).passed) == 11


@pytest.mark.parametrize("part", PARTS)
def test_every_column_has_a_name_of_its_own(part: str) -> None:
    representation = PotentialDescriptors(SPRINGS, part)
    assert len(set(representation.labels)) == len(representation.labels)
    assert all(label.startswith(f"SmoothSprings {part}: ") for label in representation.labels)
    values = representation(known_structures()[[1]]).values["descriptors"]
    assert values.shape == (1, len(representation.labels))
    assert np.isfinite(values).all() == (part != "layers")  # halite has none


def test_failures_are_missing_values_and_reported_with_id_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    heavy = one_crystal(np.eye(3) * 4, [[0, 0, 0]], [118], "oganesson")
    given = concatenate([known_structures()[:1], heavy, large_cell(65, 20)])
    with caplog.at_level(logging.WARNING, "crystalbench"):
        arrays = PotentialDescriptors(SPRINGS, "harmonic")(given)
    assert arrays.values["failed"][:, 0].tolist() == [False, True, True]
    assert np.isnan(arrays.values["descriptors"]).all(1).tolist() == [False, True, True]
    assert (
        "oganesson: descriptors are missing: harmonic (contains an element that SmoothSprings does not" in caplog.text
    )
    assert "65-atoms: descriptors are missing: harmonic (its primitive cell has 65 atoms; at most 64" in caplog.text


def test_compositions_and_unknown_parts_are_refused() -> None:
    with pytest.raises(DataError, match="needs crystal structures"):
        PotentialDescriptors(SPRINGS, "cell")(known_structures().compositions())
    with pytest.raises(UnknownNameError, match=r"Unknown part 'harmonics'. Did you mean 'harmonic'"):
        PotentialDescriptors(SPRINGS, "harmonics")


def test_the_key_depends_on_the_potential(tmp_path: Path) -> None:
    keys = {PotentialDescriptors(name, "cell").key for name in ("chgnet", "sevennet", SPRINGS)}
    assert len(keys) == 3


def test_an_interrupted_computation_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_CHUNK", 2)
    representation, given = PotentialDescriptors(SPRINGS, "cell"), known_structures()
    kind = type(get_potential(SPRINGS))
    compute, done = kind.__call__, []

    def interrupted(self: object, crystals: object) -> object:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(1)
        return compute(self, crystals)

    monkeypatch.setattr(kind, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        represent(representation, given, processes=1)
    monkeypatch.setattr(kind, "__call__", lambda self, crystals: done.append(1) or compute(self, crystals))
    arrays, _ = represent(representation, given, processes=1)
    assert len(done) == 5 + 5  # of nine crystals, four were stored, and one was lost
    assert not list((tmp_path / "unfinished").iterdir())
    np.testing.assert_array_equal(arrays.values["descriptors"], representation(given).values["descriptors"])


def test_a_computation_leaves_the_chunks_of_another_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path))
    representation, given = PotentialDescriptors(SPRINGS, "cell"), known_structures()
    with monkeypatch.context() as interrupted:
        interrupted.setattr(module, "discard", lambda folder: None)
        representation(given)
    (kept,) = (tmp_path / "unfinished").iterdir()
    chunks = sorted(kept.iterdir())
    representation(given[:3])
    assert chunks and sorted(kept.iterdir()) == chunks
    representation(given)
    assert not kept.exists()


def test_a_damaged_chunk_is_computed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CRYSTALBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "discard", lambda folder: None)
    representation, given = PotentialDescriptors(SPRINGS, "cell"), known_structures()
    expected = representation(given).values["descriptors"]
    (folder,) = (tmp_path / "unfinished").iterdir()
    for chunk in folder.iterdir():
        (chunk / "meta.json").write_text("{")
    np.testing.assert_array_equal(representation(given).values["descriptors"], expected)
    assert "ignoring a damaged chunk of stored columns" in caplog.text
