from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import changed
from pymatgen.core import Lattice, Structure

from benchmarks.speed import __main__ as command
from benchmarks.speed import descriptors, diffraction, table
from benchmarks.speed.graphs import check_distances, peer_graph
from benchmarks.speed.phonons import phonons_file
from benchmarks.speed.registry import ROWS, by_name, chosen
from benchmarks.speed.rows import Measurement, Result, Row, Settings, measure
from crystalbench.data.crystals import Crystals
from crystalbench.errors import DataError, UnknownNameError
from crystalbench.models.devices import flushed_subnormals
from crystalbench.representations import CrystalGraph
from crystalbench.representations.descriptors import DescriptorBank
from crystalbench.representations.diffraction.cells import standard_cells
from crystalbench.representations.diffraction.pattern import cube_intensities

HEADER = "name,ours,peer,unit,ratio,against,machine"


def _fake(name: str, ours: list[float], peer: list[float], calls: list[str], more_is_better: bool = False) -> Row:
    """A row whose measurements return these numbers in turn."""

    @contextmanager
    def prepare(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
        def side(who: str, numbers: list[float]) -> Measurement:
            left = iter(numbers)

            def measurement() -> float:
                calls.append(who)
                return next(left)

            return measurement

        yield side("ours", ours), side("peer", peer)
        calls.append("closed")

    return Row(name, "s", "a fake, against another", prepare, more_is_better)


def _result(name: str, ours: float = 1.0, against: str = "this; that") -> Result:
    return Result(name, ours, 2.0, "s", 2.0 / ours, against, "a machine, with a comma")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = by_name([_fake("first", [9, 1, 2], [9, 4, 8], []), _fake("second", [9, 2, 2], [9, 1, 1], [], True)])
    monkeypatch.setattr(command, "ROWS", rows)
    monkeypatch.setattr(command, "chosen", lambda names: chosen(names, rows))
    monkeypatch.setattr(command.machine, "prepare_threads", lambda threads, flush: None)


def test_sides_alternate_and_the_first_measurement_is_discarded() -> None:
    calls: list[str] = []
    row = _fake("fake", [100, 3, 1, 2], [500, 8, 6, 4], calls)
    result = measure(row, Settings(), 3, "here")
    assert calls == ["ours", "peer"] * 4 + ["closed"]
    assert result == Result("fake", 2, 6, "s", 3, "a fake, against another", "here")


def test_the_ratio_is_a_speedup_for_costs_and_throughputs() -> None:
    cost = measure(_fake("cost", [0, 2], [0, 10], []), Settings(), 1, "")
    throughput = measure(_fake("throughput", [0, 10], [0, 2], [], more_is_better=True), Settings(), 1, "")
    assert cost.ratio == throughput.ratio == 5


def test_a_new_line_replaces_the_old_one(tmp_path: Path) -> None:
    order = ["a", "b", "c"]
    table.update(tmp_path, [_result("c"), _result("a"), _result("gone")], order)
    results = table.update(tmp_path, [_result("b"), _result("a", ours=0.5)], order)
    assert [r.name for r in results] == ["a", "b", "c", "gone"]
    assert table.read_results(tmp_path / "speed.csv") == results
    assert results[0].ours == 0.5
    assert (tmp_path / "speed.csv").read_text().splitlines()[0] == HEADER
    assert [file.name for file in tmp_path.iterdir()] == ["speed.csv"]


def test_the_table_is_unchanged_if_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.update(tmp_path, [_result("a")], ["a"])
    before = (tmp_path / "speed.csv").read_bytes()

    def fails(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no space left"):
        table.update(tmp_path, [_result("b")], ["a", "b"])
    assert (tmp_path / "speed.csv").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["speed.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,ours\n", "first line"),
        ("", "first line"),
        (f"{HEADER}\na,b,c,d,e,f,g\n", "line 2"),
        (HEADER + "\na\n", "2"),
    ],
)
def test_a_file_that_is_not_a_table_is_not_overwritten(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "speed.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        table.update(tmp_path, [_result("a")], ["a"])
    assert (tmp_path / "speed.csv").read_text() == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.0025812, "0.00258"), (78.94, "78.9"), (2419.3, "2419"), (4.0, "4"), (1e-7, "0.0000001")]
)
def test_numbers_are_written_without_exponent(number: float, text: str, tmp_path: Path) -> None:
    table.write_results(tmp_path / "speed.csv", [_result("a", ours=number)])
    assert (tmp_path / "speed.csv").read_text().splitlines()[1].startswith(f"a,{text},2,s,")


def test_rows_have_unique_names_and_a_line_about_both_sides() -> None:
    assert {"load_phonons_again", "graphs_phonons", "cgcnn_training_phonons"} <= set(ROWS)
    for row in ROWS.values():
        assert "\n" not in row.against
        assert ";" in row.against
    with pytest.raises(ValueError, match="two rows are named 'graphs_phonons'"):
        by_name([*ROWS.values(), ROWS["graphs_phonons"]])


def test_rows_are_selected_by_name_or_pattern() -> None:
    assert chosen([]) == list(ROWS.values())
    assert [row.name for row in chosen(["graphs_phonons", "load_phonons_*"])] == [
        "load_phonons_first",
        "load_phonons_again",
        "graphs_phonons",
    ]
    with pytest.raises(UnknownNameError, match="graphs_phonons"):
        chosen(["graph_phonons"])


def test_the_command_measures_only_the_selected_rows(
    fakes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["second", "--results", str(tmp_path), "--repeats", "2"]) == 0
    assert [r.name for r in table.read_results(tmp_path / "speed.csv")] == ["second"]
    assert command.main(["first", "--results", str(tmp_path), "--repeats", "2"]) == 0
    assert [(r.name, r.ratio) for r in table.read_results(tmp_path / "speed.csv")] == [("first", 4), ("second", 2)]
    assert "second" in capsys.readouterr().out


def test_a_row_without_its_data_does_not_stop_the_others(
    fakes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def without(settings: Settings) -> Iterator[tuple[Measurement, Measurement]]:
        raise DataError("give the file with --data mp2018=PATH")
        yield

    rows = by_name([Row("first", "s", "a; b", without), _fake("second", [9, 2, 2], [9, 1, 1], [], True)])
    monkeypatch.setattr(command, "chosen", lambda names: chosen(names, rows))
    assert command.main(["--results", str(tmp_path), "--repeats", "2"]) == 0
    assert "first: not measured: give the file" in capsys.readouterr().err
    assert [r.name for r in table.read_results(tmp_path / "speed.csv")] == ["second"]
    assert "| `second` |" in (tmp_path / "speed.md").read_text()
    assert command.main(["first", "--results", str(tmp_path)]) == 1  # the row was selected by name


def test_data_files_are_given_by_task(fakes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[Settings] = []
    monkeypatch.setattr(command, "measure", lambda row, settings, *_: passed.append(settings) or _result(row.name))
    file = tmp_path / "t.parquet"
    file.touch()
    options = ["--data", f"mp2018={file}", "--threads", "2", "--cgcnn", str(tmp_path)]
    assert command.main(["first", "--results", str(tmp_path), *options]) == 0
    assert passed == [Settings(None, 2, {"mp2018": file}, tmp_path)]
    assert command.main(["first", "--results", str(tmp_path), "--data", f"mp2019={file}"]) == 1


def test_the_file_of_phonons_is_in_matminers_format(tmp_path: Path) -> None:
    table = tmp_path / "matbench_phonons.parquet"
    table.touch()
    with pytest.raises(DataError, match=r"matminer does not read this format; put matbench_phonons.json.gz"):
        phonons_file(Settings(tmp_path))
    official = tmp_path / "matbench_phonons.json.gz"
    official.touch()
    assert phonons_file(Settings(tmp_path)) == official
    assert phonons_file(Settings(data={"matbench_phonons": official})) == official


def test_the_command_lists_rows_without_measuring(
    fakes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--list", "--results", str(tmp_path)]) == 0
    assert "first (s): a fake, against another" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_unknown_row_is_an_error_with_a_suggestion(
    fakes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["frist", "--results", str(tmp_path)]) == 1
    assert "first" in capsys.readouterr().err


@pytest.fixture
def structures() -> list[Structure]:
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    lone = Structure(Lattice.cubic(20), ["Ar"], [[0.1, 0.2, 0.3]])
    return [salt, lone]


def test_distances_agree_with_the_peer(structures: list[Structure]) -> None:
    ours = CrystalGraph(neighbors=12)(Crystals.from_pymatgen(structures)).values["distances"]
    peer = np.concatenate([peer_graph(structure)[1] for structure in structures])
    assert check_distances(ours, peer) == len(structures[0])  # the isolated atom has no neighbour within 8 Å
    with pytest.raises(RuntimeError, match="differ"):
        check_distances(ours + 1e-3, peer)


@pytest.mark.parametrize("pattern", [diffraction.plain_pattern, diffraction.vectorised_pattern])
def test_patterns_agree_with_the_peer(structures: list[Structure], pattern: diffraction.Pattern) -> None:
    ours = cube_intensities(Crystals.from_pymatgen(structures), 3)
    peer = np.stack([pattern(structure) for structure in structures])
    assert peer.shape == (2, 343)
    diffraction.check_same_cells(ours, peer)
    with pytest.raises(RuntimeError, match=r"differ from the peer's by up to 1e-06"):
        diffraction.check_same_cells(ours + 1e-6 * ours.max(axis=1, keepdims=True), peer)


def test_cells_of_two_searches_have_the_same_patterns(structures: list[Structure]) -> None:
    found = standard_cells(Crystals.from_pymatgen(structures))
    peer = Crystals.from_pymatgen([diffraction._primitive(structure) for structure in structures])
    assert diffraction.check_found_cells(found, peer) == 1
    with pytest.raises(RuntimeError, match="lengths of points differ"):
        diffraction.check_found_cells(Crystals.from_pymatgen(structures), peer)
    with pytest.raises(RuntimeError, match=r"only 50.0% of the crystals have the peer's intensities"):
        diffraction.check_found_cells(changed(found, numbers=np.array([*found.numbers[:-1], 36], np.uint8)), peer)


def test_descriptors_agree_with_the_peer(structures: list[Structure]) -> None:
    salt = structures[0].get_primitive_structure()
    bank = DescriptorBank("gong28")
    ours = bank(Crystals.from_pymatgen([salt])).values["descriptors"]
    peer = descriptors.peer_descriptors(salt, descriptors.featurizers())
    assert set(peer) >= set(bank.labels)
    descriptors.check_descriptors(bank.labels, ours, [peer])
    with pytest.raises(RuntimeError, match=r"density differs from matminer's by up to 0.00[0-9]+"):
        descriptors.check_descriptors(bank.labels, ours, [{**peer, "density": peer["density"] + 1e-3}])


def test_threads_are_prepared_and_described() -> None:
    before = torch.get_num_threads()
    with flushed_subnormals():  # restores the flag for other tests
        command.machine.prepare_threads(1, flush=True)
    torch.set_num_threads(before)
    assert "torch" in command.machine.describe(1)
