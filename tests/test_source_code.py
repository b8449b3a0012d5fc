from __future__ import annotations

import inspect
import sys
import textwrap
from pathlib import Path

import pytest

from crystalbench import plugins, source_code
from crystalbench.models import get_model, model_names

GROUP = "crystalbench.models"

PACKAGE = {
    "__init__.py": "",
    "models/__init__.py": "from pack.models.net import Net\nfrom pack.models.other import Other\n",
    "models/net.py": """
        from typing import TYPE_CHECKING

        import numpy
        from pack import tools
        from pack.arrays import Graph as G
        from pack.lazy import Layer
        from ..data.samples import Samples
        from . import base

        if TYPE_CHECKING:
            from pack.unused import Nothing


        def late():
            import pack.late
        """,
    "models/base.py": "import pack.data\n",
    "models/other.py": "",
    "tools.py": "",
    "arrays/__init__.py": "from pack.arrays.graph import Graph\nfrom pack.arrays.pattern import Pattern\nLIMIT = 3\n",
    "arrays/graph.py": "from pack.arrays import LIMIT\n",
    "arrays/pattern.py": "",
    "lazy/__init__.py": """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from pack.lazy.layer import Linear as Layer
            from pack.lazy.other import Other
        """,
    "lazy/layer.py": "",
    "lazy/other.py": "",
    "data/__init__.py": "",
    "data/samples.py": "",
    "late.py": "",
    "unused.py": "",
}


def write_package(folder: Path) -> Path:
    for name, text in PACKAGE.items():
        path = folder / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder / "pack"


def test_modules_behind_a_module_are_those_that_it_imports(tmp_path: Path) -> None:
    pack = write_package(tmp_path)
    found = source_code.modules_behind(pack / "models" / "net.py", {"pack": pack})
    expected = {
        "models.net",
        "models.base",
        "tools",
        "arrays.graph",
        "arrays",
        "arrays.pattern",
        "data",
        "data.samples",
    }
    assert set(found) == {f"pack.{name}" for name in expected | {"late", "lazy.layer"}}
    assert found["pack.arrays.graph"] == pack / "arrays" / "graph.py"


def test_a_re_exported_name_counts_as_the_module_that_defines_it(tmp_path: Path) -> None:
    pack = write_package(tmp_path)
    (pack / "arrays" / "graph.py").write_text("")
    found = source_code.modules_behind(pack / "models" / "net.py", {"pack": pack})
    assert not {"pack.arrays", "pack.arrays.pattern", "pack.models", "pack.models.other"} & set(found)


def digest_of(folder: Path) -> str:
    """The digest of the class ``mine.py:Mine`` of a folder, as in another process."""
    for cached in (source_code.code_digest, source_code._parsed):
        cached.cache_clear()
    sys.modules.pop(plugins.module_of_file(folder / "mine.py"), None)
    return source_code.code_digest(plugins.load(GROUP, "model", f"{folder / 'mine.py'}:Mine"))


def test_the_digest_changes_with_the_code_that_a_class_is_computed_by(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from crystalbench.models.dummy import Dummy\nclass Mine(Dummy):\n    def late(self):\n        import layers\n"
    )
    (tmp_path / "layers.py").write_text("")
    (tmp_path / "unrelated.py").write_text("")
    before = digest_of(tmp_path)
    assert len(before) == 64
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert digest_of(tmp_path) == before
    (tmp_path / "layers.py").write_text("# a comment\n")
    changed = digest_of(tmp_path)
    assert changed != before
    with (tmp_path / "mine.py").open("a") as file:
        file.write("# another comment\n")
    assert digest_of(tmp_path) not in (before, changed)


def test_the_digest_of_a_model_has_its_part_of_the_package() -> None:
    package = Path(plugins.__file__).parent
    for name in model_names():
        model = get_model(name)
        file = Path(inspect.getfile(model))
        found = source_code.modules_behind(file, {"crystalbench": package})
        assert {"crystalbench.models.model", "crystalbench.data.samples"} <= set(found)
        assert not {name.split(".")[1] for name in found} & {"cli", "reports", "runs", "testing"}
        assert len(source_code.code_digest(model)) == 64
    networks = source_code.modules_behind(package / "models" / "cgcnn.py", {"crystalbench": package})
    assert "crystalbench.models.training" in networks
    assert "crystalbench.models.forests.trees" not in networks


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nhelper = importlib.import_module('helper')\n",
        "from importlib import import_module\nhelper = import_module('helper')\n",
        "helper = __import__('helper')\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import helper\n",
        "try:\n    import helper\nexcept ImportError:\n    helper = None\n",
    ],
)
def test_modules_that_are_imported_in_other_ways_count(tmp_path: Path, text: str) -> None:
    for name, content in {"mine.py": text, "helper.py": "import deeper\n", "deeper.py": ""}.items():
        (tmp_path / name).write_text(content)
    found = source_code.modules_behind(tmp_path / "mine.py", {"": tmp_path})
    assert sorted(found) == ["deeper", "helper", "mine"]


def test_modules_for_type_checking_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper\n")
    (tmp_path / "helper.py").write_text("")
    assert sorted(source_code.modules_behind(tmp_path / "mine.py", {"": tmp_path})) == ["mine"]
