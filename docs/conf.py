"""Configuration of Sphinx: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

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
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "exclude-members": "__new__, __init__"}
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # a dataclass field is described in its class, once

html_theme = "furo"
html_title = f"CrystalBench {release}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
