"""Configuration of Sphinx: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import crystalbench

project = "CrystalBench"
author = "The CrystalBench developers"
copyright = author
release = version = crystalbench.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "from_code"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {  # as the source writes them, not as numpy defines them
    name: name for name in ("npt.ArrayLike", "npt.NDArray", "ArrayLike", "NDArray", "Inputs", "Folds")
}
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "exclude-members": "__new__, __init__"}
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # a dataclass field is described in its class, once

html_theme = "furo"
html_title = f"CrystalBench {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]

_ARRAY = re.compile(r"(?:numpy\.)?ndarray\[tuple\[Any, (?:\.\.\.|…)\], (?:numpy\.)?dtype\[(?:numpy\.)?(\w+?)_?\]\]")
_ALIAS = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")


def _shorten_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [_ARRAY.sub(r"array of \1", line) for line in lines]


def _shorten_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    short = [None if text is None else _ALIAS.sub(r"\1", text) for text in (signature, returns)]
    return short[0], short[1]


def setup(app: Any) -> None:
    """Shorten array types in docstrings and signatures."""
    app.connect("autodoc-process-docstring", _shorten_docstring, priority=900)  # after napoleon
    app.connect("autodoc-process-signature", _shorten_signature)
