from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import pytest
from helpers import record, tuned_record
from rich.console import Console

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.leaderboard import Board, Entry, Score, leaderboards
from crystalbench.reports.boards import places
from crystalbench.reports.csv import COLUMNS, across_to_csv, pairs_to_csv, to_csv
from crystalbench.reports.files import write_leaderboards
from crystalbench.reports.formatting import score_text
from crystalbench.reports.kinds import EXPLANATION
from crystalbench.reports.markdown import to_markdown
from crystalbench.reports.notes import notes
from crystalbench.reports.screen import screen_kinds, screen_table
from crystalbench.results.frames import scores_frame
from crystalbench.results.record import Record, RowCounts
from crystalbench.targets import METRICS

PART = RowCounts(train=30, valid=10, test=20, task=60, task_total=1265, task_folds=1)


def folds(*maes: float | None, **changes: Any) -> list[Record]:
    return [record(mae, fold=fold, **changes) for fold, mae in enumerate(maes)]


def boards_of(records: list[Record]) -> list[Board]:
    return leaderboards(scores_frame(records))


def entry_with(**scores: Score) -> Entry:
    return Entry("m", "default", "full", scores, 5, (1, 1), 9, 9, None, None, "ours")


def classification(task: str = "matbench_mp_is_metal", **changes: Any) -> list[Record]:
    scores = {name: 0.9 for name, metric in METRICS.items() if "binary" in metric.kinds}
    rows = RowCounts(train=60000, valid=24000, test=22113, task=106113, task_total=106113, task_folds=5)
    plain = {"metric": "rocauc", "kind": "binary", "unit": "", "rows": rows, "scores": scores}
    return [record(task=task, fold=fold, **{**plain, **changes}) for fold in range(5)]


@pytest.fixture
def boards() -> list[Board]:
    """A complete board, a partial one, a classification, and names that need care."""
    long_name = "a_model_with_quite_a_long_name_and_more (wide|deep)"
    return boards_of(
        [
            *folds(28.5, 30.25, 29.0, 31.0, 27.75),
            *folds(40.0, 41.0, model="x", label=long_name),
            *folds(35.0, view="anonymous"),
            *folds(33.0, rows=PART, data="p" * 64),
            *classification(),
        ]
    )


# ---------------------------------------------------------------------- CSV


def test_the_columns_of_the_csv_file() -> None:
    header = "task,model,protocol,view,metric,mean,std,folds,rows,rows_total,fit_seconds,parameters,source"
    header += ",trials,tuning_seconds,tuned_minus_default,tuned_minus_default_std,tuned_minus_default_by_fold"
    header += ",default_kept_on_folds,data,fold_numbers,minus_dummy,concurrent,hardware,defaults_chosen_here"
    header += ",tier,rank_low,rank_high,sees,pretrained_on,refused,flagged,note,fold_scheme"
    header += ",featurise_seconds,predict_seconds,memory_mb,device,pareto"
    assert to_csv([]) == header + "\n"


def test_a_row_of_the_csv_file() -> None:
    (board,) = boards_of(folds(1.0, 2.0, 6.0, task="mine"))
    lines = to_csv([board]).splitlines()
    start = "mine,dummy,default,full,mae,3,2.1602469,3,1265,1265,2.00,1,ours,,,,,,"
    assert lines[1] == f'{start},{"d" * 64},0 1 2,,1,"Z80, 1 thread",false,,,,nothing,,,,,official,0.50,0.10,100,cpu,'
    assert [line.split(",")[4] for line in lines[1:]] == ["mae", "rmse", "r2", "max_error"]


def test_every_defined_score_is_in_the_csv_file_and_no_other(boards: list[Board]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(boards))))
    expected = [
        (board.task, str(board.rows if entry.source == "ours" else board.rows_total), entry.model, metric.name)
        for board in boards
        for entry in board.entries
        for metric in board.metrics
        if metric.name in entry.scores
    ]
    assert [(r["task"], r["rows"], r["model"], r["metric"]) for r in rows] == expected
    for row in rows:
        may_be_empty = ("fit_seconds", "parameters", *COLUMNS[COLUMNS.index("source") + 1 :])
        assert all(row[name] for name in row if name not in may_be_empty)
        assert (row["fit_seconds"] == "") == (row["source"] == "published")
        float(row["mean"]), float(row["std"])


# ---------------------------------------------------------------------- tuned runs


@pytest.fixture
def tuned_board() -> Board:
    """One model with defaults, tuned on each fold, and tuned on the first fold."""
    (board,) = boards_of(
        [
            *folds(1.0, 2.0, 3.0, task="mine"),
            *[tuned_record(mae, fold=f, task="mine", best=0 if f else 3) for f, mae in enumerate((0.5, 2.25))],
            *[tuned_record(1.5, fold=f, task="mine", scheme="first_fold") for f in (0, 1)],
        ]
    )
    return board


def test_default_and_tuned_runs_are_separate_rows_with_their_tuning_costs(tuned_board: Board) -> None:
    lines = to_markdown([tuned_board]).splitlines()
    (header,) = [line for line in lines if line.startswith("| #")]
    assert "| folds | trials | tuning (s) | fit (s) |" in header
    rows = {line.split("|")[2].strip(): [c.strip() for c in line.split("|")] for line in lines if "| **" in line}
    assert list(rows) == ["**dummy (tuned)**", "**dummy (tuned on fold 0)**", "**dummy**"]
    spent = [header.split("|").index(f" {name} ") for name in ("folds", "trials", "tuning (s)")]
    assert [rows["**dummy (tuned)**"][i] for i in spent] == ["2 (0,1)", "40", "21"]
    assert [rows["**dummy (tuned on fold 0)**"][i] for i in spent] == [
        "2 (0,1)",
        "20",
        "10",
    ]  # one study for both folds
    assert [rows["**dummy**"][i] for i in spent] == ["3 (0,1,2)", "", ""]
    failed = "Trials that failed: dummy (tuned): 2 of 40; dummy (tuned on fold 0): 1 of 20."
    assert any(line.startswith(failed) for line in lines)
    assert any("has seen, in the search alone, the test rows of the other folds" in line for line in lines)


def test_the_change_through_tuning_is_listed_fold_by_fold(tuned_board: Board) -> None:
    text = to_markdown([tuned_board])
    assert "Tuned minus default, MAE (cm⁻¹), fold by fold; negative is better. Where the default" in text
    assert "| dummy (tuned) | full | -0.125 ± 0.38 | -0.5 | +0.25 (kept) |" in text
    assert "| dummy (tuned on fold 0) | full | +0 ± 0.5 | +0.5 | -0.5 |" in text


def test_what_tuning_found_on_the_inner_folds_is_listed(tuned_board: Board) -> None:
    text = to_markdown([tuned_board])
    assert "The default is kept unless the gain exceeds the standard error." in text
    assert "| dummy (tuned) | full | +0.4 ± 0.25 | +0.4 ± 0.5 (kept) |" in text
    untuned = [e for e in tuned_board.entries if e.protocol == "default"]
    assert "What tuning found" not in to_markdown([dataclasses.replace(tuned_board, entries=untuned)])


def test_the_change_through_tuning_is_in_the_csv_file(tuned_board: Board) -> None:
    rows = [r for r in csv.DictReader(io.StringIO(to_csv([tuned_board]))) if r["metric"] == "mae"]
    names = COLUMNS[COLUMNS.index("source") + 1 : COLUMNS.index("data")]
    assert [row["protocol"] for row in rows] == ["tuned", "tuned on fold 0", "default"]
    assert [rows[0][name] for name in names] == ["40", "21.00", "-0.125", "0.375", "0:-0.5 1:0.25", "1"]
    assert [rows[2][name] for name in names] == [""] * 6


def test_a_board_without_tuned_runs_has_no_columns_for_them(boards: list[Board]) -> None:
    assert "tuning" not in to_markdown(boards)
    assert "trials" not in to_markdown(boards)


def test_the_screen_table_lists_the_trials_of_tuned_entries(tuned_board: Board) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(screen_table(tuned_board, 120))
    (line,) = [line for line in console.export_text().splitlines() if "dummy (tuned) " in line]
    assert "40" in line.split()


# ---------------------------------------------------------------------- Markdown


def test_the_markdown_tables_are_well_formed(boards: list[Board]) -> None:
    text = to_markdown(boards)
    assert text.startswith("# Leaderboard\n")
    headings = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings == [
        "matbench_mp_is_metal (106,113 rows)",
        "matbench_phonons (1,265 rows)",
        "matbench_phonons (60 of 1,265 rows)",
    ]
    tables = re.findall(r"(?:^\| #.*\n)(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) == len(boards)
    for board, table in zip(boards, tables, strict=True):
        lines = table.splitlines()
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in lines}
        assert len(widths) == 1
        assert re.fullmatch(r"\|(---\|)+", lines[1])
        assert len(lines) == 2 + len(board.entries)
        before = text[: text.index(table)]
        assert before.endswith("\n\n")  # a table needs an empty line before it
    assert r"**a_model_with_quite_a_long_name_and_more (wide\|deep)**" in text
    assert text.count("**dummy**") == 6  # twice as the best of its kind
    assert "| MAE (cm⁻¹) |" in text


def test_the_best_of_each_kind_follows_the_ranking() -> None:
    records = [
        *folds(40.0, 41.0, 42.0, 43.0, 44.0, label="a|b", model="x", sees="composition"),
        *folds(30.0, label="short", model="y", sees="composition"),
        *folds(50.0, 51.0, 52.0, 53.0, 54.0, sees="nothing"),
        *folds(20.0, 21.0, 22.0, 23.0, 24.0, label="wide", model="z", sees="structure", view="anonymous"),
    ]
    (board,) = boards_of(records)
    lines = to_markdown([board]).partition(EXPLANATION)[2].splitlines()[2:]
    assert lines[0] == "| sees | best entry | MAE (cm⁻¹) | # | of this kind | source |"
    assert lines[2] == "| nothing | **dummy** | 52.00 ± 1.41 | 14 | 2 | ours |"
    assert lines[3] == "| composition | **a\\|b** | 42.00 ± 1.41 | 11 | 3 | ours |"  # with two published
    assert lines[4] == "| structure without chemistry | **wide (anonymous)** | 22.00 ± 1.41 | 1 | 1 | ours |"
    assert lines[5].startswith("| structure and chemistry | MegNet (kgcnn v2.1.0) | 28.76 ± 2.58 | 2 |")
    (row,) = [line for line in to_csv([board]).splitlines() if ",wide,default,anonymous,mae," in line]
    assert ",structure,,,,,official" in row
    table = screen_kinds(board)
    assert table is not None
    assert table.row_count == sum(line.startswith("| ") for line in lines[: lines.index("")]) - 1


def test_a_board_with_one_kind_has_no_table_of_kinds() -> None:
    (board,) = boards_of(folds(1.0, 2.0, 6.0, 7.0, 8.0, task="mine"))
    assert screen_kinds(board) is None
    assert EXPLANATION not in to_markdown([board])


def test_only_comparable_entries_are_ranked(boards: list[Board]) -> None:
    _, whole, part = boards
    complete = [entry.folds == 5 for entry in whole.entries]
    assert complete == sorted(complete, reverse=True)  # those that lack folds come last
    assert complete.count(False) == 2
    assert places(whole) == [*range(1, complete.count(True) + 1), None, None]
    assert places(part) == [1, *[None] * (len(part.entries) - 1)]
    (undefined,) = boards_of(folds(None, task="mine"))
    assert places(undefined) == [None]


def test_notes_of_a_board(boards: list[Board]) -> None:
    metal, whole, part = boards
    assert any("balanced accuracy" in note for note in notes(metal))
    assert any("60 of 1,265 rows" in note for note in notes(part))
    assert not any("rows" in note and "Only" in note for note in notes(whole))
    (incomplete,) = (note for note in notes(whole) if note.startswith("Not all folds done"))
    assert "wide|deep" in incomplete
    two = folds(1.0, view="full") + folds(1.0, view="unit_density")
    (incomplete,) = (note for note in notes(boards_of(two[:1] + two[-1:])[0]) if note.startswith("Not all"))
    assert incomplete.count("unit_density") == 1
    assert any("CGCNN v2019" in note for note in notes(metal))


@pytest.mark.parametrize(
    ("mean", "std", "shown"),
    [
        (29.3, 1.25, "29.30 ± 1.25"),
        (0.0, 0.0, "0.0000 ± 0.0000"),
        (0.04216, 0.0011, "0.0422 ± 0.0011"),
        (1234.56, 7.89, "1235 ± 8"),
        (123456.7, 10.0, "123457 ± 10"),
        (-0.5, 0.25, "-0.5000 ± 0.2500"),
        (0.99996, 0.0, "1.0000 ± 0.0000"),
        (9.99999, 0.5, "10.000 ± 0.500"),
        (0.00874, 0.00032, "0.00874 ± 0.00032"),
        (0.0099996, 0.0, "0.01000 ± 0.00000"),
        (0.000874, 0.0012, "0.000874 ± 0.001200"),
        (0.0001, 0.0, "0.000100 ± 0.000000"),
        (3.2e-5, 1.1e-5, "3.20e-05 ± 1.10e-05"),
        (-1e-9, 0.0, "-1.00e-09 ± 0.00e+00"),
    ],
)
def test_scores_have_four_digits_and_small_ones_three(mean: float, std: float, shown: str) -> None:
    entry = entry_with(mae=Score(mean, std))
    assert score_text(entry, METRICS["mae"]) == shown
    assert score_text(entry, METRICS["rmse"]) == ""
    single = dataclasses.replace(entry, folds=1)
    assert score_text(single, METRICS["mae"]) == shown.split(" ")[0]  # one fold has no spread


def test_scores_with_best_value_one_always_have_four_decimals() -> None:
    entry = entry_with(r2=Score(-0.00237, 0.00162), f1=Score(3.2e-5, 1.1e-5), log_loss=Score(3.2e-5, 1.1e-5))
    assert score_text(entry, METRICS["r2"]) == "-0.0024 ± 0.0016"
    assert score_text(entry, METRICS["f1"]) == "0.0000 ± 0.0000"
    assert score_text(entry, METRICS["log_loss"]) == "3.20e-05 ± 1.10e-05"


@pytest.mark.parametrize(
    ("repetitions", "shown"),
    [
        ([(0, 0), (1, 0)], "2 (0,1)"),
        ([(3, 0), (1, 5)], "2 (1,3)"),  # other seeds, but one for each fold
        ([(0, 0), (0, 1), (1, 0), (1, 1)], "2 × 2 seeds (0,1)"),
        ([(0, 0), (0, 1), (1, 0)], "2 × 1–2 seeds (0,1)"),
        ([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 0), (2, 7)], "3 × 2–3 seeds (0,1,2)"),
        ([(fold, 0) for fold in range(5)], "5"),
    ],
)
def test_the_folds_cell_lists_the_number_of_seeds_and_the_folds_unless_all_are_done(
    repetitions: list[tuple[int, int]], shown: str
) -> None:
    (board,) = boards_of([record(fold=fold, seed=seed, task="mine") for fold, seed in repetitions])
    assert f"| full | {shown} |" in to_markdown([board])


# ---------------------------------------------------------------------- files


def test_files_are_written_atomically_and_replaced(tmp_path: Path, boards: list[Board]) -> None:
    folder = tmp_path / "new" / "folder"
    for made in (boards, boards[:1]):
        paths = write_leaderboards(made, folder)
        names = ["leaderboard.csv", "leaderboard.md", "pairs.csv", "across.csv"]
        assert [path.name for path in paths] == names
        assert paths[0].read_text(encoding="utf-8") == to_csv(made)
        assert paths[1].read_text(encoding="utf-8") == to_markdown(made)
        assert paths[2].read_text(encoding="utf-8") == pairs_to_csv(made)
        assert paths[3].read_text(encoding="utf-8") == across_to_csv(made)
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(CrystalBenchError, match="the leaderboard cannot be written"):
        write_leaderboards([], tmp_path / "results")


# ---------------------------------------------------------------------- screen


def rendered(board: Board, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(screen_table(board, width))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 100, 120, 160, 220])
def test_the_screen_table_fits_and_no_number_is_cut(boards: list[Board], width: int) -> None:
    large = boards_of(folds(123456.7, 654321.0, n_parameters=123_456_789, view="anonymous", task="large"))
    for board in [*boards, *large]:
        lines = rendered(board, width)
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert board.task in lines[0]
        for entry in board.entries:
            if entry.source == "ours":
                assert score_text(entry, METRICS[board.metric]) in text
        for line in lines:
            if "…" in line:  # only a name may be cut
                assert line.count("…") == 1
                assert "long_name" in line or "published" in line or line.index("…") < 42


@pytest.mark.parametrize("view", ["full", "anonymous"])
@pytest.mark.parametrize("width", [70, 80, 96, 100, 120])
def test_names_are_wrapped_only_at_spaces(width: int, view: str) -> None:
    names = ("descriptor_forest", "hybrid_diffraction")
    made = [tuned_record(label=name, task="mine", scheme="first_fold", view=view) for name in names]
    (board,) = boards_of([*made, *folds(2.0, 3.0, label=names[0], task="mine")])
    lines = rendered(board, width)
    assert max(map(len, lines)) <= width
    shown = [line[:40].split() for line in lines]
    for name in names:
        assert any(name in words for words in shown)


def test_names_use_all_width_that_the_numbers_leave() -> None:
    """A name that just fits is not wrapped, and the table is then as wide as the terminal."""
    (board,) = boards_of([tuned_record(1.0, label="two words", fold=fold, task="mine") for fold in range(5)])
    needed = max(map(len, rendered(board, 95)))
    lines = rendered(board, needed)
    assert max(map(len, lines)) == needed
    assert any("two words (tuned)" in line for line in lines)
    narrower = rendered(board, needed - 1)
    assert max(map(len, narrower)) < needed
    assert not any("two words (tuned)" in line for line in narrower)


def test_square_brackets_are_printed_literally() -> None:
    label = "cgcnn [/x] [wide]"
    (board,) = boards_of(folds(1.0, task="mine [red]", label=label, unit="[eV]"))
    text = "\n".join(rendered(board, 120))
    for part in ("mine [red] (", label, "MAE ([eV])"):
        assert part in text


def test_the_best_published_entry_counterparts_and_neighbours_are_shown() -> None:
    ours = {"cgcnn": 40.0, "magpie_forest": 52.0, "dummy": 324.0}
    made = [r for name, mae in ours.items() for r in folds(*[mae] * 5, model=name, label=name)]
    (board,) = boards_of(made)
    lines = rendered(board, 120)
    shown = [re.split(r"  +", line.strip())[1] for line in lines if line.rstrip().endswith("published")]
    # The best, the neighbours of our best, one more near it, and the counterparts of cgcnn and magpie_forest.
    assert shown[:1] == ["MegNet (kgcnn v2.1.0)"]
    assert {"SchNet (kgcnn v2.1.0)", "Finder_v1.2 composition-only version"} < set(shown)
    assert {"CGCNN v2019", "RF-SCM/Magpie"} < set(shown)
    assert len(shown) == 6
    assert "and 10 more published entries in leaderboard.md" in "\n".join(lines)
    assert "Published counterparts: CGCNN v2019 of cgcnn; RF-SCM/Magpie of magpie_forest." in notes(board)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_the_number_of_published_entries_can_be_chosen(boards: list[Board], count: int) -> None:
    names = [entry.model for entry in boards[1].entries if entry.source == "published"]
    table = screen_table(boards[1], 220, published=count)
    shown = [name.rstrip("‡") for name in map(str, table.columns[1].cells) if name.rstrip("‡") in names]
    assert len(shown) == min(count, len(names))
    assert shown[:1] == names[: min(count, 1)]


def test_the_view_is_shown_where_there_is_more_than_one(boards: list[Board]) -> None:
    _, whole, part = boards
    assert "anonymous" in "\n".join(rendered(whole, 120))
    assert "view" not in "\n".join(rendered(part, 120))


def test_wider_terminals_show_more_metrics(boards: list[Board]) -> None:
    assert "RMSE" not in "\n".join(rendered(boards[1], 80))
    assert "RMSE" in "\n".join(rendered(boards[1], 160))
    assert "parameters" in "\n".join(rendered(boards[1], 120))
