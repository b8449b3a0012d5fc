"""The 13 official tasks of Matbench v0.1: sizes, targets, units, ids, and how to recognise their data.

The numbers are those of the packages matbench 0.6 (``matbench_v0.1_dataset_metadata.json``) and matminer 0.10.1
(``dataset_metadata.json``); a test compares them with the installed packages. Matbench is described in Dunn et al.,
npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalbench.targets import Kind


@dataclass(frozen=True, kw_only=True)
class OfficialTask:
    """Facts about an official task.

    Attributes:
        name: Matbench's name, for instance ``matbench_phonons``.
        n_samples: number of rows.
        kind: regression or binary.
        input: ``structure`` or ``composition``, which is also the name of the input's column in matminer's file.
        target: name of the target's column in matminer's file.
        unit: unit of the target; ``unitless`` for the refractive index, empty for labels.
        sha256: SHA-256 of matminer's file ``<name>.json.gz``.
        fingerprint: `content_fingerprint` of the rows, which does not depend on how the file was compressed.
        reference: origin of the data.
        license: terms of use of the data, as far as the source states them.
    """

    name: str
    n_samples: int
    kind: Kind
    input: Literal["structure", "composition"]
    target: str
    unit: str
    sha256: str
    fingerprint: str
    reference: str
    license: str

    @property
    def short(self) -> str:
        """The name without ``matbench_``, for instance ``phonons``."""
        return self.name.removeprefix("matbench_")

    @property
    def metric(self) -> str:
        """The metric that Matbench ranks by: ``mae`` or ``rocauc`` (of thresholded labels)."""
        return "mae" if self.kind is Kind.REGRESSION else "rocauc"

    @property
    def url(self) -> str:
        """The address from which matminer downloads the file."""
        return f"https://ml.materialsproject.org/projects/{self.name}.json.gz"

    @property
    def id_prefix(self) -> str:
        """The beginning of each id, for instance ``mb-phonons-``."""
        return self.name.replace("matbench", "mb", 1).replace("_", "-") + "-"

    @property
    def id_width(self) -> int:
        """Number of digits of the zero-padded number in an id: those of the number of rows."""
        return len(str(self.n_samples))


_JAIN = "Jain et al. (Materials Project), APL Mater. 1, 011002 (2013), doi:10.1063/1.4812323"
_DE_JONG = "de Jong et al., Sci. Data 2, 150009 (2015), doi:10.1038/sdata.2015.9"
_ZHUO = "Zhuo et al., J. Phys. Chem. Lett. 9, 1668 (2018), doi:10.1021/acs.jpclett.8b00124"
_MP_LICENSE = "CC BY 4.0 (Materials Project)"
_UNSTATED = "not stated by matminer or Matbench"

OFFICIAL: dict[str, OfficialTask] = {
    task.name: task
    for task in (
        OfficialTask(
            name="matbench_steels",
            n_samples=312,
            kind=Kind.REGRESSION,
            input="composition",
            target="yield strength",
            unit="MPa",
            sha256="473bc4957b2ea5e6465aef84bc29bb48ac34db27d69ea4ec5f508745c6fae252",
            fingerprint="bdd174f6346d8e870fbda5ccedde78384ddcd1dc22d394d8e1d53667c9cd3e60",
            reference="Citrine Informatics, Mechanical properties of some steels, citrination.com/datasets/153092",
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_jdft2d",
            n_samples=636,
            kind=Kind.REGRESSION,
            input="structure",
            target="exfoliation_en",
            unit="meV/atom",
            sha256="26057dc4524e193e32abffb296ce819b58b6e11d1278cae329a2f97817a4eddf",
            fingerprint="987af440a83d19f2e219701402384d91ea71d361585a274de5263b7fab5aa2e2",
            reference="Choudhary et al., Sci. Rep. 7, 5179 (2017), doi:10.1038/s41598-017-05402-0",
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_phonons",
            n_samples=1265,
            kind=Kind.REGRESSION,
            input="structure",
            target="last phdos peak",
            unit="cm⁻¹",
            sha256="4db551f21ec5f577e6202725f10e34dfc509aa7df3a6bdaac497da7f6dbbb9b3",
            fingerprint="ea1511838aeba6233cc577beb1f4a6da9f2e7f52c73d1e2c9204a045388af666",
            reference="Petretto et al., Sci. Data 5, 180065 (2018), doi:10.1038/sdata.2018.65",
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_expt_gap",
            n_samples=4604,
            kind=Kind.REGRESSION,
            input="composition",
            target="gap expt",
            unit="eV",
            sha256="783e7d1461eb83b00b2f2942da4b95fda5e58a0d1ae26b581c24cf8a82ca75b2",
            fingerprint="8a0e7a5ebe69d391e22ebe43beb57ab408e279b064a06f3facdbae0808376f40",
            reference=_ZHUO,
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_dielectric",
            n_samples=4764,
            kind=Kind.REGRESSION,
            input="structure",
            target="n",
            unit="unitless",
            sha256="83befa09bc2ec2f4b6143afc413157827a90e5e2e42c1eb507ccfa01bf26a1d6",
            fingerprint="44a94865f95373fe534a1957c1e279de6855b9d718dc29c08ac9388e3d5fb983",
            reference="Petousis et al., Sci. Data 4, 160134 (2017), doi:10.1038/sdata.2016.134",
            license=_MP_LICENSE,
        ),
        OfficialTask(
            name="matbench_expt_is_metal",
            n_samples=4921,
            kind=Kind.BINARY,
            input="composition",
            target="is_metal",
            unit="",
            sha256="8f2a4f9bacdcbc5c2c73615629ee7986f09d39bed40ba7db52b61b2889730887",
            fingerprint="7dc673761419317c685566e6743ee6935a02899104ace7964558df3798b73d11",
            reference=_ZHUO,
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_glass",
            n_samples=5680,
            kind=Kind.BINARY,
            input="composition",
            target="gfa",
            unit="",
            sha256="36beb654e2a463ee2a6572105bea0ca2961eee7c7b26a25377bff2c3b338e53a",
            fingerprint="0f3a86aa25a6e6d36af2adf3137d0f0498b11d39ead3c49494a4301a608ef3cc",
            reference="Kawazoe et al., Landolt-Börnstein III 37A (1997), doi:10.1007/10510374_2",
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_log_gvrh",
            n_samples=10987,
            kind=Kind.REGRESSION,
            input="structure",
            target="log10(G_VRH)",
            unit="log10(GPa)",
            sha256="098af941f4c663270f1fe21abf20ffad6fb85ecbfcba5786ceac03983ac29da7",
            fingerprint="18b2810cdf3b6b6b7881a547063645efba5df223298b28e445da48dcf972c8a2",
            reference=_DE_JONG,
            license=_MP_LICENSE,
        ),
        OfficialTask(
            name="matbench_log_kvrh",
            n_samples=10987,
            kind=Kind.REGRESSION,
            input="structure",
            target="log10(K_VRH)",
            unit="log10(GPa)",
            sha256="44b113ddb7e23aa18731a62c74afa7e5aa654199e0db5f951c8248a00955c9cd",
            fingerprint="f3f1be3cdd4c871bb48c27ad692a24865e4dec247c7df42d67baf23bc011526e",
            reference=_DE_JONG,
            license=_MP_LICENSE,
        ),
        OfficialTask(
            name="matbench_perovskites",
            n_samples=18928,
            kind=Kind.REGRESSION,
            input="structure",
            target="e_form",
            unit="eV/unit cell",
            sha256="4641e2417f8ec8b50096d2230864468dfa08278dc9d257c327f65d0305278483",
            fingerprint="5910e2f1a812846bdf6d9c567cf00951281f1a821005fe179bd2607bfc713745",
            reference="Castelli et al., Energy Environ. Sci. 5, 9034 (2012), doi:10.1039/C2EE22341D",
            license=_UNSTATED,
        ),
        OfficialTask(
            name="matbench_mp_gap",
            n_samples=106113,
            kind=Kind.REGRESSION,
            input="structure",
            target="gap pbe",
            unit="eV",
            sha256="58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
            fingerprint="b92bae7f98ef18aca028824178527ea14d7fb8258294161acbc31f7496ab501d",
            reference=_JAIN,
            license=_MP_LICENSE,
        ),
        OfficialTask(
            name="matbench_mp_is_metal",
            n_samples=106113,
            kind=Kind.BINARY,
            input="structure",
            target="is_metal",
            unit="",
            sha256="9a028ed5750a4c76ca36e9f3c8d48fe0bf3fb21b76ec2289e58ae7048d527919",
            fingerprint="0d077fb0bbd7bf9d0c90dd6f4b33760f1a655d910538746e1bd988524d526dba",
            reference=_JAIN,
            license=_MP_LICENSE,
        ),
        OfficialTask(
            name="matbench_mp_e_form",
            n_samples=132752,
            kind=Kind.REGRESSION,
            input="structure",
            target="e_form",
            unit="eV/atom",
            sha256="dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
            fingerprint="02da5cad71fdf5e89f0733bcbcf760c7bb3b568c87effc647f85b4f51a1057b4",
            reference=_JAIN,
            license=_MP_LICENSE,
        ),
    )
}
"""The official tasks by name, smallest first."""
