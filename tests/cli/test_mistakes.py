"""Mistakes of the user are reported in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ENERGY, call, failed, small


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--suite", "dmeo"], "Unknown suite 'dmeo'. Did you mean 'demo'"),
        (["--suite", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["--task", "demo_formation_enrgy"], "Did you mean 'demo_formation_energy'"),
        (["--task", ENERGY, "--model", "cgcn"], "Unknown model 'cgcn'. Did you mean 'cgcnn'"),
        (["--task", ENERGY, "--model", "toys.py:Net"], "toys.py: there is no such file"),
        (["--task", ENERGY, "--fold", "7"], "has no fold 7"),
        (["--task", ENERGY, "--view", "anonymou"], "Unknown view 'anonymou'. Did you mean 'anonymous'"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "epoch=3"], "Did you mean 'epochs'"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "epochs=many"], "epochs = 'many'; it must be an integer"),
        (["--task", ENERGY, "--model", "cgcnn", "--set", "schedule=linear"], "it must be one of one_cycle"),
        (
            ["--task", ENERGY, "--model", "dummy", "--fold", "0", "--set", "shift=3"],
            "Unknown hyperparameter of dummy 'shift'",
        ),
        (
            ["--task", ENERGY, "--model", "magpie_forest", "--fold", "0", "--set", "max_features=Infinity"],
            "max_features",
        ),
        (["--task", ENERGY, "--data-dir", "nowhere"], "--data-dir nowhere: there is no such folder"),
        (["--task", ENERGY, "--data", "matbench_phonons"], "write TASK=PATH"),
        (["--task", "matbench_phonons", "--offline"], "put matbench_phonons.json.gz into"),
        (["--task", "nowhere.toml"], "nowhere.toml"),
        (["--task", ENERGY, "--model", "dummy", "--inner-folds", "3", "--ensemble", "4", "--fold", "0"], "inner folds"),
        (
            ["--task", ENERGY, "--model", "cgcnn", "--fold", "0", "--device", "cuda:99"],
            "device 'cuda:99' cannot be used",
        ),
        (["--task", ENERGY, "--model", "dummy", "--storage", "sqlite:///s.db"], "but nothing is tuned: add --tune"),
        (["--task", ENERGY, "--model", "dummy", "--tune", "0", "--storage", "sqlite:///s.db"], "nothing is tuned"),
    ],
    ids=range(20),
)
def test_mistakes_are_reported_in_one_line(arguments: list[str], says: str) -> None:
    failed(call("run", "--results", "results", "--limit", 60, "--threads", 1, *arguments), says)


def test_an_unwritable_results_folder_is_reported_before_any_work() -> None:
    Path("results").write_text("a file")
    failed(small("--model", "dummy"), "records cannot be written there", "give another --results")


@pytest.mark.parametrize("options", [(), ("--tune", 3), ("--workers", 2)], ids=["alone", "tuned", "workers"])
def test_a_missing_device_is_reported_before_any_work(options: tuple[object, ...]) -> None:
    result = small("--model", "cgcnn", "--device", "cuda:99", *options)
    failed(result, "error device 'cuda:99' cannot be used here: ")
    assert "runs, 0 of them done" not in result.output
    assert not Path("results").exists()


def test_seeds_are_not_negative() -> None:
    result = small("--model", "dummy", "--seed", -1)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.output
