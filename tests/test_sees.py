from __future__ import annotations

import pytest

from crystalbench.data.views import View, compose, get_view, registered
from crystalbench.models import SEN, Sees, WithDescriptors, get_model, model_names
from crystalbench.sees import Hidden, most, seen

BOTH = {Hidden.CHEMISTRY, Hidden.STRUCTURE}


def test_every_kind_has_its_texts() -> None:
    assert len({kind.label for kind in Sees}) == len(Sees) == 9
    assert all(kind.meaning for kind in Sees)


@pytest.mark.parametrize(
    ("sees", "chemistry", "structure", "both"),
    [
        ("nothing", "nothing", "nothing", "nothing"),
        ("composition", "nothing", "composition", "nothing"),
        ("structure", "structure", "nothing", "nothing"),
        ("structure_and_chemistry", "structure", "composition", "nothing"),
        ("equivariant", "structure", "composition", "nothing"),
        ("descriptors", "structure", "composition", "nothing"),
        ("with_descriptors", "structure", "composition", "nothing"),
        ("pretrained", "pretrained", "pretrained", "pretrained"),
        ("undeclared", "undeclared", "undeclared", "undeclared"),
    ],
)
def test_what_is_left_when_something_is_hidden(sees: str, chemistry: str, structure: str, both: str) -> None:
    kind = Sees(sees)
    assert seen(kind, set()) == kind
    assert seen(kind, {Hidden.CHEMISTRY}) == chemistry
    assert seen(kind, {Hidden.STRUCTURE}) == structure
    assert seen(kind, BOTH) == both


def test_an_undeclared_view_leaves_only_what_no_view_changes() -> None:
    assert [kind for kind in Sees if seen(kind, None) is kind] == [Sees.NOTHING, Sees.PRETRAINED, Sees.UNDECLARED]
    assert seen(Sees.EQUIVARIANT, None) is Sees.UNDECLARED


def test_runs_of_several_kinds_count_as_the_one_that_sees_most() -> None:
    assert most({Sees.STRUCTURE, Sees.DESCRIPTORS, Sees.COMPOSITION}) is Sees.DESCRIPTORS


def test_every_registered_view_declares_what_it_hides() -> None:
    hidden = {view.name: view.hides for view in vars(registered).values() if isinstance(view, View)}
    assert {name for name, hides in hidden.items() if hides == {Hidden.STRUCTURE}} == {"composition_only"}
    without_elements = {"anonymous", "lattice_only", "symmetry_only"}
    assert {name for name, hides in hidden.items() if hides == {Hidden.CHEMISTRY}} == without_elements
    assert all(hides is not None for hides in hidden.values())


def test_composed_views_hide_what_their_parts_hide() -> None:
    assert get_view("anonymous+composition_only").hides == BOTH
    own = View("own", "something", lambda crystals: crystals)
    assert compose(get_view("anonymous"), own).hides is None


DEFAULTS = {
    "cgcnn": Sees.STRUCTURE_AND_CHEMISTRY,
    "deepknet": Sees.STRUCTURE_AND_CHEMISTRY,
    "descriptor_forest": Sees.DESCRIPTORS,
    "dummy": Sees.NOTHING,
    "e3nn": Sees.EQUIVARIANT,
    "hybrid": Sees.WITH_DESCRIPTORS,
    "hybrid_diffraction": Sees.WITH_DESCRIPTORS,
    "magpie_boosting": Sees.COMPOSITION,
    "painn": Sees.EQUIVARIANT,
    "schnet": Sees.STRUCTURE_AND_CHEMISTRY,
    "sen": Sees.EQUIVARIANT,
    "sen_published": Sees.STRUCTURE_AND_CHEMISTRY,
}


def test_every_registered_model_declares_what_it_sees() -> None:
    declared = {name: get_model(name)().sees for name in model_names()}
    assert Sees.UNDECLARED not in declared.values()
    assert {name: declared[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    ("name", "parameters", "sees"),
    [
        ("diffraction_spectrum", {"scattering": "equal"}, Sees.STRUCTURE),
        ("diffraction_grid", {"intensities": "none"}, Sees.STRUCTURE),
        ("deepknet_sphere", {"scattering": "neutron"}, Sees.STRUCTURE_AND_CHEMISTRY),
        ("deepknet", {"intensities": "absences"}, Sees.STRUCTURE_AND_CHEMISTRY),
        ("sen", {"lmax": 0}, Sees.STRUCTURE_AND_CHEMISTRY),
        ("e3nn", {"lmax": 0}, Sees.STRUCTURE_AND_CHEMISTRY),
        ("descriptor_forest", {"bank": "atom_count"}, Sees.STRUCTURE),
        ("descriptor_forest", {"bank": "space_group_volume"}, Sees.STRUCTURE),
        ("hybrid", {"bank": "space_group_volume"}, Sees.WITH_DESCRIPTORS),
        ("hybrid", {"bank": "atom_count"}, Sees.STRUCTURE_AND_CHEMISTRY),
        ("hybrid_diffraction", {"bank": "atom_count", "scattering": "equal"}, Sees.STRUCTURE),
    ],
)
def test_hyperparameters_that_change_what_a_model_sees(name: str, parameters: dict[str, object], sees: Sees) -> None:
    assert get_model(name).from_configuration(parameters).sees is sees


def test_descriptors_do_not_hide_that_a_network_is_pretrained() -> None:
    class Pretrained(SEN):
        """Stands for a pretrained network."""

        sees = Sees.PRETRAINED  # type: ignore[assignment]

    hybrid = type("Hybrid", (WithDescriptors, Pretrained), {})
    assert hybrid().sees is Sees.PRETRAINED
