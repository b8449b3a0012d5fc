"""What a model sees of a material: the kinds of input by which leaderboards group their entries."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Sees(StrEnum):
    """What a model sees, from nothing to the most.

    A kind says what predictions can depend on, not how well a model uses it.
    """

    NOTHING = "nothing"
    COMPOSITION = "composition"
    STRUCTURE = "structure"
    STRUCTURE_AND_CHEMISTRY = "structure_and_chemistry"
    EQUIVARIANT = "equivariant"
    DESCRIPTORS = "descriptors"
    WITH_DESCRIPTORS = "with_descriptors"
    PRETRAINED = "pretrained"
    UNDECLARED = "undeclared"

    @property
    def label(self) -> str:
        """Name in tables."""
        return _TEXTS[self][0]

    @property
    def meaning(self) -> str:
        """One line for documentation."""
        return _TEXTS[self][1]


_TEXTS: dict[Sees, tuple[str, str]] = {
    Sees.NOTHING: ("nothing", "neither elements nor geometry: a baseline, or a model from which a view hides both"),
    Sees.COMPOSITION: ("composition", "the elements and their fractions"),
    Sees.STRUCTURE: (
        "structure without chemistry",
        "the geometry and which atoms are alike, but not which elements they are",
    ),
    Sees.STRUCTURE_AND_CHEMISTRY: (
        "structure and chemistry",
        "elements and geometry through distances, angles, intensities of reflections and the like",
    ),
    Sees.EQUIVARIANT: (
        "structure and chemistry, equivariant",
        "elements and geometry through directions and tensors that turn with the crystal",
    ),
    Sees.DESCRIPTORS: ("descriptors", "hand-made descriptors of structure and chemistry, and nothing else"),
    Sees.WITH_DESCRIPTORS: (
        "structure with descriptors",
        "what a network reads of the structure, and hand-made descriptors",
    ),
    Sees.PRETRAINED: (
        "pretrained",
        "features or weights learned from other data, whatever is seen of the material itself",
    ),
    Sees.UNDECLARED: ("undeclared", "the class does not say"),
}


class Hidden(StrEnum):
    """What a view may hide from a model."""

    CHEMISTRY = "chemistry"
    """Which elements the atoms are, in this crystal and in others."""
    STRUCTURE = "structure"
    """Where the atoms are."""


_WITHOUT_STRUCTURE = frozenset({Sees.NOTHING, Sees.COMPOSITION})
_WITHOUT_CHEMISTRY = frozenset({Sees.NOTHING, Sees.STRUCTURE})


def seen(sees: Sees, hidden: Collection[Hidden] | None) -> Sees:
    """What a model sees of inputs from which something is hidden.

    A graph network sees the structure without chemistry if elements are hidden, and the composition if the structure
    is. Where both are hidden, or a model sees only what is hidden, nothing remains: stoichiometry and the number of
    atoms may, but no kind is made of them. What a pretrained model has learned from other data cannot be hidden.

    Args:
        sees: what the model declares.
        hidden: what is hidden, by a view or because a task has compositions only; None if it is not known.

    Examples:
        >>> seen(Sees.EQUIVARIANT, {Hidden.CHEMISTRY}).value
        'structure'
        >>> seen(Sees.WITH_DESCRIPTORS, {Hidden.STRUCTURE}).value
        'composition'
        >>> seen(Sees.COMPOSITION, {Hidden.CHEMISTRY}).value
        'nothing'
    """
    if sees in (Sees.NOTHING, Sees.PRETRAINED, Sees.UNDECLARED):
        return sees
    if hidden is None:
        return Sees.UNDECLARED
    chemistry = sees not in _WITHOUT_CHEMISTRY and Hidden.CHEMISTRY not in hidden
    structure = sees not in _WITHOUT_STRUCTURE and Hidden.STRUCTURE not in hidden
    if structure:
        return sees if chemistry else Sees.STRUCTURE
    return Sees.COMPOSITION if chemistry else Sees.NOTHING


def together(kinds: Collection[Sees]) -> Sees:
    """What a model made of several models sees.

    Examples:
        >>> together([Sees.DESCRIPTORS, Sees.EQUIVARIANT]).value
        'with_descriptors'
        >>> together([Sees.COMPOSITION, Sees.STRUCTURE]).value
        'structure_and_chemistry'
        >>> together([Sees.COMPOSITION, Sees.NOTHING]).value
        'composition'
    """
    found = most(kinds)
    if found is Sees.STRUCTURE and Sees.COMPOSITION in kinds:
        return Sees.STRUCTURE_AND_CHEMISTRY
    if found is Sees.DESCRIPTORS and not {Sees.NOTHING, Sees.COMPOSITION, Sees.DESCRIPTORS}.issuperset(kinds):
        return Sees.WITH_DESCRIPTORS
    return found


def most(kinds: Collection[Sees]) -> Sees:
    """The kind of an entry whose runs are of several kinds: the last of them in the order of `Sees`."""
    order = list(Sees)
    return max(kinds, key=order.index)
