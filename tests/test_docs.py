"""The README and the pages of docs/ say what is so: their code is run, their TOML read, their API pages built."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crystalbench.cli.report import report
from crystalbench.cli.run import run
from crystalbench.models import get_model
from crystalbench.models.model import hyperparameter_types
from crystalbench.runs.suite import load_suite, parse_suite
from crystalbench.tasks import TableTaskSpec

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_IN_FULL = ("python", "console", "toml")
SHOWN_ONLY = ("text", "")  # output and diagrams
NOT_RUN = {
    "README.md": 3,
    "CONTRIBUTING.md": 1,
    "data.md": 2,
    "periodicity.md": 2,
    "plugin.md": 1,
    "quickstart.md": 3,
    "speed.md": 1,
    "tuning.md": 2,
}
"""Blocks that cannot be run, by page: a block can only be taken out by changing this on purpose."""

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- not (run|a task or a suite): (?P<reason>[^>]+) -->\n$")
_FILE = re.compile(r"^# ([\w.-]+\.(?:py|toml))$")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    body: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The name in the first line, where the block is a file."""
        found = _FILE.match(self.body.partition("\n")[0])
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        mark = _MARK.search(before)
        language = match["language"].strip()
        if not language.startswith("{"):  # a directive
            found.append(Block(page, before.count("\n") + 1, language, match["body"], mark["reason"] if mark else ""))
    return found


RUNNING = [page for page in PAGES if any(b.language in ("python", "console") and not b.reason for b in blocks_of(page))]


def test_every_block_is_run_or_says_why_not() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in RUN_IN_FULL + SHOWN_ONLY, f"{block.place}: nothing runs {block.language!r}"
    marked = {page.name: sum(bool(block.reason) for block in blocks_of(page)) for page in PAGES}
    assert {name: count for name, count in marked.items() if count} == NOT_RUN


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # --model and --view add the folder
    imported = set(sys.modules)
    namespace = types.ModuleType("documented")
    monkeypatch.setitem(sys.modules, "documented", namespace)  # dataclasses look their module up
    try:
        for block in blocks_of(page):
            if block.reason:
                continue
            if block.file_name:
                Path(block.file_name).write_text(block.body, encoding="utf-8")
            if block.language == "python":
                code = compile("\n" * block.line + block.body, str(page), "exec")
                exec(code, vars(namespace))
            if block.language == "console":
                run_console(block)
    finally:
        for name in set(sys.modules) - imported:
            if name.startswith("my_"):
                del sys.modules[name]


def run_console(block: Block) -> None:
    """Run the lines that begin with ``$``; the others are output."""
    lines = [line for line in block.body.splitlines() if line.startswith("$ ")]
    assert lines, f"{block.place}: a console block has lines that begin with '$ '"
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True)
        assert words[:2] == ["python", "-m"], f"{block.place}: {line} cannot be run; mark the block as not run"
        assert words[2] in ("benchmarks.run", "benchmarks.report"), f"{block.place}: {line}"
        command = run if words[2] == "benchmarks.run" else report
        options = words[3:]
        if command is run and "--list" not in options:
            options = made_small(options)
        program = typer.Typer(pretty_exceptions_enable=False)
        program.command()(command)
        result = CliRunner().invoke(program, options)
        assert result.exit_code == 0, f"{block.place}: {line}\n{result.output}\n{result.exception!r}"


def made_small(options: list[str]) -> list[str]:
    """The same command with one fold, few rows and little training, and without a network connection."""
    more = ["--fold", "0", "--limit", "100", "--offline", "--threads", "1"]
    models = values_of(options, "--model")
    names = models or [entry.name for entry in load_suite((values_of(options, "--suite") or ["demo"])[0]).entries()]
    for setting in ("epochs=2", "trees=5"):
        known = [setting.partition("=")[0] in hyperparameter_types(get_model(name)) for name in names]
        if any(known):
            more += ["--set", setting]
    return [*options, *more]


def values_of(options: list[str], name: str) -> list[str]:
    return [value for option, value in itertools.pairwise(options) if option == name]


TOML = [block for page in PAGES for block in blocks_of(page) if block.language == "toml" and not block.reason]


@pytest.mark.parametrize("block", TOML, ids=lambda block: block.place)
def test_toml_is_read_by_the_real_parsers(block: Block, tmp_path: Path) -> None:
    assert block.file_name, f"{block.place}: begin with a line such as '# my_task.toml'"
    file = tmp_path / block.file_name
    file.write_text(block.body, encoding="utf-8")
    if re.search(r"^tasks = ", block.body, re.MULTILINE):
        assert parse_suite(file).entries()
    else:
        assert TableTaskSpec.from_toml(file).name


def test_no_page_names_a_path_of_one_machine() -> None:
    found = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt)/|\.\./shared")
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        assert not found.search(page.read_text(encoding="utf-8")), page.name


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if target.startswith("results/"):
                continue  # made by runs
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# ---------------------------------------------------------------------- the storeys in CONTRIBUTING.md


def test_imports_go_down() -> None:
    text = next(b.body for b in blocks_of(ROOT / "CONTRIBUTING.md") if b.language == "text")
    storey = {room: level for level, line in enumerate(reversed(text.splitlines())) for room in line.split()}
    package = ROOT / "src" / "crystalbench"
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert rooms - {"__init__"} == set(storey)
    wrong = []
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        imported = imported_rooms(ast.parse(file.read_text(encoding="utf-8")).body) & set(storey)
        above = sorted(other for other in imported - {room} if storey[other] >= storey[room])
        wrong += [f"{file.relative_to(package)} imports {other}" for other in above]
    assert not wrong


def imported_rooms(body: list[ast.stmt]) -> set[str]:
    """Rooms that a module imports, also within functions, but not for type checking only."""
    rooms: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.module == "crystalbench":
                rooms |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crystalbench."):
                rooms.add(str(node.module).split(".")[1])
            elif isinstance(node, ast.Import):
                rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("crystalbench.")}
    return rooms


# ---------------------------------------------------------------------- the built pages


def test_pages_build_without_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "doctrees")]
    built = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "html")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    models = (tmp_path / "html" / "models.html").read_text(encoding="utf-8")
    assert "min_samples_leaf" in models  # the tables from the code are there
