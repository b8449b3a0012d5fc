"""A page before it is rendered, and what several pages show alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from crystalbench.evaluation.board import Entry
from crystalbench.evaluation.tiers import Standing
from crystalbench.reports.formatting import full_title
from crystalbench.reports.site.charts import Chart
from crystalbench.reports.site.content import Content


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        address: file, relative to the folder of the site.
        template: name of the template.
        title: title of the page.
        values: what the template shows.
        charts: figures by the id of their element.
    """

    address: str
    template: str
    title: str
    values: dict[str, Any]
    charts: dict[str, Chart]

    @property
    def root(self) -> str:
        """The way from the folder of the page to the folder of the site."""
        return "../" * self.address.count("/")


PageMaker: TypeAlias = Callable[[Content], Sequence[Page]]
"""Makes the pages of one kind."""


def chart_dict(**charts: Chart | None) -> dict[str, Chart]:
    """The figures that exist."""
    return {name: chart for name, chart in charts.items() if chart is not None}


def tier_text(place: Standing | None) -> str:
    """Tier and interval of ranks: ``1 (ranks 1–4)``."""
    if place is None:
        return ""
    ranks = (
        f"rank {place.rank_low}" if place.rank_low == place.rank_high else f"ranks {place.rank_low}–{place.rank_high}"
    )
    return f"{place.tier} ({ranks})"


def entry_list(entries: Sequence[Entry], shown: int = 6) -> str:
    """Titles of entries in words: ``a, b and 3 others``."""
    titles = [full_title(entry) for entry in entries]
    if len(titles) > shown:
        titles = [*titles[: shown - 1], f"{len(titles) - shown + 1} others"]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
