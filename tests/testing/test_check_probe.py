"""`check_probe` accepts the registered probes, and broken probes fail one check each."""

from __future__ import annotations

import itertools
from typing import ClassVar

import pandas as pd
import pytest

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.probes import Fitted, Probe, probe_names
from crystalbench.reports.sections import Section
from crystalbench.results import Results
from crystalbench.runs.plan import Plan, Selection
from crystalbench.runs.suite import Suite
from crystalbench.targets import Kind
from crystalbench.tasks import DataSources, Task
from crystalbench.testing import ContractError, check_probe


@pytest.mark.parametrize("name", probe_names())
def test_the_registered_probes_pass(name: str) -> None:
    report = check_probe(name)
    assert report.name == f"probe {name}"
    assert len(report.passed) == 8


class Largest(Probe):
    """The largest prediction on the test part."""

    name = "largest"
    description = "the largest prediction"
    tables: ClassVar[dict[str, tuple[str, ...]]] = {"largest": ("task", "largest")}

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        return pd.DataFrame({"value": fitted.predict(fitted.test)})

    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        if answers.empty:
            return {"largest": pd.DataFrame(columns=["task", "largest"])}
        return {"largest": answers.groupby("task")["value"].max().rename("largest").reset_index()}


class Misnamed(Largest):
    name = "the largest"


class Misplaced(Largest):
    position = "first"  # type: ignore[assignment]


class Twice(Largest):
    tables: ClassVar[dict[str, tuple[str, ...]]] = {"largest": ("task", "largest", "task")}


class Restless(Largest):
    calls = itertools.count()

    def plan(self, suite: Suite, selection: Selection, sources: DataSources, reading: object = None) -> Plan:
        plan = super().plan(suite, selection, sources)
        return Plan(plan.runs[next(self.calls) :], plan.tasks, plan.notes)


class Moody(Largest):
    calls = itertools.count()

    def ask(self, fitted: Fitted) -> pd.DataFrame:
        return super().ask(fitted) + next(self.calls)


class Forgetful(Largest):
    calls = itertools.count()

    def describe(self, task: Task) -> pd.DataFrame:
        return pd.DataFrame({"rows": [len(task) + next(self.calls)]})


class Picky(Largest):
    kinds = frozenset({Kind.MULTICLASS})


class OtherTable(Largest):
    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {name: table.assign(more=0) for name, table in super().evaluate(results, answers).items()}


class FirstOne(Largest):
    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        made = super().evaluate(results, answers)["largest"]
        return {"largest": made.assign(largest=answers["value"].iloc[0]) if len(made) else made}


class Careless(Largest):
    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        if len(answers):
            answers["value"] += 1
        return {"largest": super().evaluate(results, answers)["largest"].assign(largest=1.0)}


class Inventive(Largest):
    def evaluate(self, results: Results, answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
        found = super().evaluate(results, answers)["largest"]
        return {"largest": found if len(found) else pd.DataFrame([("t", 1.0)], columns=["task", "largest"])}


class Silent(Largest):
    def report(self, tables: object) -> list[Section]:
        return []


BROKEN = {
    Misnamed: ("name, description, version and tables are declared", "the largest"),
    Misplaced: ("name, description, version and tables are declared", "position = 'first'"),
    Twice: ("name, description, version and tables are declared", "different ones: task, largest, task"),
    Restless: ("plan has runs, the same ones each time", "other runs"),
    Moody: ("asked again answer the same", "the answers differ"),
    Forgetful: ("asked again answer the same", "the answers differ"),
    Picky: ("plan has runs, the same ones each time", "kinds must contain regression or binary"),
    OtherTable: ("tables are those declared, and not empty", "more"),
    FirstOne: ("order of results and answers has no influence", "largest differ"),
    Careless: ("results and answers are not modified", "answers differ"),
    Inventive: ("without results, the tables are empty", "largest has rows"),
    Silent: ("there is something to show", "must return sections"),
}


@pytest.mark.parametrize("probe", BROKEN, ids=lambda probe: probe.__name__)
def test_broken_probes_are_told_what_is_wrong(probe: type[Probe]) -> None:
    check, reason = BROKEN[probe]
    with pytest.raises(ContractError) as error:
        check_probe(probe)
    found = [text for title, text in error.value.failed.items() if check in title]
    assert found, error.value.failed
    assert reason in found[0]


def test_a_sound_probe_passes_and_what_is_none_is_refused() -> None:
    assert len(check_probe(Largest).passed) == 8
    with pytest.raises(UnknownNameError):
        check_probe("nonsense")
    with pytest.raises(ConfigError, match="not a subclass of Probe"):
        check_probe("crystalbench.probes:Fitted")
