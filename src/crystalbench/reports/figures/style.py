"""The style of all figures: sizes, colours and markers, and how they are saved."""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style as styles
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from crystalbench.evaluation.board import OURS, Board, Entry
from crystalbench.sees import Sees

WIDTH = 3.5
"""Width of a figure in inches: one column of a journal."""

FORMATS = ("pdf", "svg")
STYLE_FILE = "paper.mplstyle"

GREY = "#999999"
KINDS: dict[Sees, tuple[str, str]] = {
    Sees.NOTHING: (GREY, "X"),
    Sees.COMPOSITION: ("#E69F00", "o"),
    Sees.STRUCTURE: ("#56B4E9", "D"),
    Sees.STRUCTURE_AND_CHEMISTRY: ("#0072B2", "s"),
    Sees.EQUIVARIANT: ("#009E73", "^"),
    Sees.DESCRIPTORS: ("#D55E00", "v"),
    Sees.WITH_DESCRIPTORS: ("#CC79A7", "P"),
    Sees.PRETRAINED: ("#000000", "*"),
    Sees.UNDECLARED: (GREY, "h"),
}
"""Colour (Okabe and Ito) and marker of each kind of input, so that a figure can be read without colours."""

_WIDE = 4
"""Ratio of the largest to the smallest error from which an axis is logarithmic."""

_DATES: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""Metadata without the date, which would change the bytes of a file at every call."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the style of papers within a ``with`` block, whatever the settings of the caller."""
    file = importlib.resources.files("crystalbench.reports") / "data" / STYLE_FILE
    with importlib.resources.as_file(file) as path, mpl.rc_context():
        mpl.rcdefaults()
        styles.use(path)
        yield


def save(figure: Figure, path: Path) -> None:
    """Save a figure without its date; the ending of the path is the format."""
    figure.savefig(path, metadata=_DATES.get(path.suffix[1:]))


def marker(entry: Entry) -> dict[str, Any]:
    """How an entry is drawn: by what it sees; ours filled, others open."""
    colour, shape = KINDS[entry.sees]
    return {"color": colour, "marker": shape, "markerfacecolor": colour if entry.source == OURS else "white"}


def shortened(text: str, length: int = 30) -> str:
    """A name that fits next to an axis; the middle of a longer one is left out."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def is_wide(board: Board, entries: Sequence[Entry]) -> bool:
    """Whether the errors of entries are so different that their axis should be logarithmic."""
    means = [entry.scores[board.metric].mean for entry in entries]
    return not board.higher_is_better and min(means) > 0 and max(means) > _WIDE * min(means)


def log_axis(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with ticks at 1, 2 and 5 and labels without exponents where numbers are short."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}" if 1e-3 < value < 1e6 else f"{value:.0e}"))
    axis.set_minor_formatter(NullFormatter())
