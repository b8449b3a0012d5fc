"""The contract of models."""

from __future__ import annotations

from typing import Any

from crystalbench.models import Invariance, Model, get_model
from crystalbench.testing import _model_behaviour, _model_declaration, _model_saving, _model_symmetry
from crystalbench.testing._model_case import ModelCase
from crystalbench.testing._randomness import kept_random_state
from crystalbench.testing.report import Findings, Report, quiet

_CONSTANT = "all crystals are predicted the same, so what they depend on could not show"


def check_model(model: type[Model] | str, **parameters: Any) -> Report:
    """Check that a model keeps what every model promises.

    It is fitted to a few small crystals that are made here. Well-known hyperparameters such as ``epochs``, ``trees``
    and ``width`` are cut down to be quick, unless they are given. A promise that is broken does not stop the others.

    What is promised: the class says what it is and documents its hyperparameters; it fits and predicts every kind of
    target that it declares; the same seed gives the same result; every row is predicted by itself; nothing is seen
    that is not declared; inputs are not changed; strange crystals are predicted; the order of the atoms, the image of
    an atom that is given and the origin of the cell change nothing, and neither does what `Model.invariances` lists;
    saved and loaded, it predicts the same.

    Args:
        model: a class, a registered name, ``package.module:Class`` or ``path/to/file.py:Class``.
        **parameters: hyperparameters.

    Returns:
        The promises kept, and how much predictions depend on what is not promised.

    Raises:
        ContractError: promises are broken; names each of them.
        ConfigError: the model cannot be found, or does not have these hyperparameters.

    Example:
        >>> report = check_model("dummy")
        >>> "same seed, same result" in report.kept
        True
    """
    found = get_model(model) if isinstance(model, str) else model
    case = ModelCase(found, parameters)
    findings = Findings(found.__name__)
    with quiet(), kept_random_state():
        if parameters:
            found.from_configuration(parameters)  # which refuses what the model does not have
        for promise in (*_model_declaration.PROMISES, *_model_behaviour.PROMISES, *_model_symmetry.PROMISES):
            findings.check(promise, case)
        promised = _promised(case)
        for invariance in sorted(promised):
            findings.check(_model_symmetry.PROMISED[invariance], case)
        for promise in _model_saving.PROMISES:
            findings.check(promise, case)
        if findings.broken:
            return findings.report()
        notes = (_CONSTANT,) if case.is_constant else ()
        return findings.report(_model_symmetry.drifts(case, frozenset(Invariance) - promised), notes)


def _promised(case: ModelCase) -> frozenset[Invariance]:
    try:
        return case.made().invariances & frozenset(Invariance)
    except Exception:  # reported already
        return frozenset()
