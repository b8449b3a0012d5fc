from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT, record

from benchmarks import periodicity
from crystalbench.errors import ConfigError
from crystalbench.evaluation.leaderboard import Board, leaderboards
from crystalbench.reports.csv import to_csv
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.summary import END, START, fill_readme, to_summary
from crystalbench.results import Results, load_results
from crystalbench.results.record import RowCounts

PART = RowCounts(train=30, valid=10, test=20, task=60, task_total=1265, task_folds=5)


def test_summary_lists_our_models_next_to_published_ones_of_the_same_rows() -> None:
    whole = [record(mae=40.0 + fold, fold=fold) for fold in range(5)]
    whole += [record(mae=50.0, fold=fold, label="worse") for fold in range(5)]
    whole += [record(mae=30.0, fold=3, label="begun")]
    part = [record(mae=1.0, fold=fold, data="p" * 64, rows=PART) for fold in range(5)]
    lines = to_summary(leaderboards(Results(whole + part).scores)).splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in lines}
    assert cells["model"] == [
        "matbench_phonons<br>MAE (cm⁻¹)",
        "matbench_phonons<br>60 of 1,265 rows<br>MAE (cm⁻¹)",
    ]
    # No entry is the best: one that has fold 3 only is better there than the best of five folds.
    assert cells["`dummy`"] == ["42.00 ± 1.41", "1.000 ± 0.000"]
    assert cells["`worse`"] == ["50.00 ± 0.00", "–"]
    assert cells["`begun`"] == ["30.00<br>(fold 3: −13.00 from `dummy`, −295.24 from Dummy)", "–"]
    assert cells["CGCNN v2019"] == ["57.76 ± 12.31", "–"]  # nothing published is of these rows
    assert cells["best published"] == ["28.76 ± 2.58<br>MegNet (kgcnn v2.1.0)", "–"]


def test_a_file_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"page\.md: has no place"):
        fill_readme(page, [])
    assert page.read_text(encoding="utf-8") == "no markers"


def committed(folder: Path) -> list[Board]:
    """Boards of the committed records of a folder; they must equal its committed files."""
    results = load_results(folder)
    assert not results.problems
    boards = leaderboards(results.scores)
    assert (folder / "leaderboard.csv").read_text(encoding="utf-8") == to_csv(boards)
    assert (folder / "leaderboard.md").read_text(encoding="utf-8") == to_markdown(boards)
    return boards


def test_committed_leaderboards_follow_from_the_committed_records() -> None:
    """The README and the leaderboards equal the output for the records, all of which are readable."""
    boards = committed(ROOT / "results")
    assert f"{START}\n{to_summary(boards)}\n{END}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_committed_page_on_periodicity_follows_from_its_records() -> None:
    folder = ROOT / "results" / "periodicity"
    committed(folder)
    assert (folder / periodicity.FILE_NAME).read_text(encoding="utf-8") == periodicity.page(load_results(folder))


def test_summary_marks_entries_and_explains_the_marks() -> None:
    made = [record(mae=40.0, fold=fold) for fold in range(5)]
    made += [record(mae=41.0, fold=fold, model="sen", label="sen") for fold in range(5)]
    made += [record(mae=30.0, fold=f, model="x", label="x", defaults_chosen_on=["matbench_phonons"]) for f in range(5)]
    text = to_summary(leaderboards(Results(made).scores))
    assert "| `x` | **30.00 ± 0.00**† |" in text
    assert "| `sen` | 41.00 ± 0.00‡ |" in text
    assert text.endswith(
        "\n\n† rows of this task were used in choosing the model's defaults; ‡ not better than the dummy on the folds "
        "that both have."
    )
