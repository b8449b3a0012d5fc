"""The files of the site: complete, linked, escaped, repeatable."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers import record

from crystalbench.errors import ConfigError, DataError
from crystalbench.reports.site import Content, facts_of, read_content, write_site
from crystalbench.reports.site.links import Links
from crystalbench.reports.site.pages.task import periodic_cells
from crystalbench.results import Results
from crystalbench.tasks import DataSources, Task
from crystalbench.tasks.demo import DemoTaskSpec


class Parsed(HTMLParser):
    """Links, ids, tags and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.text += " " * (tag not in ("wbr", "b", "span", "a"))
        self.links += [value for name in ("href", "src") if (value := values.get(name)) is not None]
        self.ids += [value for name, value in attrs if name == "id" and value is not None]
        if tag == "script":
            self.scripts.append(values)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Parsed]:
    return {
        str(path.relative_to(site)): Parsed(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))
    }


def chart(site: Path, page: str, name: str) -> dict[str, Any]:
    text = (site / page).read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="data-{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_there_is_a_page_for_each_board_and_model(pages: dict[str, Parsed]) -> None:
    assert {"index.html", "models.html", "information.html", "costs.html", "method.html"} <= pages.keys()
    tasks = {name for name in pages if name.startswith("tasks/")}
    assert tasks == {"tasks/matbench_phonons.html", "tasks/matbench_phonons-60.html", "tasks/matbench_mp_is_metal.html"}
    assert {"models/cgcnn.html", "models/magpie_forest.html", "models/alignn.html"} <= pages.keys()


def test_all_links_lead_to_files_of_the_site(site: Path, pages: dict[str, Parsed]) -> None:
    for name, page in pages.items():
        for link in page.links:
            if link.startswith(("data:", "#")):
                continue
            assert not re.match(r"\w+:|//", link), f"{name} needs a network for {link}"
            assert (site / name).parent.joinpath(link.partition("#")[0]).is_file(), f"{name} links to {link}"


def test_ids_are_unique(pages: dict[str, Parsed]) -> None:
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name


def test_hostile_names_are_text(site: Path, pages: dict[str, Parsed]) -> None:
    page = pages["tasks/matbench_phonons.html"]
    assert "<script>alert(1)</script> & 'b'" in page.text
    for name, parsed in pages.items():
        assert all(script.get("src") or script.get("type") == "application/json" for script in parsed.scripts), name
        assert "<script>alert" not in (site / name).read_text(encoding="utf-8")


def test_the_first_page_says_what_is_resolved(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["index.html"].text.split())
    assert "Kinds in the first tier: " in text
    assert "cgcnn" in text
    assert "matbench_phonons (60 of 1,265 rows)" in text


def test_differences_are_those_of_the_tests(content: Content, site: Path) -> None:
    number = next(k for k, b in enumerate(content.boards) if b.task == "matbench_phonons" and not b.is_partial)
    board = content.boards[number]
    tests = board.pairs
    best = next(i for i, entry in enumerate(board.entries) if board.is_ranked(entry))
    drawn = {}
    for trace in chart(site, "tasks/matbench_phonons.html", "standing")["data"]:
        drawn |= {
            name: (x, low, high)
            for name, x, (_, low, high) in zip(trace["y"], trace["x"], trace["customdata"], strict=True)
        }
    other = next(i for i, e in enumerate(board.entries) if e.model == "magpie_forest")
    pair = ((tests.a == best) & (tests.b == other)).nonzero()[0][0]
    expected = (-tests.test.mean[pair], -tests.test.high[pair], -tests.test.low[pair])
    assert drawn["magpie_forest"] == pytest.approx(expected, rel=1e-3)
    assert drawn[board.entries[best].model] == (0, 0, 0)


def test_pairs_are_antisymmetric(site: Path) -> None:
    (trace,) = chart(site, "tasks/matbench_phonons.html", "pairs")["data"]
    values = trace["z"]
    for i, row in enumerate(values):
        assert row[i] is None
        for j, value in enumerate(row):
            assert value in (None, -1, 0, 1)
            assert values[j][i] == (None if value is None else -value)
    assert any(value == 1 for row in values for value in row)


def test_parity_has_each_row_once_and_the_means_over_seeds(site: Path) -> None:
    drawn = chart(site, "tasks/matbench_phonons.html", "parity")
    assert len(drawn["ids"]) == len(set(drawn["ids"])) == 60
    at = drawn["ids"].index("mb-2-3")
    model = next(m for m in drawn["models"] if m["name"] == "cgcnn")
    assert drawn["targets"][at] == 32.0
    assert model["predictions"][at] == 36.0
    assert drawn["formulas"][at] == "Fe3O5"


def test_the_page_of_a_model_lists_its_worst_rows_with_formulas(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["models/cgcnn.html"].text.split())
    assert "mb-0-11 Fe1O13 110.0 122.0 +12.0 0" in text
    assert "cgcnn (anonymous)" in text
    assert "structure without chemistry" not in text.partition("Scores")[0]  # what it sees without a view
    assert "width" in text


def test_slices_are_marked_where_their_interval_excludes_the_mean(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["tasks/matbench_phonons.html"].text.split())
    assert "formula seen 30 ▼ 4.500 ▼ 11.00" in text
    assert "formula unseen 30 ▲ 8.500 ▲ 15.00" in text


def test_uncertainty_and_the_composition_ceiling_are_shown(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["tasks/matbench_phonons.html"].text.split())
    assert "cgcnn plain 90 % (88 to 92) 31.50 element H: 50 % 77 % 0.49" in text
    assert "all in sample 1.500 1.250 to 1.750 60 magpie_forest: 13.500" in text
    assert "Uncertainty" not in pages["tasks/matbench_mp_is_metal.html"].text


def test_the_information_page_shows_skills_sources_and_drifts(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["information.html"].text.split())
    assert "matbench_phonons (1,265 rows): skill by view view cgcnn magpie_forest" in text
    assert "full 0.90 [0.85, 0.95] 0.80" in text
    hidden = "hides the elements: they become labels A, B, C by frequency, then by geometry"
    assert f"anonymous {hidden} 0.41 [0.30, 0.50] no value–" in text
    assert "chemistry, elements first 0.70 [0.60, 0.80], 78 % chemistry, elements last 0.49 [0.40, 0.60], 54 %" in text
    assert "transformation cgcnn atom order < 0.1 % 0.1 Å 50 %" in text
    assert "cgcnn depends on what has no meaning: 0.1 Å (50 % of the error)." in text


def test_cells_are_coloured_and_details_folded(site: Path) -> None:
    text = (site / "information.html").read_text(encoding="utf-8")
    assert '<td class="shade-4"><span class="score">0.90</span><small>[0.85, 0.95]</small></td>' in text
    assert '<td class="drift-3"><span class="score">50 %</span></td>' in text
    assert "<details><summary>cgcnn on matbench_phonons (1,265 rows)</summary>" in text


def test_probes_of_users_are_shown_as_they_report(site: Path) -> None:
    text = (site / "information.html").read_text(encoding="utf-8")
    assert re.search(
        r'<a href="#(probe-\d)">What colours tell</a>.*<h2 id="\1">What colours tell</h2>', text, re.DOTALL
    )
    assert "<h3>Colours &amp; &lt;b&gt;shapes&lt;/b&gt;</h3>" in text
    assert '<th scope="row">a_<wbr>task</th><td>0.5</td>' in text
    assert "<p>So it is.</p>" in text


def test_questions_are_in_the_order_that_probes_declare(site: Path) -> None:
    text = (site / "information.html").read_text(encoding="utf-8")
    shown = re.findall(r'<h2 id="probe-\d">(\w+ \w+)', text)
    assert shown == ["How much", "How far", "Which descriptors", "Which crystals", "How much", "What colours"]


def test_the_information_page_shows_descriptors_refinement_and_the_readout(pages: dict[str, Parsed]) -> None:
    text = " ".join(pages["information.html"].text.split())
    assert "cgcnn: trained on it descriptor_forest: composition and volume cgcnn: linear probe" in text
    assert "density (density) 0.98 [0.97, 0.99] no value– 0.81 [0.70, 0.90]" in text
    assert "c (cell) no value– 0.30 0.00 [−0.10, 0.10]" in text
    assert "cgcnn learns (more than composition and volume): density." in text
    assert "cgcnn training adds (to what is there before training): nothing; less: density; not resolved: c." in text
    assert "12 0.01 3 2 4 1,265" in text
    assert "With 12 neighbours, the same to any network of elements and distances: a (SiC) and b (SiC)." in text
    assert "The reduction is extensivity: the number of atoms alone gives at least 95 % of it (97.7 %" in text
    assert "dummy no value– none 12.00 [11.00, 13.00] −20.0 %" in text


def test_errors_by_element_are_in_the_periodic_table(site: Path) -> None:
    assert chart(site, "tasks/matbench_phonons.html", "elements")["cgcnn"] == {"O": [6.5, 30], "H": [26.0, 30]}
    cells = {cell["symbol"]: (cell["row"], cell["column"]) for cell in periodic_cells()}
    assert len(set(cells.values())) == len(cells) == 118
    assert cells["H"] == (1, 1)
    assert cells["Fe"] == (4, 8)
    assert cells["La"] == (9, 3)
    assert cells["U"] == (10, 6)


def test_learning_curves_are_drawn(site: Path) -> None:
    traces = chart(site, "tasks/matbench_phonons.html", "curve")["data"]
    assert traces[0]["name"].startswith("cgcnn")


def test_classification_has_a_curve_instead_of_predictions_against_targets(
    site: Path, pages: dict[str, Parsed]
) -> None:
    (trace,) = chart(site, "tasks/matbench_mp_is_metal.html", "roc")["data"]
    assert trace["name"] == "magpie_forest"
    assert max(trace["y"]) == 1
    assert "data-parity" not in (site / "tasks/matbench_mp_is_metal.html").read_text()


def test_the_same_results_give_the_same_bytes(content: Content, site: Path, tmp_path: Path) -> None:
    write_site(content, tmp_path / "again")
    for path in site.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(site)).read_bytes() == path.read_bytes()


def test_an_earlier_site_is_replaced_and_other_folders_are_not(content: Content, site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(content, folder)
    (folder / "tasks" / "gone.html").write_text("an older page")
    write_site(content, folder)
    assert not (folder / "tasks" / "gone.html").exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.html").write_text("mine")
    with pytest.raises(ConfigError, match="not empty and not a site"):
        write_site(content, other)
    assert (other / "chapter.html").read_text() == "mine"


def test_names_that_differ_in_marks_only_have_pages_of_their_own(content: Content) -> None:
    addresses = [*content.links.boards, *content.links.models.values()]
    assert len(set(addresses)) == len(addresses)
    assert isinstance(content.links, Links)


def test_a_damaged_table_is_named(results: Results, tmp_path: Path) -> None:
    (tmp_path / "slices.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"slices\.csv: cannot be read as a table"):
        read_content(results, tmp_path)


def test_pages_do_without_further_tables_and_facts(results: Results, tmp_path: Path) -> None:
    write_site(read_content(results, tmp_path), tmp_path / "site")
    page = Parsed((tmp_path / "site" / "tasks" / "matbench_phonons.html").read_text(encoding="utf-8"))
    assert "Uncertainty" not in page.text
    assert "cgcnn" in page.text
    assert "crystalbench probe information" in (tmp_path / "site" / "information.html").read_text(encoding="utf-8")


def test_results_on_part_of_a_task_and_on_its_descriptors_have_its_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "demo_formation_energy"
    names = (name, f"{name}+descriptor:density", f"{name}+descriptor:density+shuffled_labels", "matbench_phonons")
    some = Results([record(task=task, data=digest * 64) for task in (*names, "mine") for digest in "ab"])
    loaded: list[str] = []
    load = DemoTaskSpec.load

    def counting(spec: DemoTaskSpec, sources: DataSources) -> Task:
        loaded.append(spec.name)
        return load(spec, sources)

    monkeypatch.setattr(DemoTaskSpec, "load", counting)
    found, problems = facts_of(some, DataSources(download=False))
    assert loaded == [name]
    assert list(found) == [name] and len(found[name].formulas) == 1168
    assert [problem.partition(":")[0] for problem in problems] == ["matbench_phonons", "mine"]
    content = read_content(some, Path("nowhere"), found)
    assert {board.data for board in content.boards if board.task == name} == {"a" * 64, "b" * 64}
    for board in content.boards:
        assert bool(content.formulas(board)) == board.task.startswith(name)


def test_the_site_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 15e6
