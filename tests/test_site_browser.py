"""The page in a real browser: Chromium from the disk, as a reader opens it, and from `open`."""

from __future__ import annotations

import csv
import re
import shutil
import threading

import pytest

import segbench as sb
from segbench.board.entry import find_entries
from segbench.board.site import write_site
from segbench.board.site.local import local_page
from segbench.board.site.serve import HOST, server
from segbench.board.standings import standings

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
expect = playwright_api.expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium"),
    pytest.mark.xdist_group("browser"),  # one browser at a time
]
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
KEY = "synthetic-lesions-test"
PAGES = {
    "overview": "index.html",
    "board": f"{KEY}/index.html",
    "entry": f"{KEY}/entries/near.html",
    "compare": f"{KEY}/compare.html#a=near&b=far",
    "viewer": f"{KEY}/viewer.html#entries=near,far",
}
DRAWN = {
    "overview": "main h1",
    "board": "#cost-chart svg",
    "entry": "#distribution-chart svg",
    "compare": "#images tbody tr",
    "viewer": "#stage svg",
}
"""What is there last."""

HOSTILE = "=1+1 <script>alert(1)</script>"


@pytest.fixture(scope="module")
def site(board_results, synthetic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser") / "a site"
    published = [entry for _, entry in find_entries(board_results) if entry.status == "published"]
    write_site(standings(board_results), published, folder, data=synthetic)
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def visit(browser, site):
    """Open a page of the site; the test fails if it complains or asks anything of the network."""
    contexts, complaints, requests = [], [], []

    def blocked(route):
        allowed = route.request.url.startswith((site.as_uri(), f"http://{HOST}:", "data:", "blob:"))
        requests.append(route.request.url)
        return route.continue_() if allowed else route.abort()

    def opened(name, *, scheme="light", width=1280, base=None):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        context.route("**/*", blocked)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
        page.goto(f"{base or site.as_uri()}/{PAGES[name]}")
        page.locator(DRAWN[name]).first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [r for r in requests if not r.startswith((site.as_uri(), f"http://{HOST}:"))] == []
    assert requests


def column(page, index, table="table[data-status=verified]"):
    return page.eval_on_selector_all(
        f"{table} tbody tr:not([hidden])",
        "(rows, i) => rows.map((row) => row.cells[i].dataset.sort ?? row.cells[i].textContent)",
        index,
    )


def downloaded(page, button):
    with page.expect_download() as download:
        button.click()
    with download.value.path().open(encoding="utf-8", newline="") as stream:
        return download.value.suggested_filename, list(csv.reader(stream))


def test_sorting(visit):
    page = visit("board")
    head = page.locator("table[data-status=verified] thead")
    assert column(page, 1)[0] == "exact"
    assert column(page, 1)[-1] == "far"
    head.get_by_role("button", name="Entry").click()
    assert column(page, 1) == ["copied", "exact", "far", "near", "near-again"]  # reported, unranked
    assert page.locator("table[data-status=verified] [aria-sort]").count() == 1
    head.get_by_role("button", name="Entry").click()
    assert column(page, 1) == ["near-again", "near", "far", "exact", "copied"]
    assert head.locator("[aria-sort=descending]").inner_text().startswith("Entry")
    dice = head.locator("th[data-best]")
    dice.get_by_role("button").click()  # the best first
    values = [float(x) for x in column(page, 2)]
    assert values == sorted(values, reverse=True)
    assert dice.get_attribute("aria-sort") == "descending"
    parameters = head.get_by_role("button", name="Params")
    parameters.click()
    assert column(page, 1)[:2] == ["far", "near"]  # those without a value stay last
    parameters.click()
    assert column(page, 1)[:2] == ["near", "far"]
    assert page.locator("tr.edge").count() == 0
    head.get_by_role("button", name="Tier").click()
    assert page.locator("tr.edge").count() == 2


def test_ties_are_shown_as_ties(visit):
    page = visit("board")
    tiers = page.locator("table[data-status=verified] tbody .tier").all_inner_texts()
    assert tiers == ["1", "2=", "2=", "3"]
    row = page.locator("tr[data-name=near]").first
    assert "tied with 1 other" in row.locator("td").first.text_content()
    assert row.locator("svg .whisker").count() == 1


def test_filtering(visit):
    page = visit("board")
    found = page.locator("#found")
    assert found.inner_text() == "5 of 5 shown"
    page.get_by_label("Find").fill("near again")
    assert column(page, 1) == ["near-again"]
    assert found.inner_text() == "1 of 5 shown"
    page.get_by_label("Find").fill("")
    page.get_by_label("Tiers").select_option("1")
    assert column(page, 1) == ["exact"]
    assert column(page, 1, "table[data-status=reported]") == []  # alone, it has no tier
    page.get_by_label("Tiers").select_option("")
    page.locator("#size").select_option("1e6")
    assert column(page, 1) == ["far"]
    assert column(page, 0, "table[data-published]") != []  # published numbers are not entries


def test_keyboard(visit):
    page = visit("board")
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the content"
    assert skip.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    button = page.locator("table[data-status=verified]").get_by_role("button", name="Entry")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert column(page, 1)[0] == "near-again"
    assert button.evaluate("b => getComputedStyle(b).outlineStyle") == "solid"
    tabs = page.get_by_role("tab")
    names = tabs.all_inner_texts()
    assert "size" in names
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").inner_text() == names[1]
    page.keyboard.press("End")
    assert page.get_by_role("tab", selected=True).inner_text() == names[-1]
    assert page.get_by_role("tabpanel").count() == 1
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text() == names[0]


def test_colour_schemes(visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit("board"), visit("board", scheme="dark")
    assert light.evaluate(paper) == "rgb(255, 255, 255)"
    assert dark.evaluate(paper) == "rgb(18, 22, 27)"
    dark.get_by_role("button", name="Light colours").click()
    assert dark.evaluate(paper) == "rgb(255, 255, 255)"
    dark.reload()
    assert dark.evaluate(paper) == "rgb(255, 255, 255)"  # the choice is kept
    dark.get_by_role("button", name="Dark colours").click()
    assert dark.evaluate(paper) == "rgb(18, 22, 27)"


def test_hostile_text_is_text(visit):
    for name in PAGES:
        page = visit(name)
        assert page.locator("img").count() == 0
        assert page.locator("script:not([src])").count() == 0
    page = visit("board")
    assert HOSTILE in page.locator("tr[data-name=near]").first.inner_text().replace("\n", " ")
    page = visit("entry")
    assert HOSTILE in page.locator("h1").inner_text()
    page = visit("compare")
    assert HOSTILE in page.locator("#a option:checked").inner_text()


def test_data_of_tables_and_charts(visit):
    page = visit("board")
    name, rows = downloaded(page, page.get_by_role("button", name="CSV of the verified"))
    assert name == f"{KEY}-verified.csv"
    assert [row[0] for row in rows] == ["entry", "exact", "near", "near-again", "far"] or [
        row[0] for row in rows
    ] == ["entry", "exact", "near-again", "near", "far"]
    near = next(row for row in rows if row[0] == "near")
    assert near[1].startswith("'=1+1 <script>")  # no formula in a spreadsheet
    assert near[rows[0].index("parameters")] == "1500000"
    _, rows = downloaded(page, page.locator("#cost-chart button"))
    assert sorted(row[0] for row in rows[1:]) == ["far", "near"]
    page = visit("entry")
    _, rows = downloaded(page, page.locator("#distribution-chart button"))
    assert rows[0][1].startswith("dice|class:lesion|over:images")
    assert len(rows) == 25
    page = visit("compare")
    for button in page.get_by_role("button", name=re.compile("CSV")).all():
        _, rows = downloaded(page, button)
        assert rows[0] == ["image", "near", "far", "difference"]
        assert len(rows) == 24  # one image has no lesion


def test_comparing(visit, board_results):
    folders = [board_results / "synthetic-lesions" / name for name in ("near", "far")]
    page = visit("compare")
    for key, decimals in (("dice", 3), ("hd95", 1)):
        (pair,) = sb.compare(*folders, measure=key).pairs
        label = page.locator("#measure option", has_text={"dice": "Dice", "hd95": "95"}[key])
        page.locator("#measure").select_option(label.first.get_attribute("value"))
        cells = page.locator("#numbers tbody tr").last.locator("td").all_inner_texts()
        cells = " ".join(cells).replace("\N{MINUS SIGN}", "-")
        numbers = [float(x) for x in re.findall(r"[-+]?[\d.]+", cells)]
        assert numbers[0] == pytest.approx(pair.value, abs=0.51 * 10**-decimals)
        spread = pair.ci95[1] - pair.ci95[0]
        assert numbers[1:3] == pytest.approx(pair.ci95, abs=0.03 * spread)
        images = page.locator("#images tbody th").all_inner_texts()
        assert images[:10] == [identifier for identifier, _, _ in pair.most_different()]
    page.locator("#measure").select_option("0")
    assert "near is better" in page.locator("#answer").inner_text()
    assert "Holm" in page.locator("#answer").inner_text()
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("#of-a")).to_have_text("far")
    assert "near is better" in page.locator("#answer").inner_text()
    assert "#a=far&b=near" in page.url
    page.locator("#b").select_option("copied")  # of another standing: never ranked with it
    expect(page.locator("#of-b")).to_have_text("copied")
    assert "Holm" not in page.locator("#answer").inner_text()
    large = page.locator("#group optgroup[label=size] option", has_text="large")
    page.locator("#group").select_option(large.get_attribute("value"))
    expect(page.locator("#answer")).to_contain_text("Only 8 groups")
    page.locator("#b").select_option("far")
    expect(page.locator("#answer")).to_contain_text("same entry")


def test_comparing_entries_that_are_not_told_apart(visit):
    page = visit("compare")
    page.locator("#b").select_option("near-again")
    expect(page.locator("#of-b")).to_have_text("near-again")
    assert page.locator("#answer").inner_text().startswith("Not told apart")


def look_around(page):
    """Use the viewer as a person does."""
    stage = page.locator("#stage svg")
    assert page.locator("#stage g.mask").count() == 3  # reference and two entries
    box = page.locator("#stage image").bounding_box()
    assert box["width"] > 100
    about = page.locator("#about-sample")
    first = about.inner_text()
    page.keyboard.press("ArrowRight")
    expect(about).not_to_have_text(first)
    assert ", 2 of 24" in about.inner_text()
    page.keyboard.press("End")
    expect(about).to_contain_text(", 24 of 24")
    assert page.locator("#next").is_disabled()
    page.locator("#reveal").fill("40")
    whole = float(page.locator("#stage image").get_attribute("width"))
    assert float(page.locator("#wipe-box").get_attribute("width")) == pytest.approx(0.4 * whole)
    page.locator("#reveal").focus()
    page.keyboard.press("ArrowLeft")  # moves the slider, not the image
    assert page.locator("#reveal").input_value() == "39"
    assert ", 24 of 24" in about.inner_text()
    page.get_by_role("checkbox", name="far").uncheck()
    expect(page.locator("#stage g.mask")).to_have_count(2)
    page.get_by_role("checkbox", name="exact").check()
    expect(page.locator("#stage g.mask")).to_have_count(3)
    assert "reference, contour of near, contour of exact" in stage.get_attribute("aria-label")
    page.get_by_role("checkbox", name="reference").uncheck()
    expect(page.locator("#stage g.mask")).to_have_count(2)


def test_the_viewer(visit, board_results):
    page = visit("viewer")
    look_around(page)
    page = visit("viewer")
    page.locator("#order").select_option("apart")
    expect(page.locator("#about-sample")).to_contain_text(", 1 of 24")
    folders = [board_results / "synthetic-lesions" / name for name in ("near", "far")]
    (pair,) = sb.compare(*folders).pairs
    order = page.eval_on_selector_all("#sample option", "all => all.map((o) => o.value)")
    assert order[:5] == [identifier for identifier, _, _ in pair.most_different(5)]
    page.locator("#order").select_option("worst")
    means = {identifier: (a + b) / 2 for identifier, a, b in pair.images}
    order = page.eval_on_selector_all("#sample option", "all => all.map((o) => o.value)")
    assert order[:5] == sorted(means, key=means.get)[:5]


def test_the_viewer_from_the_user_s_own_copy(visit, board_results, synthetic):
    masks = board_results.parent / "masks-far"
    page = local_page(board_results, data=synthetic, predictions={"mine": masks})
    with server(page.served) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        try:
            opened = visit("viewer", base=f"http://{HOST}:{running.server_port}")
            look_around(opened)
            opened.get_by_role("checkbox", name="mine").check()
            expect(opened.locator("#stage g.mask")).to_have_count(3)
            visit("board", base=f"http://{HOST}:{running.server_port}")
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(visit, scheme):
    # Everything in one scheme; in the other what depends on colours.
    only = {"runOnly": ["color-contrast", "link-in-text-block"]} if scheme == "dark" else {}
    for name in PAGES:
        page = visit(name, scheme=scheme)
        for details in page.locator("details").all():
            details.evaluate("d => { d.open = true; }")
        ran = axe_api.Axe().run(page, options={"preload": False, **only})
        assert len(ran.response["passes"]) >= (1 if only else 20)
        serious = [v for v in ran.response["violations"] if v["impact"] in {"serious", "critical"}]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == [], name


def test_a_phone(visit):
    for name in PAGES:
        page = visit(name, width=360)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
        sizes = page.eval_on_selector_all(
            ".chart text", "all => all.map((t) => t.getBoundingClientRect().height)"
        )
        assert min(sizes, default=12) >= 10, name


def test_no_text_leaves_its_cell(visit):
    """A long address in a table of published numbers must break, not cover what is beside it."""
    for width in (360, 1280):
        page = visit("board", width=width)
        leaving = page.eval_on_selector_all(
            "td, tbody th", "all => all.filter(c => c.scrollWidth > c.clientWidth + 1).length"
        )
        assert leaving == 0, width
