from __future__ import annotations

import logging
import multiprocessing
import os
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import one_crystal, random_crystals

from crystalbench.data.crystals import Crystals, joined
from crystalbench.errors import ConfigError, DataError
from crystalbench.representations import CrystalGraph, graph
from crystalbench.representations.diffraction import cells
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.processes import PROCESSES, allowed_processes, by_chunks, processes

# Functions of the tests that follow; other processes find them by name.


def whose(crystals: Crystals) -> tuple[int, list[str]]:
    return os.getpid(), crystals.ids.tolist()


def warns(crystals: Crystals) -> int:
    logging.getLogger("crystalbench.tests").warning("%s was seen", crystals.ids[0])
    return len(crystals)


def refuses(crystals: Crystals) -> int:
    raise DataError(f"{crystals.ids[0]}: refused")


def dies_elsewhere(crystals: Crystals) -> int:
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return len(crystals)


def test_one_process_sees_all_crystals_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(0, 6)
    assert by_chunks(whose, crystals, 2) == [(os.getpid(), crystals.ids.tolist())]
    monkeypatch.setenv(PROCESSES, "2")
    assert len(by_chunks(whose, crystals, 2, least=7)) == 1  # too few
    assert len(by_chunks(whose, crystals, 6)) == 1


def test_chunks_keep_their_order_whoever_computes_them() -> None:
    crystals = random_crystals(0, 41)
    with allowed_processes(2):
        found = by_chunks(whose, crystals, 2)
    assert [name for _, names in found for name in names] == crystals.ids.tolist()
    assert len({process for process, _ in found}) == 2
    assert found[-1][0] == os.getpid()


def test_what_other_processes_log_is_said_here(caplog: pytest.LogCaptureFixture) -> None:
    crystals = random_crystals(0, 4)
    with allowed_processes(3):
        assert by_chunks(warns, crystals, 1) == [1] * 4
    assert sorted(caplog.messages) == [f"{name} was seen" for name in crystals.ids]


def test_errors_of_other_processes_are_errors_here() -> None:
    with allowed_processes(2), pytest.raises(DataError, match=r"crystal-[0-3]: refused"):
        by_chunks(refuses, random_crystals(0, 4), 1)


def test_a_process_that_dies_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    with allowed_processes(2):
        assert by_chunks(dies_elsewhere, random_crystals(0, 4), 1) == [1] * 4
    assert "ended without a result" in caplog.text


def test_the_environment_comes_before_what_a_program_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes() == 1
    with allowed_processes(4):
        assert processes() == 4
        monkeypatch.setenv(PROCESSES, "2")
        assert processes() == 2
    # A process that another one started for its work starts none itself.
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(pid=1))
    assert processes() == 1


@pytest.mark.parametrize("value", ["0", "-1", "two", ""])
def test_a_number_of_processes_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSES, value)
    with pytest.raises(ConfigError, match=PROCESSES):
        CrystalGraph()(random_crystals(0, 2))


@pytest.mark.parametrize("vectors", [False, True])
def test_graphs_are_the_same_from_two_processes(vectors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = random_crystals(5, 40, most_atoms=6)
    alone = CrystalGraph(vectors=vectors)(crystals)
    monkeypatch.setattr(graph, "_CHUNK", 3)
    monkeypatch.setattr(graph, "_WORTH_PROCESSES", 2)
    with allowed_processes(2):
        together = CrystalGraph(vectors=vectors)(crystals)
    for name, array in alone.values.items():
        np.testing.assert_array_equal(array, together.values[name])


def test_standard_cells_are_the_same_from_two_processes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    twice = one_crystal(np.eye(3) * 4, [[0, 0, 0], [0, 0, 0]], [11, 17], "twice")
    crystals = joined([twice, random_crystals(5, 12, most_atoms=3)])
    alone = standard_cells(crystals)
    monkeypatch.setattr(cells, "_CHUNK", 3)
    monkeypatch.setattr(cells, "_WORTH_PROCESSES", 2)
    with allowed_processes(2):
        together = standard_cells(crystals)
    for name, array in alone.to_arrays().items():
        np.testing.assert_array_equal(array, together.to_arrays()[name])
    assert len(caplog.messages) == 2
    assert len(set(caplog.messages)) == 1
    assert caplog.messages[0].startswith("twice: no symmetry found")
