"""Files with one structure: what their parsers would ignore or guess."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from ruamel.yaml import YAML
from test_hostile_input import SALT, cif

from crystalbench.errors import DataError
from crystalbench.tasks.inputs import as_inputs, read_inputs
from crystalbench.tasks.structure_files import structure_of_file

HALITE = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
POSCAR = """salt
1.0
4 0 0
0 4 0
0 0 4
Na Cl
1 1
Direct
0 0 0
0.5 0.5 0.5
"""


def read(folder: Path, name: str, content: str | bytes) -> list[str]:
    """Formulas of a file with this name and content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_inputs([folder / name]).formulas()


@pytest.mark.parametrize("name", ["a.cif", "a.CIF", "a.mcif", "a.cif.gz", "a.cif.bak"])
def test_all_names_of_cifs_are_checked_as_cifs(tmp_path: Path, name: str) -> None:
    def packed(text: str) -> bytes:
        return gzip.compress(text.encode()) if name.endswith("gz") else text.encode()

    assert read(tmp_path, name, packed(cif(SALT, formula="Na Cl"))) == ["Na1 Cl1"]
    with pytest.raises(DataError, match=f"{name}: its CIF says Na Cl H2"):
        read(tmp_path, name, packed(cif(SALT, formula="Na Cl H2")))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Na Cl\n", "Na Cl K\n", "has 3 symbols .Na Cl K. and 2 numbers of atoms"),
        ("\n1 1\n", "\n1 1 1\n", "has 2 symbols .Na Cl. and 3 numbers of atoms"),
        ("0.5 0.5 0.5\n", "0.5 0.5 0.5\n0.2 0.2 0.2\n", "more positions than atoms: 1 1"),
        ("0.5 0.5 0.5\n", "0.5 0.5 0.5 K\n", "says Cl for site 1 by its numbers of atoms, and K"),
        ("0.5 0.5 0.5\n", "", "cannot be read as a structure"),
        ("0.5 0.5 0.5\n", f"0.5 0.5 0.5\n\n{POSCAR}", "has several structures: its symbols .Na Cl. occur again"),
        ("Direct\n", "\n", "cannot be read as a structure .a line or a value is missing"),
        ("Na Cl\n", "", "read only by guessing"),
    ],
)
def test_a_poscar_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(DataError, match=f"POSCAR: .*{reason}"):
        read(tmp_path, "POSCAR", POSCAR.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("salt", "\ufeffsalt"),
        ("Na Cl\n", "Na_pv Cl/3f2a\n"),
        ("0 0 0\n0.5 0.5 0.5\n", "0 0 0 Na\n0.5 0.5 0.5 Cl1\n"),
        ("Direct\n0 0 0\n0.5 0.5 0.5\n", "Selective dynamics\nDirect\n0 0 0 T T T\n0.5 0.5 0.5 F F F Cl\n"),
        ("0.5 0.5 0.5\n", "0.5 0.5 0.5\n\n0 0 0\n0.1 0 0\n"),  # velocities
        ("0.5 0.5 0.5\n", "0.5 0.5 0.5\nLattice velocities and vectors\n"),
    ],
)
def test_a_clear_poscar_is_read(tmp_path: Path, old: str, new: str) -> None:
    assert read(tmp_path, "POSCAR", POSCAR.replace(old, new)) == ["Na1 Cl1"]


@pytest.mark.parametrize("kind", ["SLAB", "POLYMER", "MOLECULE"])
def test_an_xsf_must_be_a_crystal(tmp_path: Path, kind: str) -> None:
    text = str(HALITE.to(fmt="xsf"))
    assert read(tmp_path, "a.xsf", text) == ["Na1 Cl1"]
    with pytest.raises(DataError, match=f"a.xsf: has the keyword {kind}"):
        read(tmp_path, "a.xsf", text.replace("CRYSTAL", kind))


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.extxyz: has a name of no format that pymatgen reads; write it as CIF"):
        read(tmp_path, "a.extxyz", "2\n\nNa 0 0 0\nCl 2 2 2\n")


def test_text_in_another_encoding_comes_with_a_remedy(tmp_path: Path) -> None:
    text = f"# 20 °C\n{cif(SALT)}"
    assert read(tmp_path, "a.cif", text) == ["Na1 Cl1"]
    for encoding in ("latin-1", "utf-16"):
        with pytest.raises(DataError, match=r"a\.cif: cannot be read .*; save it as text in UTF-8"):
            read(tmp_path, "a.cif", text.encode(encoding))


def test_a_structure_in_json_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json: cannot be read .it is one structure; write it as CIF"):
        read(tmp_path, "a.json", str(HALITE.to(fmt="json")))


def test_all_bad_files_are_listed_at_once(tmp_path: Path) -> None:
    contents = {"a.cif": "", "b.vasp": POSCAR.replace("0.5 0.5 0.5", "0 0 0.01"), "c.vasp": POSCAR, "d.txt": "x"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    files = [tmp_path / name for name in contents]
    with pytest.raises(DataError) as caught:
        read_inputs(files)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        str(tmp_path / name) for name in ("a.cif", "b.vasp", "d.txt")
    ]
    with pytest.raises(DataError, match=r"(?s)x.cif: there is no such file.*y.cif: there is no such file"):
        read_inputs([tmp_path / "x.cif", files[2], tmp_path / "y.cif"])


def test_all_bad_structures_are_listed_at_once() -> None:
    mixed = Structure(Lattice.cubic(4), [{"Na": 0.5}], [[0, 0, 0]])
    close = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0.01]])
    with pytest.raises(DataError, match=r"(?s)^structure 1: site 0 is disordered.*\nstructure 2: has two atoms 0.04 Å"):
        as_inputs([HALITE, mixed, close])
    assert as_inputs([HALITE, HALITE]).ids.tolist() == ["0", "1"]
    with pytest.raises(DataError, match="not dict"):
        as_inputs(HALITE.as_dict())  # type: ignore[arg-type]


def yaml_of(entry: Any) -> str:
    stream = io.StringIO()
    YAML().dump(entry, stream)
    return stream.getvalue()


@pytest.mark.parametrize(("suffix", "written"), [("json", json.dumps), ("yaml", yaml_of), ("yml", yaml_of)])
def test_structures_in_json_and_yaml_must_not_contradict_themselves(
    tmp_path: Path, suffix: str, written: Callable[[Any], str]
) -> None:
    entry = json.loads(str(HALITE.to(fmt="json")))
    (tmp_path / f"good.{suffix}").write_text(written(entry))
    found = structure_of_file(tmp_path / f"good.{suffix}")
    assert found.composition == HALITE.composition
    np.testing.assert_allclose(found.lattice.matrix, HALITE.lattice.matrix)
    entry["lattice"]["a"] += 1
    file = tmp_path / f"bad.{suffix}"
    file.write_text(written(entry))
    with pytest.raises(DataError, match=r"cannot be read as a structure \(.*lattice.* a "):
        structure_of_file(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.yaml", "a: 1\na: 2\n"), ("a.json", '{"lattice": 1, "lattice": 2}'), ("a.yaml", "- [1"), ("a.json", "[1]")],
)
def test_other_json_and_yaml_is_no_structure(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="cannot be read as a structure"):
        structure_of_file(tmp_path / name)
