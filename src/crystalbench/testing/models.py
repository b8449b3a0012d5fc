"""The contract of models."""

from __future__ import annotations

from typing import Any

from crystalbench.errors import ConfigError
from crystalbench.models import Embeds, Invariance, Model, Sees, get_model
from crystalbench.plugins import require_extra
from crystalbench.testing import (
    _model_behaviour,
    _model_declaration,
    _model_embedding,
    _model_saving,
    _model_sees,
    _model_symmetry,
)
from crystalbench.testing._isolation import isolated
from crystalbench.testing._model_case import ModelCase
from crystalbench.testing.report import Checks, Report

_CONSTANT = "all crystals are predicted the same, so the checks of independence and symmetry mean nothing"
_UNDECLARED = "it does not declare what it sees (sees = Sees....), so leaderboards list it as undeclared"
_NOT_SAVED = "it cannot be saved, since it defines neither state nor restore"


def check_model(model: type[Model] | str, /, *, verbose: bool = False, **parameters: Any) -> Report:
    """Check that a model keeps the contract of all models.

    The model is fitted to a few small crystals. Common hyperparameters such as ``epochs``, ``trees`` and ``width`` are
    reduced to make that fast, unless they are given. A failed check does not stop the others.

    The checks:

    * class: declarations are valid, hyperparameters documented, defaults and bounds of the search space accepted, wrong
      values refused;
    * fitting and prediction: every declared kind of target; the same seed gives the same result; rows are independent;
      inputs that are not declared have no influence; nothing is modified; edge cases are predicted;
    * symmetry: the order of the atoms, their periodic images and the origin of the cell have no influence, and neither
      have the declared `Model.invariances`;
    * what it sees: a model that declares no chemistry predicts the same if all elements are exchanged for others, and
      one that declares no structure if all atoms are moved into other cells (`Model.sees`). More than that is not
      checked. A model that declares nothing passes with a note;
    * embeddings, of a model that has them (`crystalbench.models.Embeds`): a vector per row, which depends on no other
      row; reading them, or those of the untrained model, changes nothing;
    * saving: the loaded model predicts the same. A model that defines neither ``state`` nor ``restore`` passes with a
      note.

    Limit: the checks see the crystals of `crystalbench.testing.crystals` only. A model that fails on other crystals
    passes.

    Args:
        model: a class, a registered name, ``package.module:Class`` or ``path/to/file.py:Class``.
        verbose: whether the error message contains tracebacks.
        **parameters: hyperparameters.

    Returns:
        The checks, all of which passed, and how much predictions change under invariances that are not declared.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the model.
        ConfigError: the model cannot be found, needs an extra that is not installed, or does not accept the
            hyperparameters.

    Example:
        >>> report = check_model("dummy")
        >>> "same seed, same result" in report.passed
        True
    """
    __tracebackhide__ = True
    model_class = get_model(model) if isinstance(model, str) else model
    if not (isinstance(model_class, type) and issubclass(model_class, Model)):
        raise ConfigError(f"check_model({model!r}): give a subclass of crystalbench.models.Model, or its name or place")
    require_extra(model_class.extra, model_class.__name__)
    case = ModelCase(model_class, parameters)
    checks = Checks(model_class.__name__, case, model_class, verbose=verbose)
    with isolated():
        if parameters:
            model_class.from_configuration(parameters)  # a mistake of the caller, not of the model
        checks.run("class", _model_declaration.CHECKS)
        checks.run("fitting and prediction", _model_behaviour.CHECKS)
        declared = _declared(case)
        checks.run("symmetry", _model_symmetry.CHECKS)
        checks.run("symmetry", (_model_symmetry.DECLARED[invariance] for invariance in sorted(declared)))
        sees = _sees(case)
        checks.run("what it sees", _model_sees.DECLARED.get(sees, ()))
        if issubclass(model_class, Embeds):
            checks.run("embeddings", _model_embedding.CHECKS)
        notes = []
        if _model_saving.can_be_saved(model_class):
            checks.run("saving", _model_saving.CHECKS)
        else:
            notes.append(_NOT_SAVED)
        if checks.failures:
            return checks.report()
        if case.is_constant:
            notes.append(_CONSTANT)
        if sees is Sees.UNDECLARED:
            notes.append(_UNDECLARED)
        return checks.report(_model_symmetry.drifts(case, frozenset(Invariance) - declared), notes)


def _sees(case: ModelCase) -> Sees | None:
    try:
        return case.new().sees
    except Exception:  # reported by another check
        return None


def _declared(case: ModelCase) -> frozenset[Invariance]:
    try:
        return case.new().invariances & frozenset(Invariance)
    except Exception:  # reported by another check
        return frozenset()
