"""The contract of probes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal

from crystalbench.probes import Probe, get_probe
from crystalbench.results.answers import FACTS, TASK_FACTS
from crystalbench.results.loading import Results
from crystalbench.testing._isolation import isolated, seed_all, unchanged_random_state
from crystalbench.testing._probe_case import ProbeCase
from crystalbench.testing.report import CheckFailure, Checks, Report, SkipCheck


def check_probe(probe: type[Probe] | str, /, *, verbose: bool = False) -> Report:
    """Check that a probe keeps the contract of all probes.

    The checks, with a quick model on a small task: name, description, version and tables are declared; the plan has
    runs, the same ones each time; models answer the same when they are asked again, in columns that can be stored; the
    tables are those declared, whatever the order of the results; nothing given to it is modified; without results there
    are empty tables; there is something to show. A probe with a suite of its own may refuse the model or the task.

    Args:
        probe: the class, its registered name, or its place.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the probe.
        UnknownNameError: there is no such probe.
        ConfigError: it is not a probe.

    Example:
        >>> check_probe("invariance").passed[0]
        'name, description, version and tables are declared'
    """
    __tracebackhide__ = True
    made = get_probe(probe) if isinstance(probe, str) else probe()
    case = ProbeCase(made)
    checks = Checks(f"probe {getattr(made, 'name', type(made).__name__)}", case, type(made), verbose=verbose)
    with isolated():
        checks.run("checks", CHECKS)
        return checks.report()


def _declared(case: ProbeCase) -> None:
    """Name, description, version and tables are declared."""
    probe = case.probe
    name, description = getattr(probe, "name", None), getattr(probe, "description", None)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise CheckFailure(f"name = {name!r}: use letters, digits and _ only")
    if not isinstance(description, str) or not description.strip() or "\n" in description:
        raise CheckFailure("description must say in one line what the probe finds out")
    if not isinstance(probe.version, int) or probe.version < 1:
        raise CheckFailure(f"version = {probe.version!r}: it must be a positive integer")
    if not isinstance(probe.position, int):
        raise CheckFailure(
            f"position = {probe.position!r}: it must be an integer; probes with lower ones are shown first"
        )
    tables = getattr(probe, "tables", None)
    if not tables:
        raise CheckFailure("tables must name at least one table with its columns")
    for table, columns in tables.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", table):
            raise CheckFailure(f"the table {table!r} is also the name of a file: use letters, digits and _ only")
        if not columns or len(set(columns)) != len(columns):
            raise CheckFailure(f"{table} must have columns, and different ones: {', '.join(columns)}")


def _plan(case: ProbeCase) -> None:
    """The plan has runs, the same ones each time."""
    runs = case.planned().runs
    if not runs:
        raise CheckFailure("it has none")
    seed_all(3)
    with unchanged_random_state("plan"):
        again = case.plan().runs
    if [run.spec.key for run in runs] != [run.spec.key for run in again]:
        raise CheckFailure("the second plan has other runs")


def _answers(case: ProbeCase) -> None:
    """Models and tasks that are asked again answer the same."""
    if not (case.probe.asks or case.probe.describes):
        return
    first = case.answers()
    if first.empty:  # the models of no run of this case are asked
        return
    if clash := set(FACTS if case.asks_models else TASK_FACTS) - set(first):
        raise CheckFailure(f"the answers lack {sorted(clash)[0]}")
    seed_all(3)
    with unchanged_random_state("ask" if case.asks_models else "describe"):
        _require_equal(first, case.answers(again=True), "the answers")


def _tables(case: ProbeCase) -> None:
    """The tables are those declared, and not empty.

    They may be empty if the probe evaluates a suite of its own.
    """
    _require_declared(case, case.tables())
    if not case.probe.suite and not any(len(table) for table in case.tables().values()):
        raise CheckFailure("all of them are empty")


def _order(case: ProbeCase) -> None:
    """The order of results and answers has no influence."""
    results, answers = case.results(), case.answers()
    other = Results(results.records[::-1])
    shuffled = answers.sample(frac=1, random_state=0, ignore_index=True) if len(answers) else answers
    for name, table in case.probe.evaluate(other, shuffled).items():
        _require_equal(_sorted(case.tables()[name]), _sorted(table), name)


def _unmodified(case: ProbeCase) -> None:
    """Results and answers are not modified."""
    results, answers = case.results(), case.answers()
    scores, before = results.scores.copy(), answers.copy()
    case.probe.evaluate(results, answers)
    _require_equal(scores, results.scores, "scores")
    _require_equal(before, answers, "answers")


def _nothing(case: ProbeCase) -> None:
    """Without results, the tables are empty."""
    tables = case.probe.evaluate(Results([]), pd.DataFrame())
    _require_declared(case, tables)
    if full := [name for name, table in tables.items() if len(table)]:
        raise CheckFailure(f"{full[0]} has rows")


def _report(case: ProbeCase) -> None:
    """There is something to show."""
    sections = case.probe.report(case.tables())
    if not (sections or case.probe.suite) or not all(
        section.heading and (section.titles or section.lines) for section in sections
    ):
        raise CheckFailure("report must return sections with a heading and a table or sentences")
    for section in sections:
        if any(len(row) != len(section.titles) for row in section.rows):
            raise CheckFailure(f"{section.heading}: a row has more or fewer cells than there are titles")
        section.to_markdown()


CHECKS: tuple[Callable[[ProbeCase], None], ...] = (
    _declared,
    _plan,
    _answers,
    _tables,
    _order,
    _unmodified,
    _nothing,
    _report,
)


def _require_declared(case: ProbeCase, tables: object) -> None:
    declared = getattr(case.probe, "tables", None)
    if not declared:
        raise SkipCheck
    if not isinstance(tables, dict) or not all(isinstance(table, pd.DataFrame) for table in tables.values()):
        raise CheckFailure("evaluate must return data frames by name")
    if set(tables) != set(declared):
        raise CheckFailure(f"evaluate makes {sorted(tables)}, and {sorted(declared)} are declared")
    for name, table in tables.items():
        if list(map(str, table)) != list(declared[name]):
            raise CheckFailure(f"{name} has the columns {list(map(str, table))}, and {list(declared[name])} declared")


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in an order that follows from their texts, since numbers may differ by round-off."""
    texts = [name for name in map(str, table) if table[name].dtype == object]
    return table.sort_values(texts, kind="stable", ignore_index=True) if texts else table


def _require_equal(one: pd.DataFrame, other: pd.DataFrame, what: str) -> None:
    try:
        assert_frame_equal(one, other, check_dtype=False, rtol=1e-6, atol=float(np.finfo(np.float32).eps))
    except AssertionError as error:
        raise CheckFailure(f"{what} differ: {str(error).splitlines()[0]}") from error
