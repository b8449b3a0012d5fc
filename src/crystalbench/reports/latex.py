"""Leaderboards as LaTeX tables for papers, with the rules of the package booktabs.

The layout is that of pandas' Styler. Texts are escaped here in one pass, since Styler leaves characters beyond ASCII as
they are, which pdflatex does not know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crystalbench._files import write_text
from crystalbench.errors import CrystalBenchError
from crystalbench.evaluation.across import groups_across
from crystalbench.evaluation.board import Board
from crystalbench.evaluation.significance import SIGNIFICANCE, holm
from crystalbench.reports.across import MODEL, across_table, ranks_text
from crystalbench.reports.boards import heading, marks, places, score_title
from crystalbench.reports.formatting import folds_text, format_spec, full_title, optional, score_text
from crystalbench.reports.names import file_stems
from crystalbench.reports.timing import seconds_text
from crystalbench.targets import METRICS

DOCUMENT = "tables.tex"
"""Name of the document that contains all tables."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # with packages for some languages, the character itself begins a command
    "[": "{[}",  # brackets and asterisks at the start of a row would be arguments of the end of the row before
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "−": "$-$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "·": r"$\cdot$",
    "–": r"\textendash{}",
    "…": r"\dots{}",
    "\n": " ",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_RAISED = {"⁻": "-", "⁺": "+"} | {
    unicodedata.lookup(f"SUPERSCRIPT {name}"): str(digit)
    for digit, name in enumerate(("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"))
}
_LOWERED = {chr(0x2080 + digit): str(digit) for digit in range(10)}
_SCRIPTS = re.compile(
    f"(?P<raised>[{''.join(_RAISED)}]+)|(?P<lowered>[{''.join(_LOWERED)}]+)|(?P<hyphens>--+)|(?P<other>.)", re.DOTALL
)
_LATIN = frozenset(map(chr, range(0xA1, 0x180))) - frozenset("ĦħĸĿŀŉŦŧſ")
"""Letters and signs that the font encoding T1 has, so that pdflatex knows them by their Unicode."""


def latex_text(text: str) -> str:
    r"""Text as LaTeX that prints it, whatever it contains.

    Characters for which there is no LaTeX are replaced by their code, such as ``U+1F600``.

    Example:
        >>> latex_text(r"a_b%$\input{x} (cm⁻¹)")
        'a\\_b\\%\\$\\textbackslash{}input\\{x\\} (cm$^{-1}$)'
    """

    def translated(found: re.Match[str]) -> str:
        if found["raised"]:
            return f"$^{{{''.join(_RAISED[c] for c in found['raised'])}}}$"
        if found["lowered"]:
            return f"$_{{{''.join(_LOWERED[c] for c in found['lowered'])}}}$"
        if found["hyphens"]:  # they would become a dash
            return "-{}" * len(found["hyphens"])
        return _character(found["other"])

    return _SCRIPTS.sub(translated, text)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~" or character in _LATIN:
        return character
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if greek and (letter := _greek(greek[2], greek[1] == "CAPITAL")):
        return f"${letter}$"
    return f"U+{ord(character):04X}"


def _greek(name: str, capital: bool) -> str:
    """Command of a Greek letter; empty for capitals that look like Latin ones, and for letters with accents."""
    name = {"LAMDA": "LAMBDA"}.get(name, name)
    commands = (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
    )
    capitals = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
    command = name.capitalize() if capital else name.lower()
    return f"\\{command}" if command in (capitals if capital else commands).split() else ""


def board_latex(board: Board, label: str) -> str:
    """A table of all entries of a board: rank, model, what it sees, score with tier, folds, parameters, time to fit.

    The best score is bold, if an entry is ranked.
    """
    metric = METRICS[board.metric]
    titles = ["#", "model", "sees", score_title(board, metric)]
    titles += [*["tier"] * board.has_tiers, "folds", "parameters", "fit (s)", "source"]
    rows = [
        [
            optional(place, ""),
            full_title(entry) + marks(board, entry),
            entry.sees.label,
            score_text(entry, metric),
            *[optional(board.tier_of(entry), "")] * board.has_tiers,
            folds_text(entry, board.folds_total),
            optional(entry.parameters, ","),
            seconds_text(board, entry),
            entry.source,
        ]
        for entry, place in zip(board.entries, places(board), strict=True)
    ]
    bold = {(i, 3) for i, place in enumerate(places(board)) if place == 1}
    parts = ["Scores are mean ± population standard deviation over the folds, the best in bold"]
    if board.has_tiers:
        parts.append("entries of one tier cannot be told from its best one (corrected t-test, Holm)")
    return table_latex(
        titles,
        rows,
        f"{heading(board)}. {'; '.join(parts)}.",
        f"tab:{label}",
        "rlll" + "r" * (len(titles) - 5) + "l",
        bold,
    )


def pairs_latex(board: Board, label: str) -> str:
    """A table of the entries that are resolved worse than the best one of a board; empty if nothing was tested."""
    best = next((i for i, place in enumerate(places(board)) if place == 1), None)
    if best is None or not board.has_tiers:
        return ""
    found, metric = board.pairs, METRICS[board.metric]
    ranked = np.array([place is not None for place in board.standings])
    chosen = np.flatnonzero(((found.a == best) | (found.b == best)) & ranked[found.a] & ranked[found.b])
    p_holm = holm(found.test.p[chosen])
    rows = []
    for k, corrected in zip(chosen, p_holm, strict=True):
        if corrected >= SIGNIFICANCE:
            continue
        other, sign = (found.b[k], -1) if found.a[k] == best else (found.a[k], 1)
        ends = sorted((sign * found.test.low[k], sign * found.test.high[k]))
        spec = format_spec(abs(found.test.mean[k]))
        texts = [f"{value:+{spec}}".replace("-", "−") for value in (sign * found.test.mean[k], *ends)]
        name = full_title(board.entries[other])
        rows.append([name, texts[0], f"{texts[1]} to {texts[2]}", f"{found.test.p[k]:.2g}", f"{corrected:.2g}"])
    first = full_title(board.entries[best])
    titles = ["model", f"minus {first}", "95 % interval", "p", "p (Holm)"]
    caption = (
        f"{heading(board)}. Entries whose {score_title(board, metric)} is resolved from that of the best, {first}, by "
        "the corrected t-test with Holm's correction for the comparisons with the best; "
        f"{len(p_holm) - len(rows)} of {len(p_holm)} others cannot be told from it."
    )
    return table_latex(titles, rows, caption, f"tab:{label}", "lrrrr")


def across_latex(boards: Sequence[Board]) -> list[str]:
    """A table for each group of entries that are ranked across tasks."""
    tables = []
    for number, group in enumerate(groups_across(boards)[0], 1):
        titles, rows = across_table(group, by_task=False)
        best = min(float(row[1]) for row in rows)
        bold = {(i, 1) for i, row in enumerate(rows) if float(row[1]) == best}
        caption = f"Errors as shares of the dummy's error. {ranks_text(group)}"
        assert titles[MODEL] == "model"
        tables.append(table_latex(titles, rows, caption, f"tab:across-{number}", "lrrrl", bold))
    return tables


def table_latex(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    label: str,
    columns: str,
    bold: Collection[tuple[int, int]] = (),
) -> str:
    """A table environment.

    Args:
        titles: titles of the columns, which are escaped, as all texts are.
        rows: cells of each row.
        caption: the caption.
        label: name for references; letters, digits, colons and hyphens.
        columns: alignment of the columns, e.g. ``lr``.
        bold: row and column of the cells in bold.
    """
    frame = pd.DataFrame([[latex_text(cell) for cell in row] for row in rows] or None, columns=range(len(titles)))
    styles = pd.DataFrame("", frame.index, frame.columns)
    for row, column in bold:
        styles.iloc[row, column] = "textbf:--rwrap"
    styler = frame.style.hide(axis="index").format_index(
        lambda column: latex_text(titles[int(str(column))]), axis="columns"
    )
    styler = styler.apply(lambda _: styles, axis=None)
    return styler.to_latex(
        hrules=True,
        position="htbp",
        position_float="centering",
        caption=latex_text(caption),
        label=label,
        column_format=columns,
    )


def write_latex(boards: Sequence[Board], folder: Path) -> list[Path]:
    """Write the tables of all boards, and a document that contains them.

    Returns:
        The files: ``TASK.tex`` and ``TASK-pairs.tex`` for each board, ``across-1.tex`` and so on, and ``tables.tex``.

    Raises:
        CrystalBenchError: the folder cannot be written.
    """
    files: dict[str, str] = {}
    for board, stem in zip(boards, file_stems(boards), strict=True):
        files[stem] = board_latex(board, stem)
        if text := pairs_latex(board, f"{stem}-pairs"):
            files[f"{stem}-pairs"] = text
    files |= {f"across-{number}": text for number, text in enumerate(across_latex(boards), 1)}
    inputs = "\n".join(f"\\input{{{stem}}}\n\\clearpage" for stem in files)
    document = (
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n\\usepackage{booktabs}\n"
        "\\usepackage[landscape,margin=1cm]{geometry}\n\\begin{document}\n\\footnotesize\n"
        f"{inputs}\n\\end{{document}}\n"
    )
    paths = [folder / f"{stem}.tex" for stem in files] + [folder / DOCUMENT]
    try:
        for path, text in zip(paths, [*files.values(), document], strict=True):
            write_text(path, text)
    except OSError as error:
        raise CrystalBenchError(f"{folder}: the tables cannot be written ({error.strerror or error})") from error
    return paths
