"""Render the pages and write them as files that need no server."""

from __future__ import annotations

import importlib.resources
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from crystalbench._files import write_bytes, write_text
from crystalbench.errors import ConfigError, CrystalBenchError
from crystalbench.reports.site.charts import KIND_COLOURS
from crystalbench.reports.site.content import Content
from crystalbench.reports.site.pages.model import model_pages
from crystalbench.reports.site.pages.more import cost_pages, information_pages, method_pages, model_list_pages
from crystalbench.reports.site.pages.overview import overview_pages
from crystalbench.reports.site.pages.page import Page, PageMaker
from crystalbench.reports.site.pages.task import task_pages

PAGES: tuple[PageMaker, ...] = (
    overview_pages,
    task_pages,
    model_list_pages,
    model_pages,
    information_pages,
    cost_pages,
    method_pages,
)

MENU = (
    ("index.html", "Overview"),
    ("models.html", "Models"),
    ("information.html", "Information"),
    ("costs.html", "Costs"),
    ("method.html", "Method"),
)

ASSETS = "assets"
"""Folder of the style sheet and scripts."""
PLOTLY = "plotly.min.js"
MARKER = ".crystalbench-site"
"""File by which a folder is known to be a site, which may be replaced."""


def write_site(content: Content, folder: Path) -> list[Path]:
    """Write the site, replacing one that was written before.

    The same content gives the same files, byte by byte. All text is escaped.

    Args:
        content: what it shows.
        folder: folder of the site; a new or empty one, or one of an earlier site.

    Returns:
        The pages.

    Raises:
        ConfigError: the folder contains other files.
        CrystalBenchError: it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigError(f"{folder}: is not empty and not a site of CrystalBench; name a new folder")
    pages = [page for maker in PAGES for page in maker(content)]
    texts = dict(zip((page.address for page in pages), _rendered(pages), strict=True))
    try:
        if folder.exists():
            shutil.rmtree(folder)
        for address, text in texts.items():
            write_text(folder / address, text)
        for name, data in _assets():
            write_bytes(folder / ASSETS / name, data)
        write_text(folder / MARKER, "Written by crystalbench report --site; replaced as a whole by the next one.\n")
    except OSError as error:
        raise CrystalBenchError(f"{folder}: the site cannot be written ({error.strerror or error})") from error
    return [folder / address for address in texts]


def _rendered(pages: list[Page]) -> Iterator[str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crystalbench.reports.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}
    environment.filters["breakable"] = _breakable
    environment.globals |= {"menu": MENU, "colours": {kind.value: colour for kind, colour in KIND_COLOURS.items()}}
    for page in pages:
        template = environment.get_template(page.template)
        shared = {"title": page.title, "root": page.root, "address": page.address, "charts": page.charts}
        yield template.render(**page.values, **shared) + "\n"


def _breakable(name: str) -> Markup:
    """A name, escaped, that may be broken after underscores, brackets and equals signs."""
    parts = re.split(r"(?<=[_=])|(?<=\w\()", name)  # not between a blank and a bracket
    return Markup("<wbr>").join(escape(part) for part in parts if part)


def _assets() -> Iterator[tuple[str, bytes]]:
    """The style sheet, our script, and Plotly's (MIT licence, whose notice is its first line)."""
    from plotly.offline import get_plotlyjs

    static = importlib.resources.files("crystalbench.reports.site") / "static"
    for name in ("site.css", "site.js"):
        yield name, (static / name).read_bytes()
    yield PLOTLY, get_plotlyjs().encode("utf-8")
