"""The contract of representations: kept by this project's, and broken, one promise each, by small ones made for it."""

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
    CrystalGraph,
    DescriptorBank,
    DiffractionPattern,
    DiffractionPowerSpectrum,
    ElementPairs,
    Layout,
    MagpieFeatures,
    QuotientGraph,
    Representation,
    SphereGraph,
)
from crystalbench.testing import ContractError, check_representation

KEPT: list[Representation] = [
    MagpieFeatures(),
    ElementPairs(),
    CrystalGraph(),
    CrystalGraph(neighbors=5, vectors=True),
    SphereGraph(),
    QuotientGraph(),
    QuotientGraph(SphereGraph()),
    DescriptorBank(),
    DescriptorBank("rich"),
    DescriptorBank("atom_count"),
    DiffractionPattern(),
    DiffractionPattern(points="sphere", q_max=0.4),
    DiffractionPattern(max_index=-1, cell="conventional", scattering="neutron"),
    DiffractionPowerSpectrum(q_max=0.4),
    DiffractionPowerSpectrum(q_max=0.4, shells=4, l_max=4, intensities="absences", scattering="neutron"),
]


@pytest.mark.parametrize("representation", KEPT, ids=repr)
def test_the_projects_representations_keep_the_contract(representation: Representation) -> None:
    assert len(check_representation(representation).kept) == 11


def test_every_public_representation_is_among_them() -> None:
    public = [getattr(crystalbench.representations, name) for name in crystalbench.representations.__all__]
    classes = {c for c in public if isinstance(c, type) and issubclass(c, Representation)} - {Representation}
    assert classes == {type(representation) for representation in KEPT}


# ---------------------------------------------------------------------- one broken promise each


@dataclass(frozen=True)
class Volumes(Representation):
    """Volume per atom and, for each atom, the number of the next one; keeps every promise.

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
    """Divides by the mean over what is asked for."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return volumes / volumes.mean()


class Padded(Volumes):
    """Has a column for each atom of the largest crystal."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return np.zeros((len(crystals), crystals.atom_counts.max()))


class Position(Volumes):
    """Counts rows."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return np.arange(1.0, len(crystals) + 1)


class Dice(Volumes):
    """Adds noise."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals) + random.random()


class Names(Volumes):
    """Reads ids."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals) + [len(name) for name in crystals.ids]


class Writes(Volumes):
    """Wraps coordinates in place."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        np.remainder(crystals.frac_coords, 1, out=crystals.frac_coords)
        return super().volumes(crystals)


class Unknown(Volumes):
    """Does not know large volumes, nor say so."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return np.where(volumes > np.median([15.0]), np.nan, volumes)


class Infinite(Volumes):
    """Says that volumes may be NaN, and gives infinite ones."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        volumes = super().volumes(crystals)
        return np.where(volumes > 15.0, np.inf, volumes)


class Objects(Volumes):
    """Gives objects."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        return super().volumes(crystals).astype(object)


class Breaks(Volumes):
    """Does not expect compositions."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if isinstance(inputs, Compositions):
            raise AttributeError("'Compositions' object has no attribute 'volumes'")
        return super().__call__(inputs)


class Vague(Volumes):
    """Refuses heavy elements without saying where they are."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        if crystals.numbers.max() > 90:
            raise DataError("one of the crystals is too heavy")
        return super().volumes(crystals)


class Fails(Volumes):
    """Cannot do large cells."""

    def volumes(self, crystals: Crystals) -> np.ndarray:
        if crystals.atom_counts.max() > 100:
            raise MemoryError("too large")
        return super().volumes(crystals)


class Forgetful(Volumes):
    """Its key does not hold its option."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"options": {}}


class Fickle(Volumes):
    """Its key is another one each time."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"at": str(id(object())), "when": random.random()}


class Opaque(Volumes):
    """Its recipe holds an object."""

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"object": object()}


class Versionless(Volumes):
    """Its key does not hold its version."""

    version: ClassVar[int] = 2

    @property
    def recipe(self) -> dict[str, Any]:
        return super().recipe | {"version": 1}


class Zeroth(Volumes):
    """Has a version that none is before."""

    version: ClassVar[int] = 0


class Astray(Volumes):
    """Points beyond its crystal's atoms."""

    def __call__(self, inputs: Inputs) -> Arrays:
        arrays = super().__call__(inputs)
        arrays.values["next"] += 1
        return arrays


class Unlaid(Volumes):
    """Has a layout for what is not there."""

    def __call__(self, inputs: Inputs) -> Arrays:
        arrays = super().__call__(inputs)
        arrays.layouts["more"] = Layout(CRYSTAL)
        return arrays


class Drops(Volumes):
    """Leaves out crystals of one atom."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if not isinstance(inputs, Crystals):
            raise DataError("volumes need crystals")
        return super().__call__(inputs[inputs.atom_counts > 1])


class Descends(Volumes):
    """Has offsets that go down and up again."""

    def __call__(self, inputs: Inputs) -> Arrays:
        if not isinstance(inputs, Crystals):
            raise DataError("volumes need crystals")
        offsets = offsets_of(np.ones(len(inputs)))
        if len(inputs) > 3:
            offsets[[1, 2]] = offsets[[2, 1]]
        return Arrays({"one": np.zeros(offsets[-1])}, {"one": Layout("a")}, {"a": offsets}, len(inputs))


KEY, ROWS, FITS, FINITE = "its key follows", "each crystal's rows", "it gives arrays of all", "values are finite"
STORED, STRANGE, SAME = "its arrays can be stored", "strange crystals", "the same crystals give"
BREAKS: list[tuple[Representation, list[str], str]] = [
    (BatchMean(), [ROWS], "crystal-0 alone and among others"),
    (Padded(), [ROWS], "'volume' is float64"),
    (Position(), [ROWS], "in another order, the values of 'volume' differ"),
    (Dice(), [SAME, ROWS, "ids are names"], "computed twice"),
    (Names(), ["ids are names"], "under other ids"),
    (Writes(), ["it does not change"], "it writes to them"),
    (Unknown(), [FINITE, STRANGE], "'volume' holds nan; say so in the docstring"),
    (Infinite(), [FINITE, STRANGE], "'volume' holds inf"),
    (Objects(), [STORED], "cannot be written"),
    (Breaks(), ["compositions are represented"], "AttributeError"),
    (Vague(), [STRANGE], "refused without an id: one of the crystals is too heavy"),
    (Fails(), [STRANGE], "MemoryError: too large"),
    (Forgetful(), [KEY], "with another power it has the same key"),
    (Fickle(), [KEY], "it has another key"),
    (Opaque(), [KEY], "not what JSON can hold"),
    (Versionless(), [KEY], "does not hold the version"),
    (Zeroth(), ["it is a frozen dataclass"], "version = 0"),
    (Astray(), [FITS, STRANGE], "'next' points outside of its crystal's rows of 'atom'"),
    (Unlaid(), [FITS, STORED, STRANGE], "layouts of ['more', 'next', 'volume'] for arrays ['next', 'volume']"),
    (Drops(), [FITS], "16 crystals give arrays of "),
    (Descends(), [FITS], "the offsets of level 'a' do not ascend from 0"),
]


def broken_by(representation: Representation) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        check_representation(representation)
    return caught.value.broken


def test_a_representation_that_keeps_all_is_told_what_it_keeps() -> None:
    report = check_representation(Volumes(power=2))
    assert report.name == "Volumes(power=2)"
    assert "each crystal's rows depend on that crystal alone" in report.kept
    assert len(report.kept) == len(set(report.kept)) == 11


@pytest.mark.parametrize(("representation", "promises", "how"), BREAKS, ids=[type(b[0]).__name__ for b in BREAKS])
def test_a_broken_promise_is_named(representation: Representation, promises: list[str], how: str) -> None:
    broken = broken_by(representation)
    assert how in next(iter(broken.values())), broken
    for promise in promises:
        assert any(words.startswith(promise) for words in broken), broken
    if type(representation) not in (Drops, Unlaid, Descends):  # which break more than can be listed
        assert len(broken) == len(promises), broken


def test_every_promise_has_a_representation_that_breaks_it() -> None:
    known = {promise for _, promises, _ in BREAKS for promise in promises}
    kept = check_representation(Volumes()).kept
    assert not [promise for promise in kept if not any(promise.startswith(beginning) for beginning in known)]


def test_what_is_no_frozen_dataclass_is_told() -> None:
    class Bare(Volumes):
        """Declares an option, and is no dataclass."""

        width: int = 3

    class Made(Volumes):
        """Takes an option in a way of its own."""

        def __init__(self, width: int) -> None:
            object.__setattr__(self, "width", width)

    @dataclass(frozen=True)
    class Blank(Volumes):
        width: int = 3

    promise = "it is a frozen dataclass of its options, with a docstring and a version"
    assert broken_by(Bare())[promise].startswith("Bare lacks @dataclass(frozen=True)")
    assert broken_by(Made(3))[promise].startswith("Made lacks @dataclass(frozen=True)")
    assert broken_by(Blank())[promise] == "the class has no docstring"


def test_a_failure_is_reported_once() -> None:
    class Cold(Volumes):
        """Fails."""

        def volumes(self, crystals: Crystals) -> np.ndarray:
            raise RuntimeError("the oven is cold")

    broken = broken_by(Cold())
    assert list(broken.values()) == ["RuntimeError: the oven is cold"]


def test_crystals_refused_by_id_leave_the_others_to_be_checked() -> None:
    class Partly(Unknown):
        """Refuses some crystals."""

        def volumes(self, crystals: Crystals) -> np.ndarray:
            heavy = crystals.ids[np.maximum.reduceat(crystals.numbers, crystals.offsets[:-1]) > 80]
            if len(heavy):
                raise DataError(f"{heavy[0]}: too heavy")
            return np.where(crystals.volumes > 60, np.nan, Volumes.volumes(self, crystals))

    assert "say so in the docstring" in broken_by(Partly())[STRANGE_IN_FULL]


STRANGE_IN_FULL = (
    "strange crystals (elements to Z = 103, an isolated atom, 200 atoms) are represented, or refused by id"
)
