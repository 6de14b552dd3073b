"""The page in Chromium, with a ledger of synthetic trials."""

import random
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
pytest.importorskip("playwright.sync_api", reason="browser tests need playwright: pip install 'hybrid-search[test]'")

from playwright.sync_api import expect, sync_playwright
from support.ledgers import a_search, fill, url_of, write_trial
from support.served import served

from hybrid_search.ledger import Ledger
from hybrid_search.objectives import scaled

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONG = "x" * 10_000
EVIL = "<img src=x onerror=alert(1)>"
DRAWN = "#page[data-ready=true]"
TIMEOUT = 30_000  # ms: a first drawing on two busy cores

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """Yield one browser for all tests. With a profile on disk, it keeps the compiled scripts of the page."""
    options = {"executable_path": str(CHROMIUM), "args": FLAGS, "viewport": {"width": 1440, "height": 900}}
    with sync_playwright() as playwright:
        made = playwright.chromium.launch_persistent_context(tmp_path_factory.mktemp("profile"), **options)
        yield made
        made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Yield the address of a page, and its ledger."""
    folder = tmp_path_factory.mktemp("site")
    with Ledger(url_of(folder)) as ledger:
        fill(ledger, a_search(ledger, LONG), 3)
        fill(ledger, a_search(ledger, EVIL), 20)
        fill(ledger, a_search(ledger, "empty"), 0)
        fill(ledger, a_search(ledger, "digits"), 60)
        with served(url_of(folder)) as address:
            yield address, ledger


@pytest.fixture
def visit(context, site):
    """Open the page; at the end, assert that it had no error and no request to another host."""
    wrong, pages = [], []

    def open_page(query="", scheme="light", size=None):
        page = context.new_page()
        if size is not None:
            page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        pages.append(page)
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(TIMEOUT)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: None if r.url.startswith((site[0], "data:", "blob:")) else wrong.append(r.url))
        page.goto(site[0] + query)
        page.wait_for_selector(DRAWN)
        return page

    yield open_page
    for page in pages:
        page.evaluate("localStorage.clear()")
        page.close()
    assert wrong == []


def first_marker(page):
    """Return the centre of the first marker of the front."""
    box = page.locator("#front .scatterlayer .trace .point").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_hovering_and_clicking_a_point_shows_the_trial_and_its_architecture(visit):
    page = visit()
    page.mouse.move(*first_marker(page))
    expect(page.locator("#front .hoverlayer")).to_contain_text(re.compile(r"trial \d+ completed.*on the front", re.S))
    page.mouse.click(*first_marker(page))
    picture = page.locator("#detail figure[data-diagram] img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    assert "conv3x3" in picture.get_attribute("alt")
    expect(page.locator("#curve-graph .scatterlayer .trace")).to_have_count(1)
    expect(page.locator("#detail .command")).to_contain_text("hybrid-search export digits")
    number = page.locator("#detail figure[data-diagram]").get_attribute("data-diagram")
    assert f"trials={number}" in page.url
    page.get_by_role("button", name="Clear selection").click()
    expect(page.locator("#detail")).to_contain_text("Click a point")


def test_a_new_trial_appears_without_a_reload_and_the_zoom_stays(visit, site):
    page = visit()
    page.evaluate("window.notReloaded = true")
    page.evaluate("Plotly.relayout(document.querySelector('#front .js-plotly-plot'), {'xaxis.range': [5.5, 7.5]})")
    before = page.locator("#page").get_attribute("data-version")
    expect(page.locator("#row-count")).to_have_text("60 trials")
    write_trial(site[1], site[1].search("digits"), 60, accuracy=0.9951, flops=1e6)
    page.wait_for_selector(f"#page:not([data-version='{before}'])")
    expect(page.locator("#row-count")).to_have_text("61 trials")
    expect(page.locator("#summary")).to_contain_text("99.51 %")
    assert page.evaluate("window.notReloaded")
    figure = "document.querySelector('#front .js-plotly-plot')"
    assert page.evaluate(f"{figure}.layout.xaxis.range") == [5.5, 7.5]
    assert page.evaluate(f"{figure}.data[2].x") == [1e6]


def test_the_table_sorts_filters_downloads_the_filtered_trials_and_selects(visit):
    page = visit("?search=digits")
    page.locator("#table .ag-header-cell[col-id=flops] .ag-header-cell-label").click()
    cell = page.locator("#table .ag-row[row-index='0'] [col-id=flops]")
    page.wait_for_function("dash_ag_grid.getApi('table').getColumnState().some(column => column.sort === 'asc')")
    costs = page.evaluate(
        """() => {
            const all = [];
            dash_ag_grid.getApi('table').forEachNodeAfterFilterAndSort(node => all.push(node.data.flops));
            return all;
        }"""
    )
    known = [cost for cost in costs if cost is not None]
    assert costs == sorted(known) + [None] * (len(costs) - len(known))
    page.locator("#filter").fill("pruned")
    expect(page.locator("#row-count")).to_have_text(re.compile(r"^6 of \d+ trials$"))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV").click()
    assert waiting.value.suggested_filename == "digits.csv"
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["state", *["stopped"] * 6]
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#row-count")).to_have_text(re.compile(r"^\d+ trials$"))
    cell.click()
    expect(page.locator("#detail figure[data-diagram]")).to_have_count(1)


def test_the_keyboard_reaches_the_table_and_selects_with_the_space_bar(visit):
    page = visit("?search=digits")
    page.locator("#json").focus()
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate("Boolean(document.activeElement.closest('.ag-header-cell'))"):
            break
        page.keyboard.press("Tab")
    assert page.evaluate("Boolean(document.activeElement.closest('.ag-header-cell'))")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#detail figure[data-diagram]")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#detail figure[data-diagram]")).to_have_count(2)
    expect(page.locator("#detail .stages tr.differs").first).to_contain_text("≠")


def test_a_deep_link_restores_search_axes_and_selection(visit):
    page = visit("?search=digits&x=params&y=loss&colour=trial&log=0&trials=3,13")
    expect(page.locator("#detail figure[data-diagram]")).to_have_count(2)
    expect(page.locator("#detail")).to_contain_text("Why trial 13 failed: oom")
    figure = "document.querySelector('#front .js-plotly-plot')"
    assert page.evaluate(f"{figure}.layout.xaxis.type") == "linear"
    assert "validation loss" in page.evaluate(f"{figure}.layout.yaxis.title.text")
    page.wait_for_function("dash_ag_grid.getApi('table').getSelectedNodes().length === 2")
    assert page.url.endswith("?search=digits&x=params&y=loss&colour=trial&log=0&trials=3,13")


def test_the_page_follows_the_colour_scheme_and_has_a_switch(visit):
    page = visit("?search=digits", "dark")
    ground = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    paper = "document.querySelector('#front .js-plotly-plot').layout.paper_bgcolor"
    assert (page.evaluate(ground), page.evaluate(paper)) == ("rgb(22, 28, 36)", "#161c24")
    page.get_by_role("button", name="Light").click()
    page.wait_for_selector("#page[data-theme=light]")
    assert (page.evaluate(ground), page.evaluate(paper)) == ("rgb(255, 255, 255)", "#ffffff")


def test_markup_in_a_name_is_text_and_an_interrupted_or_silent_search_is_reported(visit, site):
    page = visit(f"?search={quote(EVIL)}&trials=0")
    expect(page.locator("#search")).to_contain_text(EVIL)
    expect(page.locator("#detail .command")).to_contain_text(EVIL)
    assert page.locator("img[src=x]").count() == 0
    expect(page.locator("#status")).to_contain_text("interrupted, last update")
    expect(page.locator("#banner")).to_be_hidden()
    search = site[1].search(EVIL)
    site[1].acquire_lease(search.id, "host:1/m/0/t", 3600)
    expect(page.locator("#banner")).to_contain_text("the search may have stopped")  # the synthetic trials are old
    site[1].release_lease(search.id)


def test_a_cell_of_the_table_rounds_like_the_terminal(visit):
    page = visit("?search=empty")
    rng = random.Random(0)
    shares = [0.62625, 0.62375, 0.00125, 0.0, 1.0, 0.99875, 0.625, 0.3333, 2e-5, *(rng.random() for _ in range(200))]
    shares += [k / 800 for k in range(0, 800, 7)]
    counts = [
        1125.0,
        1135.0,
        2.125,
        2.135,
        1125000.0,
        999.5,
        0.0,
        7.0,
        12500.0,
        *(rng.lognormvariate(9, 5) for _ in range(200)),
    ]
    shown = page.evaluate(
        """([shares, counts]) => [
            shares.map(value => dashAgGridFunctions.hsShare({value})),
            counts.map(value => dashAgGridFunctions.hsScaled({value})),
        ]""",
        [shares, counts],
    )
    assert shown[0] == [f"{100 * share:.2f}" for share in shares]
    printed = [scaled(count).strip() for count in counts]
    same = [a == b or float(a.split()[0]) == float(b.split()[0]) for a, b in zip(shown[1], printed, strict=True)]
    assert all(same), [pair for pair, equal in zip(zip(shown[1], printed, strict=True), same, strict=True) if not equal]


def test_on_a_small_laptop_the_operators_are_visible_explained_and_the_buttons_cover_nothing(visit):
    page = visit("?search=digits&colour=stage:0")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.reload()
    page.wait_for_selector(DRAWN)
    expect(page.locator("#operators-legend")).to_have_text("C convolution, A local attention")
    table = page.locator("#table").bounding_box()
    cell = page.locator("#table .ag-row[row-index='0'] [col-id=operators]")
    expect(cell).to_have_text(re.compile(r"^[CA]( [CA]){2}$"))
    box = cell.bounding_box()
    assert table["x"] < box["x"]
    assert box["x"] + box["width"] < table["x"] + table["width"]
    page.locator("#front .modebar").wait_for(state="attached")
    boxes = """() => ['.modebar', '.legend', '.nsewdrag'].map(one => {
        const box = document.querySelector('#front ' + one).getBoundingClientRect();
        return [box.left, box.right, box.top, box.bottom];
    })"""
    buttons, legend, plot = page.evaluate(boxes)
    for left, right, top, bottom in (legend, plot):
        apart = right <= buttons[0] or buttons[1] <= left or bottom <= buttons[2] or buttons[3] <= top
        assert apart, (buttons, (left, right, top, bottom))


def test_on_a_phone_the_words_of_the_stage_table_stay_whole(visit):
    page = visit("?search=digits&trials=0", size=(420, 900))
    expect(page.locator("#detail .stages")).to_be_visible()
    widths = page.evaluate(
        """() => [...document.querySelectorAll('#detail .stages td.options')].map(cell => cell.clientWidth)"""
    )
    assert min(widths) >= 150
    wide = """() => [...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > 421 && !e.closest('.scroll, .ag-root-wrapper, svg'))
        .map(e => `${e.tagName} ${e.id} ${e.className}`)"""
    assert page.evaluate(wide) == [], "wider than the screen"


def test_no_button_of_a_chart_leads_to_another_host(visit):
    page = visit("/?search=digits")
    page.locator("#front .modebar-btn").first.wait_for(state="attached")
    titles = page.eval_on_selector_all(".modebar-btn", "all => all.map(one => one.dataset.title || '')")
    assert len(titles) > 2
    assert not [title for title in titles if re.search(r"share|cloud|studio|plotly", title, re.IGNORECASE)]
    servers = "all => all.map(one => one._context.plotlyServerURL)"
    assert set(page.eval_on_selector_all(".js-plotly-plot", servers)) == {""}


def test_the_keyboard_copies_the_export_command(visit, context, site):
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site[0])
    page = visit("/?search=digits&trials=0")
    button = page.get_by_role("button", name="Copy", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    shown = page.locator(".command code").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == shown.replace("\n", " ")
    assert "hybrid-search export" in shown


def test_charts_have_a_name_and_the_clock_is_not_announced(visit):
    page = visit("/?search=digits")
    figures = page.get_by_role("figure")
    names = figures.evaluate_all("all => all.map(one => one.getAttribute('aria-label')).filter(Boolean)")
    assert {"Pareto front", "Hypervolume over the trials", "Where attention helps"} <= set(names)
    assert page.locator("#status").get_attribute("role") is None


def test_the_page_shows_where_attention_helps(visit):
    page = visit("/?search=digits")
    expect(page.get_by_role("heading", name="Where attention helps")).to_be_visible()
    expect(page.locator("#effects-graph")).to_contain_text("there is nothing to compare")


def test_an_unknown_search_in_the_address_is_reported(visit):
    page = visit("?search=nope")
    expect(page.locator("#notice")).to_have_text("This ledger has no search 'nope'. Choose one above.")
    assert "search=nope" in page.url


def test_a_search_without_trials_shows_sentences_instead_of_charts(visit):
    page = visit("?search=empty")
    expect(page.locator("#note")).to_contain_text("No trial has completed yet.")
    expect(page.locator("#front")).to_contain_text("No completed trial to draw.")


def test_every_control_has_a_name_and_the_headings_are_in_order(visit):
    page = visit("?search=digits&trials=2")
    expect(page.locator("#detail figure[data-diagram]")).to_have_count(1)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('header button, .bar button, .bar input, #filter')]
            .filter(e => !e.closest('.modebar') && e.getAttribute('aria-hidden') !== 'true')
            .filter(e => !(e.innerText || '').trim() && !e.labels?.length && !e.getAttribute('aria-label'))
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"


def test_a_search_with_a_name_of_10_000_characters_breaks_neither_its_page_nor_another(visit):
    for query in ("?search=digits", f"?search={LONG}"):
        page = visit(query)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert len(page.locator("#search").inner_text()) < 100


def test_a_double_click_on_a_point_resets_the_zoom_and_selects_nothing(visit):
    page = visit()
    page.mouse.dblclick(*first_marker(page))
    page.wait_for_timeout(800)  # a selection would come within a tenth of that
    expect(page.locator("#detail")).to_contain_text("Click a point")
    assert "trials=" not in page.url


@pytest.mark.slow
def test_a_page_whose_server_is_gone_says_so_and_sends_few_requests(context, site):
    requests = []

    def gone(route):
        requests.append(route.request.url)
        route.abort()

    page = context.new_page()
    page.goto(site[0] + "?search=digits")
    page.wait_for_selector(DRAWN)
    page.route("**/*", gone)
    expect(page.locator("#banner")).to_contain_text("its server has not answered since", timeout=TIMEOUT)
    requests.clear()
    page.wait_for_timeout(8_000)
    assert len(requests) <= 4  # at the usual pace there are 8
    page.close()
