"""The contract of representations."""

from __future__ import annotations

from crystalbench.representations import Representation
from crystalbench.testing._isolation import isolated
from crystalbench.testing._representation_case import RepresentationCase
from crystalbench.testing._representation_checks import CHECKS
from crystalbench.testing.report import Checks, Report


def check_representation(representation: Representation, /, *, verbose: bool = False) -> Report:
    """Check that a representation keeps the contract of all representations.

    It is applied to a few small crystals. A failed check does not stop the others.

    The checks: the class is a frozen dataclass whose key follows from its options; the same crystals give the same
    arrays; each crystal's rows depend on that crystal only; crystals are not modified; arrays fit their layouts, are
    finite (or NaN, if the docstring mentions it) and can be stored; compositions and edge cases are represented, or
    refused by a `DataError` that names the ids of crystals.

    Limit: only the options of this instance are checked, on the crystals of `crystalbench.testing.crystals`.

    Args:
        representation: an instance with the options to check.
        verbose: whether the error message contains tracebacks.

    Returns:
        The checks, all of which passed.

    Raises:
        ContractError: a check failed; the message lists every failed check, the reason, and the line of the
            representation.

    Example:
        >>> from crystalbench.representations import CrystalGraph
        >>> print(check_representation(CrystalGraph(neighbors=3)))  # doctest: +ELLIPSIS
        CrystalGraph(neighbors=3, vectors=False) passes 11 checks...
    """
    __tracebackhide__ = True
    checks = Checks(repr(representation), RepresentationCase(representation), type(representation), verbose=verbose)
    with isolated():
        checks.run("checks", CHECKS)
        return checks.report()
