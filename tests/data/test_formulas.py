"""Formulas that other programs misread in silence."""

from __future__ import annotations

import pytest

from crystalbench.data.compositions import Compositions
from crystalbench.errors import DataError


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("FeIIO", "oxidation state"),
        ("Fe II O", "oxidation state"),
        ("MnIVO2", "oxidation state"),
        ("Pb(II,IV)3O4", "oxidation state"),
        ("T2O", "T is tritium or stands for any metal"),
        ("YT2Si2", "T is tritium or stands for any metal"),
        ("Fe1e-12O", "amount of Fe is zero or too small"),
        ("Fe1e-320O", "amount of Fe is zero or too small"),
        ("Fe1e10O", "amount of O is less than"),
        ("Fe2O3·0H2O", "amount of zero"),
        ("Fe2O3.0H2O", "amount of zero"),
        ("Mg0.6.6H2O", "amount of zero"),
        ("CuSO4.5H20", "digit zero"),
        ("CuSO4·5H20", "digit zero"),
        ("CaO.Al2O3", "dot may be decimal"),
        ("H2O.NaCl", "dot may be decimal"),
        ("FeO.", "dot may be decimal"),
        ("Al203", "203 may be 2O3 with the digit zero"),
        ("H20", "20 may be 2O with the digit zero"),
        ("Na2C03", "C03 has a leading zero"),
        ("Fe2(S04)3", "S04 has a leading zero"),
        ("BaTi03", "i03 has a leading zero"),
        ("CaCl2.2H2O.2H2O", "dot in 2.2 may be decimal"),
        ("CaCl2.2H2O·NaCl", "dot in 2.2 may be decimal"),
        ("U235O2", "U235 is an isotope, or an amount"),
        ("CrVI", "oxidation state"),
        ("FeVIO4", "oxidation state"),
        ("FeS2@C", "@ joins two materials"),
        (["Na", "Cl"], "not text"),
        ({"Na": 1}, "not text"),
    ],
)
def test_formulas_that_would_be_guessed_are_refused(formula: object, reason: str) -> None:
    with pytest.raises(DataError, match=f"r0: .*{reason}"):
        Compositions.from_formulas([formula], ["r0"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("MgCl2.6HOH", "MgCl2O6H12"),
        ("MgCl2.6OD2", "MgCl2O6H12"),
        ("CuSO4‧5H2O", "CuSO9H10"),
        ("CuSO4・5H2O", "CuSO9H10"),
        ("InI", "I1In1"),
        ("CuI", "Cu1I1"),
        ("VI3", "V1I3"),
        ("C10H20", "C10H20"),
        ("Al203.0", "Al203.00"),
        ("Cu20", "Cu20.0"),
        ("Mn20", "Mn20.0"),  # of Matbench: the content of a cell
        ("U235.0O2", "U235.0O2"),
        ("Ni108Al4", "Ni108.0Al4"),
        ("Zr15Si302", "Zr15.0Si302.0"),  # of matbench_glass
        ("C60", "C60.0"),
        ("CsVI3", "Cs1V1I3"),
        ("Fe20Ni20", "Fe20Ni20"),
        ("CaCl2.2H2O", "CaCl2O2H4"),
        ("Fe0.999999Ni0.000001", "Fe0.999999Ni0.000001"),
    ],
)
def test_formulas_with_one_reading_are_read(formula: str, same: str) -> None:
    one, other = (Compositions.from_formulas([text]).amounts_of(0) for text in (formula, same))
    assert one == pytest.approx(other)
