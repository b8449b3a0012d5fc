"""Structures in the JSON form of pymatgen (`Structure.as_dict`), whose redundant entries may contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pymatgen.core import Lattice

from crystalbench._words import type_in_words
from crystalbench.data.sites import only_element, require_periodic

LENGTH_TOLERANCE = 0.01
"""Largest difference in Å between redundant lengths or positions."""
ANGLE_TOLERANCE = 0.1
"""Largest difference in degrees between redundant angles."""
VOLUME_TOLERANCE = 0.01
"""Largest relative difference between redundant volumes."""


class StructureParts(NamedTuple):
    """A structure as arrays.

    Attributes:
        lattice: (3, 3) lattice vectors in Å as rows.
        frac_coords: (atoms, 3) fractional coordinates.
        numbers: atomic numbers.
    """

    lattice: npt.NDArray[np.float64]
    frac_coords: npt.NDArray[np.float64]
    numbers: list[int]


def parts_of(entry: Mapping[str, Any], largest: float) -> StructureParts:
    """Read a structure in JSON form.

    Args:
        entry: the structure.
        largest: cells with larger components in Å are not compared with redundant entries; the caller refuses them.

    Raises:
        ValueError: it is not a structure, contradicts itself, has a disordered site, or is not periodic in all three
            directions; says what is wrong.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f"is not a pymatgen structure in JSON form, but {type_in_words(type(entry))}")
    try:
        lattice = _numbers(entry["lattice"]["matrix"], "lattice matrix")
        sites = entry["sites"]
        places = _numbers([site["abc"] for site in sites], "abc")
        species = [[(s["element"], _occupancy(s["occu"])) for s in site["species"]] for site in sites]
        everywhere = (True, True, True)
        periodic = [place.get("pbc", everywhere) for place in (entry["lattice"], entry)]
    except KeyError as error:
        raise ValueError(f"is not a pymatgen structure in JSON form (missing {error})") from error
    except ValueError as error:
        raise ValueError(f"is not a pymatgen structure in JSON form ({error})") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(
            "is not a pymatgen structure in JSON form (its lattice, sites or species are of another type)"
        ) from error
    if lattice.shape != (3, 3) or (sites and places.shape != (len(sites), 3)):
        raise ValueError("must have a lattice matrix of 3 × 3 numbers and 3 coordinates for each site")
    for directions in periodic:
        require_periodic(directions)
    places = places.reshape(-1, 3)
    if np.abs(lattice).max() <= largest and np.isfinite(places).all():  # others are refused with all crystals
        contradiction = _contradiction_of_cell(entry["lattice"], lattice) or _contradiction_of_sites(
            sites, places @ lattice
        )
        if contradiction:
            raise ValueError(f"contradicts itself: {contradiction}; write the structure again with pymatgen")
    return StructureParts(lattice, places, [only_element(k, occupants) for k, occupants in enumerate(species)])


def _numbers(value: Any, what: str) -> npt.NDArray[np.float64]:
    """Convert numbers to an array.

    Raises:
        ValueError: the value contains anything else, e.g. text, booleans or null, or lists of different lengths.
    """
    array = np.asarray(value, dtype=object)  # else, NumPy reads a boolean among numbers as 1 or 0
    values = array.reshape(-1).tolist()
    if any(isinstance(v, list | tuple) for v in values):
        raise ValueError(f"the lists of its {what} must have 3 numbers each")
    if any(isinstance(v, bool) or not isinstance(v, int | float | np.number) for v in values):
        raise ValueError(f"its {what} must contain numbers only")
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"its {what} contains a number that is too large") from None


def _occupancy(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"its occupancy {value!r} must be a number")
    return float(value)


def _contradiction_of_cell(cell: Mapping[str, Any], matrix: npt.NDArray[np.float64]) -> str:
    """How the lengths, angles and volume of a lattice contradict its matrix; empty if they agree or are not written."""
    lattice = Lattice(matrix)
    for names, values, tolerance, unit in (
        (("a", "b", "c"), lattice.abc, LENGTH_TOLERANCE, " Å"),
        (("alpha", "beta", "gamma"), lattice.angles, ANGLE_TOLERANCE, "°"),
    ):
        for name, value in zip(names, values, strict=True):
            written = cell.get(name, value)
            if not _is_number(written):
                return f"the {name} of the lattice is {written!r}, not a number"
            if abs(written - value) > tolerance:
                return f"the lattice has {name} = {written:g}{unit}, and its matrix {value:g}{unit}"
    volume = cell.get("volume", lattice.volume)
    if not _is_number(volume):
        return f"the volume of the lattice is {volume!r}, not a number"
    if abs(volume - lattice.volume) > VOLUME_TOLERANCE * lattice.volume:
        return f"the lattice has a volume of {volume:g} Å³, and its matrix of {lattice.volume:g} Å³"
    return ""


def _is_number(value: Any) -> bool:
    """Whether a value is a number; false for NaN."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(value == value)


def _contradiction_of_sites(sites: Sequence[Mapping[str, Any]], carts: npt.NDArray[np.float64]) -> str:
    """How the Cartesian coordinates contradict the fractional ones; empty if they agree or are not written."""
    for k, (site, place) in enumerate(zip(sites, carts, strict=True)):
        if (written := site.get("xyz")) is None:
            continue
        try:
            distance = float(np.abs(_numbers(written, "xyz") - place).max()) if len(written) == 3 else np.nan
        except (TypeError, ValueError):
            distance = np.nan
        if not distance < np.inf:
            return f"the xyz of site {k} is {written!r}, not three numbers"
        if distance > LENGTH_TOLERANCE:
            return f"the xyz and the abc of site {k} are {distance:.3g} Å apart"
    return ""
