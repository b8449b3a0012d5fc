"""LaTeX tables: everything is text, rows have as many cells as titles, and the document compiles where LaTeX is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import record, repeatable
from hypothesis import given
from hypothesis import strategies as st

from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.reports.latex import board_latex, latex_text, pairs_latex, table_latex, write_latex
from crystalbench.results.frames import scores_frame

HOSTILE = r"a_b%$\input{x}&#~^<script>[\\]*--é±⁻¹α😀"


def boards_of(**entries: float) -> list[Board]:
    records = [
        record(score + 0.01 * fold + 0.001 * number * (-1) ** fold, task=task, label=label, model=label, fold=fold)
        for task in ("mine_%", "yours")
        for number, (label, score) in enumerate(entries.items())
        for fold in range(5)
    ]
    return leaderboards(scores_frame(records))


@pytest.fixture
def boards() -> list[Board]:
    return boards_of(**{HOSTILE: 1.0, "[b]": 2.0, "* c": 3.0, "dummy": 9.0})


def rows_of(table: str) -> list[list[str]]:
    """Cells of the rows between the rules."""
    inside = re.search(r"\\toprule\n(.*)\\bottomrule", table, re.DOTALL)
    assert inside
    lines = [line for line in inside[1].splitlines() if line != r"\midrule"]
    assert all(line.endswith(r" \\") for line in lines)
    return [re.split(r"(?<!\\) ?& ?", line.removesuffix(r" \\")) for line in lines]


def is_balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_every_text_is_printed_as_it_is() -> None:
    assert latex_text(r"a_b%$\input{x}") == r"a\_b\%\$\textbackslash{}input\{x\}"
    assert latex_text("cm⁻¹, H₂O, 10⁻³⁰") == "cm$^{-1}$, H$_{2}$O, 10$^{-30}$"
    assert latex_text("1.0 ± 0.1 − 2") == r"1.0 $\pm$ 0.1 $-$ 2"
    assert latex_text("αΓ Å é") == r"$\alpha$$\Gamma$ Å é"
    assert latex_text("a--b-c") == "a-{}-{}b-c"
    assert latex_text("😀\n\x00ħ") == "U+1F600 U+0000U+0127"
    assert latex_text('"') == r"\char34{}"


@given(st.text(max_size=30))
@repeatable(200)
def test_no_text_can_be_a_command(text: str) -> None:
    made = latex_text(text)
    assert is_balanced(made)
    left = re.sub(r"\\(char34|[a-zA-Z]+)(\{\})?|\\[&%$#_{}]|\$[^$]*\$", "", made)
    assert not re.search(r"[\\&%$#_^~]", left)
    assert all(" " <= c <= "~" or 0xA1 <= ord(c) < 0x180 for c in made)
    commands = set(re.findall(r"\\([a-zA-Z]+)", made))
    assert all(re.fullmatch(r"text[a-z]+|dots|[a-zA-Z]{2,7}", name) for name in commands)
    assert "input" not in commands


def test_a_board_has_a_row_for_each_entry(boards: list[Board]) -> None:
    table = board_latex(boards[0], "mine")
    titles, *rows = rows_of(table)
    assert titles[:5] == [r"\#", "model", "sees", "MAE (cm$^{-1}$)", "tier"]
    assert titles[5:] == ["folds", "parameters", "fit (s)", "source"]
    assert [len(row) for row in rows] == [len(titles)] * len(boards[0].entries)
    assert rows[0][3].startswith(r"\textbf{1.02")
    assert table.count(r"\textbf") == 1
    assert rows[0][1] == latex_text(HOSTILE)
    assert [row[4] for row in rows] == ["1", "2", "3", "4"]
    assert r"\label{tab:mine}" in table
    assert is_balanced(table)
    for line in table.splitlines():
        assert not line.startswith(("[", "*"))  # it would be an argument of the end of the row before


def test_the_pairs_are_those_resolved_against_the_best(boards: list[Board]) -> None:
    titles, *rows = rows_of(pairs_latex(boards[0], "mine-pairs"))
    assert titles[1] == f"minus {latex_text(HOSTILE)}"
    assert [row[0] for row in rows] == ["{[}b{]}", "{*} c", "dummy‡".replace("‡", "")]
    assert rows[0][1].startswith("+1.00")
    low, high = rows[0][2].split(" to ")
    assert float(low) < 1.0 < float(high)


def test_one_entry_alone_has_no_pairs() -> None:
    board = boards_of(alone=1.0)[0]
    assert pairs_latex(board, "x") == ""
    assert "tier" not in rows_of(board_latex(board, "x"))[0]


def test_an_empty_table_has_its_titles() -> None:
    table = table_latex(["a_b", "c"], [], "nothing", "tab:x", "lr")
    assert rows_of(table) == [[r"a\_b", "c"]]


def test_files_are_written_and_contained_in_a_document(boards: list[Board], tmp_path: Path) -> None:
    paths = write_latex(boards, tmp_path)
    names = [path.name for path in paths]
    assert names == ["mine_.tex", "mine_-pairs.tex", "yours.tex", "yours-pairs.tex", "across-1.tex", "tables.tex"]
    document = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert re.findall(r"\\input\{(.*)\}", document) == [path.stem for path in paths[:-1]]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_latex(boards, tmp_path)] == first
    (tmp_path / "file").touch()
    with pytest.raises(CrystalBenchError, match="the tables cannot be written"):
        write_latex(boards, tmp_path / "file")


@pytest.mark.skipif(not (shutil.which("pdflatex") or shutil.which("tectonic")), reason="there is no LaTeX")
def test_the_document_compiles(boards: list[Board], tmp_path: Path) -> None:
    write_latex(boards, tmp_path)
    program = ["pdflatex", "-halt-on-error"] if shutil.which("pdflatex") else ["tectonic"]
    done = subprocess.run([*program, "tables.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").exists()
