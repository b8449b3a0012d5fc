"""Files with one structure each. pymatgen parses them; what it would guess or ignore is an error with the reason."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import warnings
import zlib
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from pymatgen.core import Element, Lattice, Structure
from pymatgen.io.vasp.inputs import BadPoscarWarning
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crystalbench.data.crystals import MAX_LENGTH
from crystalbench.data.structure_json import parts_of
from crystalbench.errors import DataError
from crystalbench.tasks.cif import structure_of_cif
from crystalbench.tasks.tables.reading import distinct_keys

_CIF, _POSCAR, _XSF = ("*.cif*", "*.mcif*"), ("*poscar*", "*contcar*", "*.vasp"), ("*.xsf*", "*.axsf*")
_JSON, _YAML = ("*.json*", "*.mson*"), ("*.yaml*", "*.yml*")
"""Names by which pymatgen recognises the formats, in lower case."""
_HARMLESS = "Ignoring selective dynamics tag"
"""A remark of pymatgen on a POSCAR that does not concern the structure."""
_XSF_NOT_PERIODIC = re.compile(r"^\s*(MOLECULE|POLYMER|SLAB|ATOMS|ANIMSTEPS)\b", re.MULTILINE)


def structure_of_file(file: Path) -> Structure:
    """Read a file with one structure: CIF, POSCAR, or another format that pymatgen recognises by its name.

    Raises:
        DataError: the file cannot be read, or only by guessing; says why.
    """
    if _is(file, _CIF):
        return structure_of_cif(_text_of(file))
    if _is(file, _JSON) or _is(file, _YAML):
        return _structure_of_entries(file)
    if _is(file, _POSCAR):
        _check_poscar(_text_of(file).splitlines())
    if _is(file, _XSF) and (kind := _XSF_NOT_PERIODIC.search(_text_of(file))):
        raise DataError(f"has the keyword {kind[1]}; give one crystal that is periodic in three directions")
    try:
        with warnings.catch_warnings(record=True) as remarks:
            warnings.simplefilter("always")
            structure = Structure.from_file(file)
    except Exception as error:  # the parsers raise all kinds of errors
        if "Unrecognized extension" in str(error):
            raise DataError("has a name of no format that pymatgen reads; write it as CIF or POSCAR") from error
        reason = "a line or a value is missing" if isinstance(error, IndexError) else f"{type(error).__name__}: {error}"
        raise DataError(f"cannot be read as a structure ({reason})") from error
    doubts = [str(remark.message) for remark in remarks if issubclass(remark.category, BadPoscarWarning)]
    if doubts := [doubt for doubt in doubts if not doubt.startswith(_HARMLESS)]:
        raise DataError(f"is read only by guessing: {'; '.join(doubts)}")
    return structure


def _structure_of_entries(file: Path) -> Structure:
    """Read pymatgen's JSON form, also in YAML; entries that are redundant must agree.

    Raises:
        DataError: it is not a structure in this form, or contradicts itself; says what is wrong.
    """
    text = _text_of(file)
    try:
        parts = parts_of(_entries(text) if _is(file, _JSON) else YAML(typ="safe").load(text), MAX_LENGTH)
    except (YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as a structure ({error})") from error
    return Structure(Lattice(parts.lattice), [Element.from_Z(z) for z in parts.numbers], parts.frac_coords)


def _entries(text: str) -> Any:
    return json.loads(text, object_pairs_hook=partial(distinct_keys, what="keys"))


def _is(file: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(file.name.lower(), pattern) for pattern in patterns)


def _text_of(file: Path) -> str:
    unpack = {".gz": gzip.decompress, ".z": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
    try:
        content = file.read_bytes()
        return unpack.get(file.suffix.lower(), bytes)(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"cannot be read ({error}); save it as text in UTF-8") from error
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"cannot be read ({error})") from error


def _check_poscar(lines: Sequence[str]) -> None:
    """Refuse a POSCAR whose numbers of atoms, symbols and positions contradict each other; pymatgen ignores the rest.

    Raises:
        DataError: says what differs.
    """
    words = [line.split("#")[0].split("!")[0].split() for line in lines]
    if len(words) < 8 or not words[5] or words[5][0].isdecimal():
        return  # too short, or without symbols, which pymatgen refuses
    symbols, counts = words[5], words[6]
    if not all(count.isdecimal() for count in counts):
        return  # refused by pymatgen
    if len(symbols) != len(counts):
        raise DataError(f"has {len(symbols)} symbols ({' '.join(symbols)}) and {len(counts)} numbers of atoms")
    first = 9 if words[7][:1] and words[7][0][0] in "sS" else 8
    expected = [re.split("[_/]", symbol)[0] for symbol, n in zip(symbols, counts, strict=True) for _ in range(int(n))]
    places = words[first:]
    for number, (place, symbol) in enumerate(zip(places, expected, strict=False)):
        written = next((word for word in place[3:] if word not in ("T", "F") and Element.is_valid_symbol(word)), symbol)
        if written != symbol:
            raise DataError(
                f"says {symbol} for site {number} by its numbers of atoms, and {written} beside its position"
            )
    if symbols in places[len(expected) :]:
        raise DataError(f"has several structures: its symbols ({' '.join(symbols)}) occur again after the positions")
    if len(places) > len(expected) and _is_position(places[len(expected)]):
        raise DataError(f"has more positions than atoms: {' '.join(counts)} in the line of their numbers")


def _is_position(words: Sequence[str]) -> bool:
    try:
        return len([float(word) for word in words[:3]]) == 3
    except ValueError:
        return False
