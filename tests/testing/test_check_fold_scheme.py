"""`check_fold_scheme` accepts the registered schemes, and broken schemes fail one check each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from crystalbench.errors import UnknownNameError
from crystalbench.tasks import Task
from crystalbench.tasks.folds import Folds
from crystalbench.tasks.schemes import FoldScheme, fold_schemes
from crystalbench.testing import ContractError, check_fold_scheme

EXAMPLES = {"element": "element:O"}


@pytest.mark.parametrize("name", fold_schemes())
def test_the_registered_schemes_pass(name: str) -> None:
    report = check_fold_scheme(EXAMPLES.get(name, name))
    assert len(report.passed) == 7
    assert report.name == f"fold scheme {name}"


@dataclass(frozen=True)
class Halves(FoldScheme):
    """By the first atomic number."""

    name: ClassVar[str] = "halves"
    description: ClassVar[str] = "light and heavy"
    z: int = 30

    def assign(self, task: Task) -> Folds:
        numbers = task.inputs.compositions().numbers[task.inputs.compositions().offsets[:-1]]
        return (numbers > self.z).astype(np.int16)


class Misnamed(Halves):
    name = "by: half"


class Silent(Halves):
    description = " "


@dataclass(frozen=True)
class Unwritable(Halves):
    of: tuple[str, ...] = ("O",)


class Gap(Halves):
    def assign(self, task: Task) -> Folds:
        return super().assign(task) * 2


class Everything(Halves):
    def assign(self, task: Task) -> Folds:
        return np.zeros(len(task), np.int16)


class Short(Halves):
    def assign(self, task: Task) -> Folds:
        return super().assign(task)[1:]


class Fractions(Halves):
    def assign(self, task: Task) -> Folds:
        return super().assign(task) + 0.5


class Drawn(Halves):
    def assign(self, task: Task) -> Folds:
        return np.array([random.randrange(2) for _ in range(len(task))])


class ByRow(Halves):
    def assign(self, task: Task) -> Folds:
        return np.arange(len(task)) % 2


class ByOfficialFold(Halves):
    def assign(self, task: Task) -> Folds:
        return (task.folds == 0).astype(np.int16) if (task.folds != 0).any() else super().assign(task)


class Modifies(Halves):
    def assign(self, task: Task) -> Folds:
        task.targets[:] += 1
        return super().assign(task)


NUMBERS, ORDER = "folds are numbered", "the order of the rows"


@pytest.mark.parametrize(
    ("scheme", "check", "reason"),
    [
        (Misnamed, "name, description", "letters, digits"),
        (Silent, "name, description", "in one line"),
        (Unwritable, "parameters can be written", "read again"),
        (Gap, NUMBERS, "from 0 to k - 1"),
        (Everything, NUMBERS, "training part"),
        (Short, NUMBERS, "an integer for each of the"),
        (Fractions, NUMBERS, "an integer for each of the"),
        (Drawn, "the same rows", "random state"),
        (ByRow, ORDER, "another order"),
        (ByOfficialFold, ORDER, "another order"),
        (Modifies, "the task is not modified", "differ afterwards"),
    ],
)
def test_a_broken_scheme_fails_the_check_of_what_it_breaks(scheme: type[Halves], check: str, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        check_fold_scheme(scheme())
    failed = next(title for title in caught.value.failed if title.startswith(check))
    assert reason in caught.value.failed[failed]


def test_a_scheme_without_flaws_passes_and_an_unknown_one_is_named() -> None:
    assert check_fold_scheme(Halves()).passed
    with pytest.raises(UnknownNameError, match="Did you mean 'formula'"):
        check_fold_scheme("formulas")
