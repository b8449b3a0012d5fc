"""The text of the members of a stack determines them completely, and can be read again."""

from __future__ import annotations

import pytest

from crystalbench.errors import ConfigError, UnknownNameError
from crystalbench.models.members import Member, parse_members


def test_the_complete_text_has_the_version_and_every_hyperparameter_and_is_read_again() -> None:
    member = Member.parse(" magpie_forest(trees=20) ")
    text = str(member)
    assert text == (
        f"magpie_forest@{member.model.version}(trees=20, min_samples_leaf=null, max_features=0.33, aggregate=median)"
    )
    assert Member.parse(text) == member


def test_values_are_json_or_text() -> None:
    (one, other) = parse_members('descriptor_forest(bank=gong28+magpie, trees=7) + hybrid(bank="gong28",loss=huber)')
    assert (one.parameters["bank"], one.parameters["trees"]) == ("gong28+magpie", 7)
    assert (other.parameters["bank"], other.parameters["loss"]) == ("gong28", "huber")
    assert parse_members(f"{one} + {other}") == (one, other)


def test_a_name_may_occur_twice() -> None:
    assert [member.name for member in parse_members("dummy + dummy")] == ["dummy", "dummy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dummy", "at least two members"),
        ("", "at least two members"),
        ("dummy + ", r"'dummy \+ ': a member is missing before or after a \+; write members as in"),
        ("dummy + cgcnn +", "a member is missing before or after"),
        ("+ dummy + cgcnn", "a member is missing before or after"),
        ("dummy + + cgcnn", "a member is missing before or after"),
        ("dummy + cgcnn(epochs=50,)", "a hyperparameter is missing before or after a comma"),
        ("dummy + cgcnn(epochs=50, epochs=60)", "the hyperparameter epochs is given twice in"),
        ("dummy + cgcnn(epochs)", "'epochs' is not a hyperparameter with its value"),
        ("dummy + cgcnn(epochs=50", "is not a member"),
        ("dummy + cgcnn(epochs=0)", "epochs = 0"),
        ("dummy@7 + dummy", r"dummy@7: this is version 1 of the model.* leave @7 out"),
        ("dummy + cgcnn(epoch=5)", "Did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_members(text)


def test_members_are_registered_models() -> None:
    with pytest.raises(UnknownNameError, match=r"registered model, which members have to be 'my_model\.py:Mine'"):
        parse_members("dummy + my_model.py:Mine")
    with pytest.raises(UnknownNameError, match="Did you mean 'magpie_forest'"):
        parse_members("dummy + magpie_forrest")
