"""Short names of stacks say what differs, and differ where stacks do."""

from __future__ import annotations

import doctest

import pytest
from helpers import record

from crystalbench.evaluation import stacks
from crystalbench.evaluation.leaderboard import leaderboards
from crystalbench.evaluation.stacks import short_members, split
from crystalbench.models import Stack
from crystalbench.results import Results

ONE = 'a@1(x=1, y="p + q, (r", z=null) + b@2()'


def test_the_example_holds() -> None:
    found = doctest.testmod(stacks)
    assert found.attempted == 1 and not found.failed


@pytest.mark.parametrize(
    ("other", "short"),
    [
        (ONE, ["a + b", "a + b"]),
        (ONE.replace("x=1", "x=2"), ["a(x=1) + b", "a(x=2) + b"]),
        (ONE.replace('y="p + q, (r"', "y=p"), ['a(y="p + q, (r") + b', "a(y=p) + b"]),
        (ONE.replace("b@2", "b@3"), ["a + b@2", "a + b@3"]),
        (ONE.replace(", z=null", ""), ["a(z=null) + b", "a + b"]),
        ("b@2() + a@1(x=1)", ['a(y="p + q, (r", z=null) + b', "b + a"]),
        ("a@1(x=1) + a@1(x=2)", ['a(x=1, y="p + q, (r", z=null) + b', "a(x=1) + a(x=2)"]),
    ],
)
def test_what_differs_is_shown(other: str, short: list[str]) -> None:
    assert short_members([ONE, other]) == short


@pytest.mark.parametrize("text", ["", "a", "a + b", "a@1() + b", "a@1(x)", ONE.replace("x=1, ", "x=1,")])
def test_texts_that_are_not_complete_are_kept(text: str) -> None:
    assert short_members([ONE, text]) is None


def test_texts_of_the_model_are_read() -> None:
    texts = [Stack(members=f"dummy + magpie_forest(trees={trees})").members for trees in (5, 6)]
    assert short_members(texts) == ["dummy + magpie_forest(trees=5)", "dummy + magpie_forest(trees=6)"]


def test_a_backslash_at_the_end_of_a_text_does_not_hide_the_quotation_mark() -> None:
    one, other = r'a@1(x="C:\\", y=1) + b@2()', r'a@1(x="C:\\\"+", y=1) + b@2()'
    assert list(split(one, "+")) == [r'a@1(x="C:\\", y=1) ', " b@2()"]
    assert list(split(other, "+")) == [r'a@1(x="C:\\\"+", y=1) ', " b@2()"]


def names(parameters: list[dict[str, object]], label: str = "stack") -> list[str]:
    records = [
        record(10.0 + k + fold, model="stack", label=label, fold=fold, parameters=own)
        for k, own in enumerate(parameters)
        for fold in range(5)
    ]
    (board,) = leaderboards(Results(records).scores)
    return [entry.model for entry in board.entries if entry.by_row]


def test_boards_name_stacks_by_what_differs_among_their_members() -> None:
    text = 'descriptor_forest@2(trees=500, bank=rich) + hybrid_sen@3(epochs={}, width=64, bank="a+b")'
    parameters: list[dict[str, object]] = [{"members": text.format(epochs), "inner": 3} for epochs in (100, 50)]
    parameters.append({"members": f"{text.format(50)} + dummy@1()", "inner": 5})
    assert names(parameters) == [
        "stack (descriptor_forest + hybrid_sen(epochs=100), inner=3)",
        "stack (descriptor_forest + hybrid_sen(epochs=50), inner=3)",
        "stack (descriptor_forest + hybrid_sen(epochs=50) + dummy, inner=5)",
    ]
    assert names(parameters[:1]) == ["stack (descriptor_forest + hybrid_sen)"]
    assert names(parameters[:1], "stack x3") == ["stack x3 (descriptor_forest + hybrid_sen)"]
    assert names(parameters[:1], "mine") == ["mine"]
    potential = [{"members": 'potential_forest@2(potential=sevennet, columns="cell") + dummy@1()'}]
    assert names(potential) == ["stack (potential_forest(potential=sevennet) + dummy)"]
    assert names([{"members": "unreadable"}]) == ["stack (unreadable)"]
    assert names([{"members": "dummy"}, {"members": "mine"}]) == ["stack (dummy)", "stack (mine)"]
