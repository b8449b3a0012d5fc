"""The contract of representations."""

from __future__ import annotations

from crystalbench.representations import Representation
from crystalbench.testing._randomness import kept_random_state
from crystalbench.testing._representation_case import RepresentationCase
from crystalbench.testing._representation_promises import PROMISES
from crystalbench.testing.report import Findings, Report, quiet


def check_representation(representation: Representation) -> Report:
    """Check that a representation keeps what every representation promises.

    It is asked for a few small crystals that are made here. A promise that is broken does not stop the others.

    What is promised: a frozen dataclass whose key follows from its options; the same crystals give the same arrays;
    each crystal's rows depend on that crystal alone; crystals are not changed; arrays fit their layouts, are finite
    (or say in the docstring that they can be NaN) and can be stored; compositions and strange crystals are represented
    or refused with a `DataError`, crystals by id.

    Args:
        representation: with the options to check.

    Returns:
        The promises kept.

    Raises:
        ContractError: promises are broken; names each of them.

    Example:
        >>> from crystalbench.representations import CrystalGraph
        >>> len(check_representation(CrystalGraph(neighbors=3)).kept)
        11
    """
    case = RepresentationCase(representation)
    findings = Findings(repr(representation))
    with quiet(), kept_random_state():
        for promise in PROMISES:
            findings.check(promise, case)
        return findings.report()
