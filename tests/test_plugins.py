from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crystalbench import plugins
from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models import model_names

GROUP = "crystalbench.models"


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[importlib.metadata.EntryPoint]]:
    """What is registered, to be filled by a test."""
    found: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    plugins.registered.cache_clear()
    yield found
    plugins.registered.cache_clear()


def entry(name: str, value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, value, GROUP)


def test_registered_objects_are_loaded(entries: list[importlib.metadata.EntryPoint]) -> None:
    entries.append(entry("path", "pathlib:Path"))
    assert list(plugins.registered(GROUP)) == ["path"]
    assert plugins.load(GROUP, "model", "path") is Path


def test_the_registered_name_of_an_object(entries: list[importlib.metadata.EntryPoint]) -> None:
    entries += [entry("path", "pathlib:Path"), entry("parser", "ast:parse"), entry("lost", "no_module:Path")]
    assert plugins.registered_name(GROUP, Path) == "path"
    assert plugins.registered_name(GROUP, importlib) is None


def test_a_name_registered_twice_names_both(entries: list[importlib.metadata.EntryPoint]) -> None:
    entries += [entry("net", "one:Net"), entry("net", "two:Net")]
    with pytest.raises(ConfigError, match="'net' is registered twice, for one:Net and two:Net"):
        plugins.registered(GROUP)


def test_the_same_entry_point_twice_is_accepted(entries: list[importlib.metadata.EntryPoint]) -> None:
    entries += [entry("net", "one:Net"), entry("net", "one:Net")]
    assert list(plugins.registered(GROUP)) == ["net"]


@pytest.mark.parametrize("value", ["no_such_package:Net", "pathlib:NoSuchClass"])
def test_the_error_about_a_broken_entry_point_names_its_object(
    entries: list[importlib.metadata.EntryPoint], value: str
) -> None:
    entries.append(entry("net", value))
    with pytest.raises(ConfigError, match=f"model 'net' is registered as {value} but cannot be loaded"):
        plugins.load(GROUP, "model", "net")


def test_the_error_about_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        plugins.load(GROUP, "model", "dumy")
    assert "Unknown model 'dumy'. Did you mean 'dummy'?" in str(caught.value)
    assert f"Known: {', '.join(model_names())}." in str(caught.value)


def test_files_and_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Mine:\n"
        "    width: int = 3\n"
    )
    mine = plugins.load(GROUP, "model", f"{file}:Mine")
    assert mine().width == 3
    assert plugins.load(GROUP, "model", f"{file}:Mine") is mine  # executed once
    monkeypatch.chdir(tmp_path)
    assert plugins.load(GROUP, "model", "mine.py:Mine") is mine
    assert plugins.load(GROUP, "model", "pathlib:Path") is Path


def test_files_that_were_edited_after_their_import_are_refused(tmp_path: Path) -> None:
    """Keys of runs contain the code in the file, which would not be the code that is executed."""
    file, helper = tmp_path / "edited.py", tmp_path / "helper_of_edited.py"
    contents = {file: "from helper_of_edited import width\n", helper: "width = 1\n"}
    for path, content in contents.items():
        path.write_text(content)
    assert plugins.load(GROUP, "model", f"{file}:width") == 1
    for path, content in contents.items():
        path.write_text(f"{content}other = 2\n")
        with pytest.raises(ConfigError, match=r"edited\.py: it, or a module of its folder .* restart Python"):
            plugins.load(GROUP, "model", f"{file}:width")
        path.write_text(content)
        assert plugins.load(GROUP, "model", f"{file}:width") == 1


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package of the user's that can be imported."""
    folder = tmp_path / "package_of_a_user"
    (folder / "parts").mkdir(parents=True)
    contents = {
        "__init__.py": "",
        "net.py": "from package_of_a_user.parts.layers import width\n",
        "parts/__init__.py": "",
        "parts/layers.py": "width = 1\n",
        "other.py": "",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def test_modules_of_packages_that_were_edited_after_their_import_are_refused(package: Path) -> None:
    place = "package_of_a_user.net:width"
    assert plugins.load(GROUP, "model", place) == 1
    (package / "other.py").write_text("unrelated = 1\n")
    assert plugins.load(GROUP, "model", place) == 1
    for name in ("net.py", "parts/layers.py"):
        content = (package / name).read_text()
        (package / name).write_text(f"{content}other = 2\n")
        with pytest.raises(ConfigError, match=r"net\.py: it, or a module of its .* restart Python"):
            plugins.load(GROUP, "model", place)
        (package / name).write_text(content)
        assert plugins.load(GROUP, "model", place) == 1


def test_a_module_that_was_reloaded_is_accepted(package: Path) -> None:
    place = "package_of_a_user.parts.layers:width"
    assert plugins.load(GROUP, "model", place) == 1
    (package / "parts" / "layers.py").write_text("width = 20\n")
    with pytest.raises(ConfigError, match="has changed since it was imported"):
        plugins.load(GROUP, "model", place)
    importlib.reload(sys.modules["package_of_a_user.parts.layers"])
    assert plugins.load(GROUP, "model", place) == 20


def test_a_class_of_the_running_script_is_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from crystalbench import plugins\n"
        "class Net: pass\n"
        "assert [plugins.load('crystalbench.models', 'model', '__main__:Net') for _ in range(2)] == [Net, Net]\n"
    )
    subprocess.run([sys.executable, str(script)], check=True)


def test_modules_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_this_folder.py").write_text("class Mine: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # restores sys.path afterwards
    monkeypatch.chdir(tmp_path)
    assert plugins.load(GROUP, "model", "module_of_this_folder:Mine").__name__ == "Mine"


def test_two_files_with_the_same_name_are_different_modules(tmp_path: Path) -> None:
    for folder, width in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(f"width = {width}\n")
    assert [plugins.load(GROUP, "model", f"{tmp_path / f / 'net.py'}:width") for f in ("one", "two")] == [1, 2]


@pytest.mark.parametrize(
    ("content", "attribute", "says"),
    [
        ("import no_such_package\n", "Net", "cannot be imported: ModuleNotFoundError: No module named"),
        ("1 / 0\n", "Net", "cannot be imported: ZeroDivisionError: division by zero"),
        ("def broken(:\n", "Net", "cannot be imported: SyntaxError"),
        ("class Network: pass\n", "Netwrk", "Did you mean 'Network'"),
    ],
)
def test_files_that_cannot_be_imported_are_named(tmp_path: Path, content: str, attribute: str, says: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(content)
    for _ in range(2):  # a failed import leaves nothing behind
        with pytest.raises(ConfigError, match=says):
            plugins.load(GROUP, "model", f"{file}:{attribute}")


def test_locations_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"net\.py:NAME"):
        plugins.load(GROUP, "model", "net.py")
    with pytest.raises(ConfigError, match=r"nowhere\.py: there is no such file"):
        plugins.load(GROUP, "model", "nowhere.py:Net")
    with pytest.raises(ConfigError, match="no_such_package cannot be imported"):
        plugins.load(GROUP, "model", "no_such_package:Net")


# ---------------------------------------------------------------------- modules next to a file


def write(folder: Path, **contents: str) -> str:
    """Write modules, and return the place of ``Mine`` in ``mine.py``."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.py").write_text(content)
    return f"{folder / 'mine.py'}:Mine"


def test_one_name_is_one_module_in_a_process(tmp_path: Path) -> None:
    """The second file would use the module of the first, and its key would name another one."""
    code = "from same_sibling import Mine\n"
    one = write(tmp_path / "one", mine=code, same_sibling="Mine = 1\n")
    two = write(tmp_path / "two", mine=code, same_sibling="Mine = 2\n")
    assert plugins.load(GROUP, "model", one) == 1
    with pytest.raises(ConfigError, match=r"two.*imports same_sibling, which is .*two.*, but .* that is .*one"):
        plugins.load(GROUP, "model", two)


def test_late_imports_of_one_name_are_refused_too(tmp_path: Path) -> None:
    code = "def Mine():\n    import late_sibling\n    return late_sibling.width\n"
    one = write(tmp_path / "one", mine=code, late_sibling="width = 1\n")
    two = write(tmp_path / "two", mine=code, late_sibling="width = 2\n")
    assert plugins.load(GROUP, "model", one)() == 1
    with pytest.raises(ConfigError, match=r"two.*imports late_sibling"):
        plugins.load(GROUP, "model", two)


@pytest.mark.parametrize("name", ["colorsys", "json", "pandas"])
def test_siblings_named_as_other_modules_are_refused(tmp_path: Path, name: str) -> None:
    place = write(tmp_path, mine=f"import {name}\nMine = {name}\n", **{name: ""})
    with pytest.raises(ConfigError, match=rf"mine\.py: imports {name}, which is .*{name}\.py, but .*rename"):
        plugins.load(GROUP, "model", place)


def test_a_late_import_of_an_installed_module_is_refused(tmp_path: Path) -> None:
    """Within a function, the folder is searched last."""
    assert "this_is_installed" not in sys.modules
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "this_is_installed.py").write_text("")
    sys.path.append(str(tmp_path / "site"))
    code = "def Mine():\n    import this_is_installed\n"
    try:
        with pytest.raises(ConfigError, match=r"imports this_is_installed of its folder, but that is also .*site"):
            plugins.load(GROUP, "model", write(tmp_path / "mine", mine=code, this_is_installed=""))
    finally:
        sys.path.remove(str(tmp_path / "site"))


def test_siblings_that_were_edited_between_two_files_are_refused(tmp_path: Path) -> None:
    code = "from edited_sibling import Mine\n"
    assert plugins.load(GROUP, "model", write(tmp_path, mine=code, edited_sibling="Mine = 1\n")) == 1
    write(tmp_path, other=code, edited_sibling="Mine = 2\n")
    with pytest.raises(ConfigError, match=r"edited_sibling\.py: has changed since it was imported; restart Python"):
        plugins.load(GROUP, "model", f"{tmp_path / 'other.py'}:Mine")


def test_siblings_of_a_failed_import_are_read_again(tmp_path: Path) -> None:
    place = write(tmp_path, mine="from failed_sibling import Mine\n1 / Mine\n", failed_sibling="Mine = 0\n")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        plugins.load(GROUP, "model", place)
    write(tmp_path, failed_sibling="Mine = 2\n")
    assert plugins.load(GROUP, "model", place) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("from .relative_sibling import Mine\n", "attempted relative import .* write 'import helper'"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
    ],
)
def test_what_a_file_cannot_do_is_said(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        plugins.load(GROUP, "model", write(tmp_path, mine=content, relative_sibling="Mine = 1\n"))
