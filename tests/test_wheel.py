"""The wheel works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow

SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, copy / name)
    built = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(copy))
    (file,) = built.glob("crystalbench-*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel, which comes first on the path, so that the checkout's package is not found."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--target", str(folder), str(wheel))
    return folder


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def python(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_the_wheel_contains_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "src" / "crystalbench"
    expected = {
        f"crystalbench/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("crystalbench/")}
    assert packed == expected


def test_the_demo_runs_and_every_suite_is_known(site: Path, tmp_path: Path) -> None:
    where = python(site, tmp_path, "-c", "import crystalbench; print(crystalbench.__file__)").stdout
    assert where.startswith(str(site))
    demo = ("run", "--model", "dummy", "--model", "cgcnn", "--set", "epochs=1", "--limit", "60", "--fold", "0")
    done = python(site, tmp_path, "-m", "crystalbench", *demo)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "demo" / "leaderboard.csv").is_file()
    for suite in ("matbench", "matbench_small", "periodicity"):
        done = python(site, tmp_path, "-m", "crystalbench", "run", "--suite", suite, "--offline")
        assert done.returncode == 1
        assert "Unknown suite" not in done.stderr
        assert "data" in done.stderr, done.stderr


def test_fit_and_predict_work(site: Path, tmp_path: Path) -> None:
    fit = ("fit", "--task", "demo_bulk_modulus", "--limit", "60", "--model", "magpie_forest", "--set", "trees=5")
    assert python(site, tmp_path, "-m", "crystalbench", *fit, "--out", "model").returncode == 0
    done = python(site, tmp_path, "-m", "crystalbench", "predict", "model", "--formula", "CuAu", "--out", "p.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "p.csv").read_text().startswith("id,prediction")
