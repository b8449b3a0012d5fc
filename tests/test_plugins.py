from __future__ import annotations

import importlib.metadata
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


def test_modules_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_this_folder.py").write_text("class Mine: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # so that what is added to sys.path is taken away again
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
    with pytest.raises(ConfigError, match=r"nowhere\.py: there is no such file"):
        plugins.load(GROUP, "model", "nowhere.py:Net")
    with pytest.raises(ConfigError, match="no_such_package cannot be imported"):
        plugins.load(GROUP, "model", "no_such_package:Net")
