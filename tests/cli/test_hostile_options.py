"""Wrong options and files end a command in one message, and nothing is ignored."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pandas as pd
import pytest
from commands import ENERGY, call, failed

from crystalbench.data.compositions import Compositions
from crystalbench.results.sealed import seal
from crystalbench.runs.final import FinalModel

DUMMY = ("run", "--task", ENERGY, "--limit", 60, "--model", "dummy", "--fold", 0, "--results", "r")
FIT = ("fit", "--task", ENERGY, "--limit", 60, "--model", "magpie_forest", "--set", "trees=3")


def refusal(*arguments: object) -> str:
    """What a command says that ends with an error."""
    result = call(*arguments)
    failed(result)
    return str(result.output)


@pytest.mark.parametrize("option", [("--seed", 2**70), ("--threads", 10**9), ("--workers", 10**9)])
def test_huge_numbers_are_refused_before_any_run(option: tuple[str, int]) -> None:
    result = call(*DUMMY, *option)
    failed(result, f"= {option[1]}", "must be")
    assert not Path("r").exists()


def test_an_empty_suite_is_not_the_default_suite() -> None:
    assert "''" in refusal("run", "--suite", "", "--results", "r")


def test_a_hyperparameter_that_is_set_twice_is_refused() -> None:
    text = refusal(*DUMMY, "--set", "trees=3", "--set", "trees=4")
    assert "--set trees is given more than once" in text


@pytest.mark.parametrize("content", [None, b"\xff\xfe<!-- results -->"])
def test_a_readme_that_cannot_be_read_is_named(content: bytes | None) -> None:
    assert call(*DUMMY).exit_code == 0
    if content is not None:
        Path("PAGE.md").write_bytes(content)
    assert "PAGE.md: cannot be read" in refusal("report", "--results", "r", "--readme", "PAGE.md")


def test_fit_checks_device_and_folder_before_it_fits() -> None:
    assert "device 'quantum'" in refusal(*FIT, "--device", "quantum", "--out", "m")
    Path("file").touch()
    assert "file is not a folder" in refusal(*FIT, "--out", "file/m")
    Path("link").symlink_to("nowhere")
    assert "exists already" in refusal(*FIT, "--out", "link")


def test_predict_refuses_options_that_it_would_ignore() -> None:
    assert call(*FIT, "--out", "m").exit_code == 0
    pd.DataFrame({"name": ["x", "y"], "formula": ["Cu", "Au"]}).to_csv("t.csv", index=False)
    assert "nope" in refusal("predict", "m", "t.csv", "--id", "nope")
    assert "--id name" in refusal("predict", "m", "--formula", "Cu", "--id", "name")
    assert "--id is empty" in refusal("predict", "m", "t.csv", "--id", "")
    assert "overwrite" in refusal("predict", "m", "t.csv", "--out", "t.csv")
    assert "device 'quantum'" in refusal("predict", "m", "t.csv", "--device", "quantum")
    assert call("predict", "m", "t.csv", "--id", "name", "--out", "p.csv").exit_code == 0
    assert list(pd.read_csv("p.csv")["id"]) == ["x", "y"]
    Path("t.csv").write_text("id,formula\n")
    assert "t.csv: has no rows" in refusal("predict", "m", "t.csv")


@pytest.mark.parametrize(("field", "value"), [("rows", 7), ("view", "unit_density"), ("members", 0)])
def test_an_edited_final_model_is_refused(field: str, value: object) -> None:
    assert call(*FIT, "--out", "m").exit_code == 0
    file = Path("m/final.json")
    body = json.loads(file.read_text())
    file.write_text(json.dumps(body | {field: value}))
    assert "final.json: is damaged" in refusal("predict", "m", "--formula", "Cu")


def test_a_final_model_of_another_format() -> None:
    assert call(*FIT, "--out", "m").exit_code == 0
    file = Path("m/final.json")
    body = json.loads(file.read_text())
    file.write_text(json.dumps(body | {"format": 99}))
    assert "has format 99" in refusal("predict", "m", "--formula", "Cu")
    del body["digest"]
    file.write_text(json.dumps(body | {"format": 1}))  # format 1 had no digest
    assert FinalModel.load("m").description.rows == 60
    old = {name: value for name, value in body.items() if name not in ("elements", "spread")}
    file.write_text(seal(old | {"format": 2}))  # format 2 had no elements
    final = FinalModel.load("m")
    assert final.description.elements is None
    assert final.new_elements(Compositions.from_formulas(["Pu"])) == {}
    assert call("predict", "m", "--formula", "Cu").exit_code == 0  # format 3 had no spread


def test_a_full_disk_is_reported_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("crystalbench.cli.listing.print_lists", full)
    assert "the disk is full" in refusal("list")
