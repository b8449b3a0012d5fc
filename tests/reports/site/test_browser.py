"""The pages in a browser: nothing fails, tables sort, figures are drawn, and a phone needs no sideways scrolling."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((path for name in PROGRAMS if (path := shutil.which(name))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"),
]

TASK = "tasks/matbench_phonons.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        found = driver.chromium.launch(executable_path=PROGRAM, args=options)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    yield context.new_page()
    context.close()


def problems_of(page: Page, address: str) -> list[str]:
    """What the browser complains of while it opens a page and draws all its figures."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(request.url))
    page.goto(address)
    page.evaluate("async () => { for (const place of document.querySelectorAll('[data-chart]')) await draw(place); }")
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_opens_and_draws_its_figures(page: Page, site: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in sorted(site.rglob("*.html")):
        assert problems_of(page, path.as_uri()) == [], path.name
        places = page.locator("[data-chart]")
        drawn = page.locator("[data-chart] .main-svg").count()
        assert drawn >= places.count(), path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name


def test_figures_are_drawn_when_they_come_into_view(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    place = page.locator('[data-chart="pairs"]')
    place.scroll_into_view_if_needed()
    place.locator(".main-svg").first.wait_for(timeout=20_000)


def test_tables_sort_by_value_and_rows_without_one_stay_last(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    head = page.locator("#board thead th", has_text="RMSE")
    column = page.locator("#board thead th").evaluate_all(
        "heads => heads.findIndex(h => h.textContent.startsWith('RMSE'))"
    )

    def values() -> list[str]:
        cells = page.locator(f"#board tbody tr > :nth-child({column + 1})")
        return cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")

    for order, reverse in (("ascending", False), ("descending", True)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        found = values()
        known = [float(value) for value in found if value]
        assert known == sorted(known, reverse=reverse)
        assert all(found[: len(known)])
    page.locator("#board thead th button", has_text="model").focus()
    page.keyboard.press("Enter")
    names = page.locator("#board tbody th").evaluate_all("cells => cells.map(cell => cell.textContent.toLowerCase())")
    assert len(names) > 5
    assert page.locator('#board thead th[aria-sort="ascending"]').inner_text().startswith("model")


def test_the_ranking_can_be_filtered(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    page.locator('[data-filter="board"]').fill("alignn")
    assert page.locator("#board tbody tr:visible").count() == 1
    page.locator('[data-filter="board"]').fill("")
    page.locator('[data-ours="board"]').check()
    shown = page.locator("#board tbody tr:visible")
    assert shown.count() == page.locator("#board tbody tr.ours").count() > 2


def test_another_model_can_be_chosen(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    select = page.locator('[data-parity="parity"]')
    assert select.locator("option").count() >= 3
    select.select_option(label="magpie_forest")
    name = page.evaluate("document.querySelector('[data-chart=\"parity\"]').data[0].name")
    assert name == "magpie_forest"
    assert page.locator("#elements-table .element.there").count() == 2


def test_the_page_turns_dark_and_remembers_it(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    assert dark != light
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_everything_can_be_named_by_a_screen_reader(page: Page, site: Path) -> None:
    page.goto((site / TASK).as_uri())
    nameless = "e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)"
    for kind in ("button", "a", "select", "input", "[role=img]", "[role=region]"):
        found = page.locator(kind).evaluate_all(f"all => all.filter({nameless}).map(e => e.outerHTML)")
        assert found == [], kind
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
