"""`check_representation` accepts the project's representations, and small broken ones fail one check each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import crystalbench.representations
from crystalbench.data.compositions import Compositions
from crystalbench.data.crystals import Crystals, Inputs
from crystalbench.data.flat import offsets_of
from crystalbench.errors import DataError
from crystalbench.representations import (
    CRYSTAL,
    Arrays,
    AtomSites,
    CrystalGraph,
    DescriptorBank,
    DiffractionPattern,
    DiffractionPowerSpectrum,
    ElementContents,
    ElementPairs,
    Layout,
    MagpieFeatures,
    NestedGraph,
    OrbitGraph,
    PeriodicGraph,
    QuotientGraph,
    Representation,
    SpaceGroupNumbers,
    SphereGraph,
    WeightedGraph,
)
from crystalbench.testing import ContractError, check_representation

PASSING: list[Representation] = [
    MagpieFeatures(),
    ElementPairs(),
    ElementContents(),
    AtomSites(),
    SpaceGroupNumbers(),
    CrystalGraph(),
    CrystalGraph(neighbors=5, vectors=True),
    SphereGraph(),
    NestedGraph(),
    OrbitGraph(),
    PeriodicGraph(),
    QuotientGraph(),
    QuotientGraph(SphereGraph()),
    WeightedGraph(),
    QuotientGraph(WeightedGraph()),
    DescriptorBank(),
    DescriptorBank("rich"),
    DescriptorBank("atom_count"),
    DiffractionPattern(),
    DiffractionPattern(points="sphere", q_max=0.4),
    DiffractionPattern(max_index=-1, cell="conventional", scattering="neutron"),
    DiffractionPowerSpectrum(q_max=0.4),
    DiffractionPowerSpectrum(q_max=0.4, shells=4, l_max=4, intensities="absences", scattering="neutron"),
]


@pytest.mark.parametrize("representation", PASSING, ids=repr)
def test_the_projects_representations_pass(representation: Representation) -> None:
    assert len(check_representation(representation).passed) == 11


def test_every_public_representation_is_among_them() -> None:
    public = [getattr(crystalbench.representations, name) for name in crystalbench.representations.__all__]
    classes = {c for c in public if isinstance(c, type) and issubclass(c, Representation)} - {Representation}
    assert classes == {type(representation) for representation in PASSING}


# ---------------------------------------------------------------------- one failed check each


@dataclass(frozen=True)
class Volumes(Representation):
    """Volume per atom and, for each atom, the number of the next one; passes every check.

    Attributes:
        power: of the volume.
    """

    power: int = 1

    def __call__(self, inputs: Inputs) -> Arrays:
        if not isinstance(inputs, Crystals):
            raise DataError("volumes need crystals")
        counts = inputs.atom_counts
        after = np.arange(counts.sum()) - np.repeat(inputs.offsets[:-1], counts) + 1
        return Arrays(
            {
                "volume": self.volumes(inputs) ** self.power,
                "next": (after % np.repeat(counts, counts)).astype(np.int32),
            },
            {"volume": Layout(CRYSTAL), "next": Layout("atom", "atom")},
            {"atom": inputs.offsets},
            len(inputs),
        )

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return crystals.volumes / crystals.atom_counts


class BatchMean(Volumes):
    """Divides by the mean over the crystals of a call."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return volumes / volumes.mean()


class Padded(Volumes):
    """Has a column for each atom of the largest crystal."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return np.zeros((len(crystals), crystals.atom_counts.max()))


class Position(Volumes):
    """Numbers the crystals of a call."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return np.arange(1.0, len(crystals) + 1)


class Dice(Volumes):
    """Adds noise."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals) + random.random()


class Names(Volumes):
    """Uses ids."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals) + [len(name) for name in crystals.ids]


class Writes(Volumes):
    """Wraps coordinates in place."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        np.remainder(crystals.frac_coords, 1, out=crystals.frac_coords)
        return super().volumes(crystals)


class Unknown(Volumes):
    """Undefined for large volumes, without saying so."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return np.where(volumes > np.median([15.0]), np.nan, volumes)


class Infinite(Volumes):
    """Mentions NaN, but gives infinite volumes."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return np.where(volumes > 15.0, np.inf, volumes)


class Objects(Volumes):
    """Gives an array of objects."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals).astype(object)


class Breaks(Volumes):
    """Does not expect compositions."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if isinstance(inputs, Compositions):
            raise AttributeError("'Compositions' object has no attribute 'volumes'")
        return super().__call__(inputs)


class Vague(Volumes):
    """Refuses heavy elements without naming the crystal."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        if crystals.numbers.max() > 90:
            raise DataError("one of the crystals is too heavy")
        return super().volumes(crystals)


class Fails(Volumes):
    """Fails for large cells."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        if crystals.atom_counts.max() > 100:
            raise MemoryError("too large")
        return super().volumes(crystals)


class Forgetful(Volumes):
    """Its key does not depend on its option."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"options": {}}


class Fickle(Volumes):
    """Its key differs each time."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"at": str(id(object())), "when": random.random()}


class Opaque(Volumes):
    """Its recipe contains an object."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"object": object()}


class Versionless(Volumes):
    """Its key does not depend on its version."""

    version: ClassVar[int] = 2

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"version": 1}


class Zeroth(Volumes):
    """Has version 0."""

    version: ClassVar[int] = 0


class Astray(Volumes):
    """Its indices exceed the atoms of their crystal."""

    def __call__(self, inputs: Inputs) -> Arrays:
        arrays = super().__call__(inputs)
        arrays.values["next"] += 1
        return arrays


class Unlaid(Volumes):
    """Has a layout without an array."""

    def __call__(self, inputs: Inputs) -> Arrays:
        arrays = super().__call__(inputs)
        arrays.layouts["more"] = Layout(CRYSTAL)
        return arrays


class Drops(Volumes):
    """Drops crystals of one atom."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if not isinstance(inputs, Crystals):
            raise DataError("volumes need crystals")
        return super().__call__(inputs[inputs.atom_counts > 1])


class Descends(Volumes):
    """Has offsets that do not ascend."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if not isinstance(inputs, Crystals):
            raise DataError("volumes need crystals")
        offsets = offsets_of(np.ones(len(inputs)))
        if len(inputs) > 3:
            offsets[[1, 2]] = offsets[[2, 1]]
        return Arrays({"one": np.zeros(offsets[-1])}, {"one": Layout("a")}, {"a": offsets}, len(inputs))


KEY, FITS = "key follows from options and version only", "arrays fit their layouts"
FINITE, SAME = "values are finite, or NaN if the docstring mentions it", "repeated calls give identical arrays"
INDEPENDENT, IDS = "crystals are represented independently", "ids have no influence"
STORED, EDGE = "arrays can be stored and read", "edge cases are represented, or refused by id"
CLASS = "class is a frozen dataclass with docstring and version"
FAILING: list[tuple[Representation, list[str], str]] = [
    (BatchMean(), [INDEPENDENT], "crystal-0 alone and among others"),
    (Padded(), [INDEPENDENT], "'volume' is float64"),
    (Position(), [INDEPENDENT], "in another order, the values of 'volume' differ"),
    (Dice(), [SAME, INDEPENDENT, IDS], "computed twice"),
    (Names(), [IDS], "with other ids"),
    (Writes(), ["crystals are not modified"], "it writes to them"),
    (Unknown(), [FINITE, EDGE], "'volume' contains nan; if that is intended, say so in the docstring"),
    (Infinite(), [FINITE, EDGE], "'volume' contains inf"),
    (Objects(), [STORED], "cannot be written"),
    (Breaks(), ["compositions are represented, or refused by a DataError"], "AttributeError"),
    (Vague(), [EDGE], "the error names no id: one of the crystals is too heavy"),
    (Fails(), [EDGE], "MemoryError: too large"),
    (Forgetful(), [KEY], "the key does not depend on power"),
    (Fickle(), [KEY], "has another key"),
    (Opaque(), [KEY], "cannot be written as JSON"),
    (Versionless(), [KEY], "the recipe lacks the version"),
    (Zeroth(), [CLASS], "version = 0"),
    (Astray(), [FITS, EDGE], "'next' points outside its crystal's rows of 'atom'"),
    (Unlaid(), [FITS, STORED, EDGE], "layouts of ['more', 'next', 'volume'], but arrays ['next', 'volume']"),
    (Drops(), [FITS], "16 crystals give arrays of "),
    (Descends(), [FITS], "the offsets of level 'a' do not ascend from 0"),
]


def failed_checks(representation: Representation) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        check_representation(representation)
    return caught.value.failed


def test_the_report_of_a_representation_that_passes() -> None:
    report = check_representation(Volumes(power=2))
    assert report.name == "Volumes(power=2)"
    assert INDEPENDENT in report.passed
    assert len(report.passed) == len(set(report.passed)) == 11


@pytest.mark.parametrize(("representation", "checks", "reason"), FAILING, ids=[type(b[0]).__name__ for b in FAILING])
def test_the_failed_checks_are_named(representation: Representation, checks: list[str], reason: str) -> None:
    failed = failed_checks(representation)
    assert reason in next(iter(failed.values())), failed
    if type(representation) in (Drops, Unlaid, Descends):  # which fail further checks
        assert set(checks) <= set(failed)
    else:
        assert set(checks) == set(failed)


def test_every_check_has_a_representation_that_fails_it() -> None:
    assert {check for _, checks, _ in FAILING for check in checks} == set(check_representation(Volumes()).passed)


def test_a_class_that_is_not_a_frozen_dataclass_fails() -> None:
    class Bare(Volumes):
        """Declares an option, but is not a dataclass."""

        width: int = 3

    class Made(Volumes):
        """Defines its own constructor."""

        def __init__(self, width: int) -> None:
            object.__setattr__(self, "width", width)

    @dataclass(frozen=True)
    class Blank(Volumes):
        width: int = 3

    assert failed_checks(Bare())[CLASS].startswith("Bare lacks @dataclass(frozen=True)")
    assert failed_checks(Made(3))[CLASS].startswith("Made lacks @dataclass(frozen=True)")
    assert failed_checks(Blank())[CLASS] == "the class has no docstring"


def test_a_failure_is_reported_once() -> None:
    class Cold(Volumes):
        """Always fails."""

        def volumes(self, crystals: Crystals) -> np.ndarray:
            raise RuntimeError("the oven is cold")

    failed = failed_checks(Cold())
    assert list(failed.values()) == ["RuntimeError: the oven is cold"]


def test_crystals_that_are_not_refused_are_checked() -> None:
    class Partly(Unknown):
        """Refuses some crystals."""

        def volumes(self, crystals: Crystals) -> np.ndarray:
            heavy = crystals.ids[np.maximum.reduceat(crystals.numbers, crystals.offsets[:-1]) > 80]
            if len(heavy):
                raise DataError(f"{heavy[0]}: too heavy")
            return np.where(crystals.volumes > 60, np.nan, Volumes.volumes(self, crystals))

    assert "say so in the docstring" in failed_checks(Partly())[EDGE]
