"""Tests of the README and of docs/: their code runs, their TOML files are valid, links resolve, and Sphinx builds."""

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
from typer.testing import CliRunner

from crystalbench.cli.app import app
from crystalbench.models import get_model
from crystalbench.models.model import hyperparameter_types
from crystalbench.runs.suite import load_suite, parse_suite
from crystalbench.tasks import TableTaskSpec

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("python", "console", "toml")
NOT_CODE = ("text", "")  # output and diagrams
NOT_RUN = {
    "README.md": 4,
    "CONTRIBUTING.md": 1,
    "clusters.md": 2,
    "data.md": 2,
    "genome.md": 3,
    "leaderboard.md": 1,
    "periodicity.md": 4,
    "probes.md": 2,
    "plugin.md": 1,
    "potentials.md": 2,
    "quickstart.md": 4,
    "reproducibility.md": 2,
    "speed.md": 4,
    "tuning.md": 3,
    "views.md": 1,
}
"""Number of blocks marked as not run, by page. To exclude another block, change its page's number here."""

PROGRAMS = {
    ("crystalbench",): [],
    ("python", "-m", "crystalbench"): [],
    ("python", "-m", "benchmarks.run"): ["run"],
    ("python", "-m", "benchmarks.report"): ["report"],
}
"""Programs that a console block may call, and the arguments of `crystalbench` that they stand for."""

SMALL = ("--fold", "0", "--limit", "100", "--offline", "--threads", "1")
"""Options that make a run small enough for a test."""

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- not (run|a task or a suite): (?P<reason>[^>]+) -->\n$")
_FILE = re.compile(r"^# ([\w.-]+\.(?:py|toml))$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``reason`` says why it is not run."""

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
        """The name in the first line, such as ``# my_task.toml``, if there is one."""
        found = _FILE.match(self.body.partition("\n")[0])
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        mark = _MARK.search(before)
        language = match["language"].strip()
        if not language.startswith("{"):  # not a directive
            found.append(Block(page, before.count("\n") + 1, language, match["body"], mark["reason"] if mark else ""))
    return found


RUNNING = [page for page in PAGES if any(b.language in ("python", "console") and not b.reason for b in blocks_of(page))]


def test_every_block_is_run_or_marked_as_not_run() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in RUN + NOT_CODE, f"{block.place}: blocks of {block.language!r} cannot be run"
    marked = {page.name: sum(bool(block.reason) for block in blocks_of(page)) for page in PAGES}
    assert {name: count for name, count in marked.items() if count} == NOT_RUN


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_page_runs_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = types.ModuleType("documented")
    monkeypatch.setitem(sys.modules, "documented", namespace)  # dataclasses look up their module
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


def run_console(block: Block) -> None:
    """Run the lines that begin with ``$``; other lines are output."""
    lines = [line for line in block.body.splitlines() if line.startswith("$ ")]
    assert lines, f"{block.place}: a console block needs lines that begin with '$ '"
    for line in lines:
        arguments = arguments_of(line)
        assert arguments is not None, f"{block.place}: {line} cannot be run; mark the block as not run"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{block.place}: {line}\n{result.output}\n{result.exception!r}"


def arguments_of(line: str) -> list[str] | None:
    """Arguments of `crystalbench` for a console line, with runs made small; None for another program."""
    words = shlex.split(line.removeprefix("$ "), comments=True)
    for program, command in PROGRAMS.items():
        if tuple(words[: len(program)]) == program:
            arguments = [*command, *words[len(program) :]]
            if "--slices" in arguments:
                return [*arguments, *SMALL[2:4]]  # of the rows of the small runs
            is_run = arguments[:1] in (["run"], ["probe"]) and not {"--list", "--help"} & set(arguments)
            return made_small(arguments) if is_run else arguments
    return None


def made_small(arguments: list[str]) -> list[str]:
    """The same command with one fold, few rows, little training and no network connection."""
    more = list(SMALL)
    models = values_of(arguments, "--model")
    names = models or [entry.name for entry in load_suite((values_of(arguments, "--suite") or ["demo"])[0]).entries()]
    for name, value in {"epochs": "2", "trees": "5"}.items():
        places = [i for i, argument in enumerate(arguments) if argument.startswith(f"{name}=")]
        if places:
            arguments[places[0]] = f"{name}={value}"
        elif any(name in hyperparameter_types(get_model(model)) for model in names):
            more += ["--set", f"{name}={value}"]
    return [*arguments, *more]


def values_of(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name == option]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("$ crystalbench run --model dummy", ["run", "--model", "dummy", *SMALL]),
        (
            "$ python -m crystalbench run --model magpie_forest",
            ["run", "--model", "magpie_forest", *SMALL, "--set", "trees=5"],
        ),
        ("$ python -m benchmarks.run --model cgcnn", ["run", "--model", "cgcnn", *SMALL, "--set", "epochs=2"]),
        ("$ crystalbench run --model cgcnn --set epochs=20", ["run", "--model", "cgcnn", "--set", "epochs=2", *SMALL]),
        ("$ python -m benchmarks.run --list", ["run", "--list"]),
        ("$ python -m benchmarks.report --results r", ["report", "--results", "r"]),
        ("$ crystalbench predict 'my model' x.cif  # a comment", ["predict", "my model", "x.cif"]),
        ("$ crystalbench probe information --model dummy", ["probe", "information", "--model", "dummy", *SMALL]),
        ("$ crystalbench --help", ["--help"]),
        ("$ python -m pip install x", None),
        ("$ make test", None),
    ],
)
def test_console_lines_are_arguments_of_the_command(line: str, arguments: list[str] | None) -> None:
    assert arguments_of(line) == arguments


def test_a_console_line_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_console(Block(ROOT / "page.md", 1, "console", "$ crystalbench --version\n0.0\n", ""))
    for line in (
        "$ crystalbench run --task nonsense --model dummy",
        "$ crystalbench no-such-command",
        "$ ls",
        "no dollar",
    ):
        with pytest.raises(AssertionError, match=r"page\.md:1"):
            run_console(Block(ROOT / "page.md", 1, "console", f"{line}\n", ""))


TOML = [block for page in PAGES for block in blocks_of(page) if block.language == "toml" and not block.reason]


@pytest.mark.parametrize("block", TOML, ids=lambda block: block.place)
def test_toml_files_are_valid(block: Block, tmp_path: Path) -> None:
    assert block.file_name, f"{block.place}: the first line must be a file name such as '# my_task.toml'"
    file = tmp_path / block.file_name
    file.write_text(block.body, encoding="utf-8")
    if re.search(r"^tasks = ", block.body, re.MULTILINE):
        assert parse_suite(file).entries()
    else:
        assert TableTaskSpec.from_toml(file).name


def test_no_page_contains_a_path_of_a_particular_machine() -> None:
    found = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt)/|\.\./shared")
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        assert not found.search(page.read_text(encoding="utf-8")), page.name


def test_links_between_pages_resolve() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if target.startswith("results/"):
                continue  # written by runs
            assert (page.parent / target).exists(), f"{page.name}: {target}"


# ---------------------------------------------------------------------- the layers in CONTRIBUTING.md


def test_packages_import_only_lower_layers() -> None:
    text = next(b.body for b in blocks_of(ROOT / "CONTRIBUTING.md") if b.language == "text")
    layer = {name: level for level, line in enumerate(reversed(text.splitlines())) for name in line.split()}
    root = ROOT / "src" / "crystalbench"
    packages = {path.stem for path in root.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert {name for name in packages if not name.startswith("__")} == set(layer)
    wrong = []
    for file in sorted(root.rglob("*.py")):
        package = file.relative_to(root).parts[0].removesuffix(".py")
        if package.startswith("__"):
            continue
        imported = imported_packages(ast.parse(file.read_text(encoding="utf-8")).body) & set(layer)
        above = sorted(other for other in imported - {package} if layer[other] >= layer[package])
        wrong += [f"{file.relative_to(root)} imports {other}" for other in above]
    assert not wrong


def imported_packages(body: list[ast.stmt]) -> set[str]:
    """Packages below `crystalbench` that a module imports, also within functions, but not only for type checking."""
    packages: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom) and node.module == "crystalbench":
                packages |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crystalbench."):
                packages.add(str(node.module).split(".")[1])
            elif isinstance(node, ast.Import):
                packages |= {a.name.split(".")[1] for a in node.names if a.name.startswith("crystalbench.")}
    return packages


# ---------------------------------------------------------------------- Sphinx


@pytest.mark.slow
def test_pages_build_without_warnings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(tmp_path / "doctrees")]
    built = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "html")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    models = (tmp_path / "html" / "models.html").read_text(encoding="utf-8")
    assert "min_samples_leaf" in models  # generated from the code
