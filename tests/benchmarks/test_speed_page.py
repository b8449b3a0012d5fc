from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT, random_crystals

from benchmarks.speed import page, scale, scale_table, table
from benchmarks.speed.graphs import evenly
from benchmarks.speed.registry import ROWS
from benchmarks.speed.rows import Result, Row
from benchmarks.speed.scale_table import Size
from crystalbench.errors import DataError
from crystalbench.models.devices import flushed_subnormals


def _row(name: str, target: float | None = None) -> Row:
    return Row(name, "s", "this; that", lambda settings: None, target=target)  # type: ignore[arg-type,return-value]


def _size(crystals: int, ms: float, peak: float = 900.0, model: str = "cgcnn") -> Size:
    seconds = ms * crystals / 1000
    costs = (0.25 * seconds, 0.5 * seconds, peak)
    return Size(crystals, 20 * crystals, 0.0, *costs, 2, "here", model, 0.25 * seconds)


def test_the_page_shows_which_targets_are_met(tmp_path: Path) -> None:
    rows = {row.name: row for row in (_row("fast", 5), _row("slow", 5), _row("any"), _row("absent", 3))}
    results = [
        Result(name, 1, ratio, "s", ratio, "this; that", "here") for name, ratio in zip(rows, (5, 4.9, 2), strict=False)
    ]
    table.write_results(tmp_path / "speed.csv", results)
    page.write_page(tmp_path, rows)
    text = (tmp_path / "speed.md").read_text()
    assert "| `fast` | 1 | 5 | s | 5 × | ≥ 5 × | yes |" in text
    assert "| `slow` | 1 | 4.9 | s | 4.9 × | ≥ 5 × | no |" in text
    assert "| `any` | 1 | 2 | s | 2 × |  |  |" in text
    assert "Not measured yet: `absent`." in text
    assert "- here: `fast`, `slow`, `any`." in text
    assert "Scale" not in text


def test_the_committed_page_is_made_from_the_committed_tables(tmp_path: Path) -> None:
    for name in ("speed.csv", "scale.csv"):
        shutil.copyfile(ROOT / "results" / name, tmp_path / name)
    page.write_page(tmp_path, ROWS)
    assert (tmp_path / "speed.md").read_text() == (ROOT / "results" / "speed.md").read_text()


def test_rows_have_targets() -> None:
    assert {name: row.target for name, row in ROWS.items() if row.target is not None} == {
        "load_mp2018_again": 300,
        "graphs_mp": 150,
        "diffraction_patterns_phonons": 150,
        "descriptors_phonons": 100,
        "cgcnn_training_phonons": 6,
        "cgcnn_inference_phonons": 6,
        "cgcnn_training_mp": 4,
        "cgcnn_training_phonons_unflushed": 25,
    }


def test_sizes_are_read_from_their_file_and_shown_on_the_page(tmp_path: Path) -> None:
    sizes = [_size(1000, 2.0), _size(10_000, 2.2)]
    scale_table.write_sizes(tmp_path / "scale.csv", sizes)
    assert scale_table.read_sizes(tmp_path / "scale.csv") == sizes
    page.write_page(tmp_path, {})
    text = (tmp_path / "speed.md").read_text()
    assert "| `cgcnn` | 10,000 | 200,000 | 0 | 5.5 | 11 | 5.5 | 2.2 | 1.10 × | 900 |" in text
    assert "- `cgcnn`: cost per crystal flat to within 20%: yes; 10,000 crystals in under 6 GB: yes." in text


def test_the_page_shows_growing_cost_and_memory() -> None:
    other = _size(1000, 9.0, model="sen")
    text = scale_table.text_of([other, _size(1000, 2.0), _size(130_000, 2.5, peak=6100)])
    assert "- `cgcnn`: cost per crystal flat to within 20%: no; 130,000 crystals in under 6 GB: no." in text
    assert "- `sen`: cost per crystal flat to within 20%: yes; 1,000 crystals in under 6 GB: yes." in text


@pytest.mark.parametrize(
    ("text", "message"), [("a,b\n", "first line"), (",".join(scale_table.HEADER) + "\n1,2\n", "line 2")]
)
def test_a_file_that_is_not_a_table_of_sizes_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "scale.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        scale_table.read_sizes(tmp_path / "scale.csv")


def test_an_even_sample_has_the_mean_number_of_atoms() -> None:
    crystals = random_crystals(0, 100, most_atoms=20)
    sample = evenly(crystals, 20)
    assert len(set(sample.ids)) == 20
    assert sample.atom_counts.mean() == pytest.approx(crystals.atom_counts.mean(), rel=0.03)
    assert set(evenly(crystals, 100).ids) == set(crystals.ids)


def test_copies_of_crystals_differ_and_keep_their_atoms() -> None:
    crystals = random_crystals(0, 7, most_atoms=4)
    many = scale.replicated(crystals, 17)
    assert len(many) == len(set(many.ids)) == 17
    assert len(np.unique(many.volumes.round(6))) == 17
    assert np.isin(crystals.volumes.round(6), many.volumes.round(6)).all()
    assert abs(many.volumes.mean() / crystals.volumes.mean() - 1) < 0.1
    multiple = scale.replicated(crystals, 14)
    assert sorted(multiple.atom_counts) == sorted([*crystals.atom_counts] * 2)


@pytest.mark.parametrize("model", ["cgcnn", "magpie_forest"])
def test_a_size_is_measured(model: str, tmp_path: Path) -> None:
    scale.replicated(random_crystals(0, 12, most_atoms=3), 30).save(tmp_path / "crystals")
    before = torch.get_num_threads()
    with flushed_subnormals():  # restores the flag for other tests
        size = scale.measure_size(tmp_path / "crystals", threads=1, name=model)
    torch.set_num_threads(before)
    assert size.model == model
    assert size.crystals == 30
    assert size.atoms > 30
    assert size.threads == 1
    assert min(size.load_s, size.graph_s, size.epoch_s, size.predict_s) > 0
    assert size.peak_mb > 50
