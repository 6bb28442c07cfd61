"""The built book in a real browser, served and from files; the PDF and the archive made of it."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, TimeoutError

from paper_code.book.build import BOOK_FOLDER, NAME, find_browser, open_browser
from tests.book.lighthouse import served

NOTEBOOKS = sorted(path.stem for path in BOOK_FOLDER.glob("*.ipynb"))
PAGES = sorted([*NOTEBOOKS, *(path.stem for path in BOOK_FOLDER.glob("*.md")), "genindex", "search"])
INTERACTIVE = ["fig03_interaction_collapse", "fig04_toy", "fig08_scalability", "table3_fig10", "table4_fig11"]
NOT_MEASURED = {"fig07_architecture"}  # its figure is a drawing
# their figures are made by the notebook, from nothing, or from a benchmark
NOT_OF_RECORDS = {"fig04_toy", "fig07_architecture", "consistency", "speed"}
STATIC_FIGURES = "article figure svg[role=img]"
CHART = ".vega-embed svg"
TOOLTIP = "#vg-tooltip-element"
TOGGLE = ".chart-toggle"
LARGEST_PAGE = 700_000  # bytes of a page with all that it loads, uncompressed, before charts
MOST_REQUESTS = 7  # the page, a style sheet, a script, an icon, a font; and the index for the search

READY = """async () => {
  await document.fonts.ready;
  for (const image of document.images) { image.loading = "eager"; await image.decode().catch(() => null); }
}"""
FACTS = r"""() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const start = (element) => element.outerHTML.slice(0, 200);
  const prose = document.querySelector("main").cloneNode(true);
  for (const element of all("code, pre, script, math", prose)) element.remove();
  return {
    equations: all(".math").length,
    untypeset: all(".math:not(:has(math)), merror").map(start),
    raw: prose.textContent.match(/.{0,30}\\[(\[].{0,30}/g) ?? [],
    fonts: [...document.fonts].filter((font) => /STIX/.test(font.family) && font.status === "loaded").length,
    broken: all("img").filter((image) => !image.naturalWidth).map(start),
    alternatives: all("article figure, article img:not(figure *)").map((figure) => [
      figure.id || figure.src,
      figure.querySelector("svg[role=img][aria-label]")?.ariaLabel ?? (figure.querySelector("img") ?? figure).alt ?? "",
    ]),
    sources: all("details.sources").map((details) => ({
      text: details.textContent,
      links: all("a", details).map((link) => link.getAttribute("href")),
    })),
    scripts: all("script.interactive-chart").length,
    toggles: all(".chart-toggle").length,
    library: "vegaEmbed" in window,
  };
}"""
OVERFLOW = """() => {
  const { scrollWidth, clientWidth } = document.scrollingElement;
  if (scrollWidth <= clientWidth) return [];
  return [...document.querySelectorAll("body *")]
    .map((element) => [Math.round(element.getBoundingClientRect().right), element.outerHTML.slice(0, 120)])
    .filter(([right]) => right > clientWidth)
    .sort((a, b) => b[0] - a[0])
    .slice(0, 5)
    .map(([right, html]) => `reaches ${right} of ${clientWidth} px: ${html}`);
}"""
AXE = """async (rules) => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, ...rules });
  return violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, impact, nodes }) => `${id}, ${impact}, ${nodes.length}x: ${nodes[0].html} ${nodes[0].failureSummary}`);
}"""


@dataclass
class Visit:
    """What a page did and had, once loaded. sizes: bytes of all responses, by URL."""

    problems: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    overflow: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text} ({message.location['url']})")

    def see(self, request: Request, root: str) -> None:
        if not request.url.startswith((root, "data:")):
            self.problems.append(f"from elsewhere: {request.url}")


@pytest.fixture(scope="module")  # not of the session: asyncio in this thread, as in papermill's, fails beside it
def browser() -> Iterator[Browser]:
    if find_browser() is None:
        message = "no browser: install chromium, or let the environment variable CHROMIUM name one"
        if os.environ.get("CI_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(html) -> Iterator[str]:
    """The address at which the built book is served."""
    with served(html) as address:
        yield address


@contextmanager
def opened(browser: Browser, url: str, root: str, **options) -> Iterator[tuple[Page, Visit]]:
    """The loaded page in a context of its own. root: where all that it loads must be."""
    visit = Visit()
    with browser.new_context(color_scheme="light", reduced_motion="reduce", **options) as context:
        page = context.new_page()
        page.on("console", visit.hear)
        page.on("pageerror", lambda error: visit.problems.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: visit.problems.append(f"failed: {request.url}"))
        page.on("request", lambda request: visit.see(request, root))
        page.on("response", lambda r: visit.sizes.update({r.url: int(r.headers.get("content-length", 0))}))
        page.goto(url)
        if options.get("java_script_enabled", True):
            page.evaluate(READY)
        yield page, visit


def show_charts(page: Page) -> None:
    """Ask for every interactive figure of the page."""
    for toggle in page.locator(TOGGLE).all():
        toggle.click()
    if page.locator(TOGGLE).count():
        page.wait_for_selector(CHART, timeout=10_000)


@pytest.fixture(scope="module", params=PAGES)
def visit(request, browser, server) -> Visit:
    """A page, served: light, dark, and on a telephone."""
    with opened(browser, f"{server}/{request.param}.html", server) as (page, visit):
        visit.facts = page.evaluate(FACTS) | {"page": request.param, "loaded": dict(visit.sizes)}
        with suppress(TimeoutError):  # a missing chart is for the tests of charts to report
            show_charts(page)
        visit.facts["charts"] = page.locator(CHART).filter(visible=True).count()
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        for theme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):  # all else is the same in both
            page.emulate_media(color_scheme=theme)
            page.wait_for_selector(f"html[data-theme={theme}]", state="attached")
            visit.violations[theme] = page.evaluate(AXE, rules)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)  # for what adapts to the width a little later
        visit.overflow = page.evaluate(OVERFLOW)
        return visit


@pytest.fixture(scope="module")
def pdf(browser, html, tmp_path_factory) -> bytes:
    """The book as PDF; the command is a process of its own, for it opens another browser."""
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    subprocess.run([sys.executable, "-m", "paper_code.book", "pdf", "--html", html, "--to", path], check=True)
    return path.read_bytes()


class TestPage:
    def test_it_loads_without_a_message_and_from_nowhere_else(self, visit):
        assert visit.problems == []

    def test_its_equations_are_typeset_with_the_font_of_the_book(self, visit):
        assert visit.facts["untypeset"] == []
        assert visit.facts["raw"] == []
        assert (visit.facts["fonts"] > 0) == (visit.facts["equations"] > 0)

    def test_it_does_not_scroll_sideways_on_a_telephone(self, visit):
        assert visit.overflow == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_it_has_no_serious_barrier(self, visit, theme):
        assert visit.violations[theme] == []

    def test_every_picture_is_there_and_has_a_text_alternative(self, visit):
        assert visit.facts["broken"] == []
        measured = visit.facts["page"] not in NOT_MEASURED
        poor = {
            name: text
            for name, text in visit.facts["alternatives"]
            if len(text) < 40 or (measured and not re.search(r"\d", text))
        }
        assert poor == {}

    def test_every_figure_of_a_notebook_names_its_sources(self, visit):
        page, sources = visit.facts["page"], visit.facts["sources"]
        if page in NOTEBOOKS:
            assert len(sources) == len(visit.facts["alternatives"])
        for source in sources:
            assert {".csv", ".svg", ".ipynb"} <= {Path(link).suffix for link in source["links"]}
            assert f"book/{page}.ipynb" in re.search(r"papermill .*", source["text"])[0]
            assert page in NOT_OF_RECORDS or "commit" in source["text"]

    def test_its_charts_and_their_library_are_loaded_when_they_are_asked_for(self, visit):
        expected = visit.facts["page"] in INTERACTIVE
        assert (visit.facts["scripts"] > 0, visit.facts["library"]) == (expected, False)
        assert visit.facts["charts"] == visit.facts["toggles"] == visit.facts["scripts"]
        assert any(url.endswith("/_static/vega.js") for url in visit.sizes) == expected

    def test_it_is_light_on_the_network(self, visit):
        loaded = visit.facts["loaded"]
        print(f"{visit.facts['page']}: {sum(loaded.values()) // 1000} kB, {len(loaded)} requests")
        assert sum(loaded.values()) < LARGEST_PAGE, sorted(loaded.items(), key=lambda item: -item[1])[:5]
        assert len(loaded) <= MOST_REQUESTS, list(loaded)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opened_as_a_file_loads_without_a_message_and_from_nowhere_else(browser, html, name):
    with opened(browser, (html / f"{name}.html").as_uri(), html.as_uri()) as (_, visit):
        assert visit.problems == []


@pytest.mark.parametrize("served", [True, False], ids=["served", "as a file"])
def test_the_search_finds_a_chapter(browser, html, server, served):
    root = server if served else html.as_uri()
    with opened(browser, f"{root}/search.html?q=information+abundance", root) as (page, visit):
        page.wait_for_selector("#search-results a[href*='fig02_collapse.html']", timeout=10_000)
        page.wait_for_timeout(1_000)  # for the summaries of the pages found
        assert visit.problems == []


class TestChart:
    """The interactive figures; the selectors are those of Vega."""

    @pytest.fixture
    def chart(self, browser, server, request) -> Page:
        with opened(browser, f"{server}/{request.param}.html", server) as (page, _):
            page.set_default_timeout(10_000)
            show_charts(page)
            yield page

    @staticmethod
    def hover(page: Page, marks: str) -> str:
        """The text of the tooltip over the last one of the marks."""
        page.locator(f"{CHART} {marks}").last.hover(force=True)
        page.wait_for_selector(f"{TOOLTIP}.visible")
        return page.inner_text(TOOLTIP)

    @staticmethod
    @contextmanager
    def changes(page: Page) -> Iterator[None]:
        """The marks of the chart are other ones after the block."""
        before = page.inner_html(CHART)
        yield
        page.wait_for_function("before => document.querySelector('.vega-embed svg').innerHTML !== before", arg=before)

    @pytest.mark.parametrize("chart", ["fig03_interaction_collapse"], indirect=True)
    def test_a_cell_of_the_heatmap_tells_its_fields_their_cardinalities_and_its_value(self, chart):
        tooltip = self.hover(chart, "g.mark-rect.role-mark path").lower()
        for label in ("field i", "field j", "cardinality of i", "cardinality of j", "ia("):
            assert re.search(re.escape(label) + r".*\n?.*\w", tooltip), f"{label} is not in {tooltip}"

    @pytest.mark.parametrize("chart", ["fig04_toy"], indirect=True)
    def test_the_spectrum_follows_the_iteration(self, chart):
        slider = chart.locator("input[type=range][name*=iteration]")
        with self.changes(chart):
            slider.fill(slider.get_attribute("min"))

    @pytest.mark.parametrize("chart", ["table3_fig10"], indirect=True)
    @pytest.mark.parametrize("name", ["dataset", "model"])
    def test_another_choice_changes_the_chart(self, chart, name):
        with self.changes(chart):
            chart.locator(f"select[name={name}]").select_option(index=1)

    @pytest.mark.parametrize("chart", ["table3_fig10"], indirect=True)
    def test_a_chosen_model_is_the_only_one_in_the_table(self, chart):
        rows = chart.locator(".table-box", has_text="published").first.locator("tbody tr")
        chart.locator("select[name=model]").select_option("all models")
        chart.wait_for_selector("tr.left-out", state="detached")
        before = rows.filter(visible=True).all_inner_texts()
        chart.locator("select[name=model]").select_option("DCNv2")
        chart.wait_for_selector("tr.left-out", state="attached")
        after = rows.filter(visible=True).all_inner_texts()
        assert after == [row for row in before if "DCNv2" in row]
        assert 0 < len(after) < len(before)

    @pytest.mark.parametrize("chart", ["table3_fig10"], indirect=True)
    def test_a_point_of_ours_tells_its_interval(self, chart):
        with self.changes(chart):
            chart.locator("select[name=shown]").select_option("ours")
        assert re.search(r"interval\s+[+-]0\.\d+ to [+-]0\.\d+", self.hover(chart, "g.mark-symbol.role-mark path"))

    @pytest.mark.parametrize("name", INTERACTIVE)
    def test_without_javascript_the_static_figure_is_there(self, browser, server, name):
        with opened(browser, f"{server}/{name}.html", server, java_script_enabled=False) as (page, _):
            figures = page.locator(STATIC_FIGURES).all()
            assert figures
            assert all(figure.is_visible() for figure in figures)

    @pytest.mark.parametrize("chart", INTERACTIVE, indirect=True)
    def test_in_print_the_static_figure_takes_its_place(self, chart):
        chart.emulate_media(media="print")
        figures = chart.locator(STATIC_FIGURES).filter(has_not=chart.locator(CHART)).all()
        assert figures
        assert all(figure.is_visible() for figure in figures)
        assert not chart.locator(CHART).first.is_visible()


class TestPDF:
    """Chromium writes all but streams as plain text, so that links and outline can be read without a parser."""

    def test_every_chapter_is_in_the_outline(self, pdf, html):
        titles = re.findall(rb"/Title (?:\(((?:\\.|[^)\\])*)\)|<FEFF([0-9A-F]+)>)", pdf)
        outline = {
            bytes.fromhex(wide.decode()).decode("utf-16-be") if wide else re.sub(rb"\\(.)", rb"\1", plain).decode()
            for plain, wide in titles
        }
        chapters = {re.search(r"<h1>(.*?)<a ", (html / f"{name}.html").read_text())[1] for name in NOTEBOOKS}
        assert chapters <= outline

    def test_it_is_of_a_book_s_length(self, pdf):
        assert len(re.findall(rb"/Type /Page\b", pdf)) >= 40

    def test_links_between_chapters_lead_to_places_in_it(self, pdf):
        targets = re.findall(rb"/Dest /([^\s/>]+)", pdf)
        assert len(targets) > 100
        for name in NOTEBOOKS:
            assert name.encode() in targets

    def test_no_link_leads_to_the_machine_that_made_it(self, pdf):
        outside = re.findall(rb"/URI \((.*?)\)", pdf)
        assert outside
        assert [link for link in outside if not link.startswith(b"https://")] == []


def test_the_archive_is_one_folder_that_opens_from_its_index_and_is_the_same_each_time(browser, html, tmp_path):
    paths = [tmp_path / "first.zip", tmp_path / "second.zip"]
    for path in paths:
        subprocess.run([sys.executable, "-m", "paper_code.book", "archive", "--html", html, "--to", path], check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert {entry.split("/")[0] for entry in archive.namelist()} == {NAME}
        archive.extractall(tmp_path)
    root = (tmp_path / NAME).as_uri()
    with opened(browser, f"{root}/index.html", root) as (page, visit):
        assert page.inner_text("h1").startswith("On the Embedding Collapse")
        assert visit.problems == []
