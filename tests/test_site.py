"""The built site: what its files say, and what a headless Chromium makes of every page.

Without a site or a browser these skip with a reason, but where ``CI`` is set they fail.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import re
import shutil
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import pytest

import crossent
from tests.drawing import Drawing, drawn
from tests.pages import page as read_page
from tests.pages import pages as files

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))

from addresses import ONCE_IN_BOOK
from equation_checks import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
# What every test in the browser opens: of the pages of checks, which have one template, only one.
REDIRECTS = [f"book/{name}.html" for name in ONCE_IN_BOOK]
OPENED = [
    page
    for page in PAGES
    if not re.match(r"index|checks/(?!softmax)", page) and page not in REDIRECTS
]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
MIB = 2**20
FIGURE = 'class="figure-live"'
MARK = r'class="checked" href="[^"#]*#([^"]+)"'


needs_site = pytest.mark.skipif(not PAGES, reason="no site in _build/html: run `make book`")


@functools.cache
def source(page: str) -> str:
    return (SITE / page).read_text(encoding="utf-8")


def pages_with(text: str) -> list[str]:
    return [page for page in PAGES if text in source(page)]


def limit(page: str) -> float:
    """Return how many bytes a page may load, uncompressed."""
    return (1.9 if page in pages_with(FIGURE) else 1.0) * MIB


def cannot_test(reason: str) -> None:
    """Skip on a laptop; fail where nobody would notice the skip."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def test_the_site_is_built() -> None:
    if not PAGES:
        cannot_test("there is no site in _build/html: run `make book`")
    assert {"index.html", "search.html", "book/index.html", "book/lookup/api.html"} <= set(PAGES)


@needs_site
def test_the_site_is_not_older_than_its_sources() -> None:
    folders = ("book", "crossent", "tests/checks")
    found = [p for folder in folders for p in (ROOT / folder).rglob("*")]
    sources = [p for p in found if p.is_file() and not re.search(r"/\.|__pycache__", p.as_posix())]
    built = (SITE / "index.html").stat().st_mtime
    newer = [p.name for p in sources if p.stat().st_mtime > built]
    assert newer == [], "run `make book`"


# --- The files ---


@dataclass
class Markup(HTMLParser):
    """What a page's source holds: its ids, and the addresses it leads to or loads."""

    text: str
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a" or attributes.get("rel") in {"next", "prev", "index", "search", "canonical"}:
            self.links.extend([attributes["href"]] if "href" in attributes else [])
        else:
            names = ("src", "href", "data", "poster")
            self.loads.extend(attributes[name] for name in names if name in attributes)


@functools.cache
def markup(page: str) -> Markup:
    return Markup(source(page))


def is_external(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def resolve(page: str, address: str) -> tuple[Path, str]:
    """Return the file and the anchor that an address on a page means."""
    parts = urlsplit(address)
    path = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
    return path.resolve(), unquote(parts.fragment)


@pytest.mark.parametrize("page", PAGES)
def test_every_internal_link_leads_somewhere(page: str) -> None:
    dead = []
    for address in markup(page).links + markup(page).loads:
        if is_external(address):
            continue
        path, anchor = resolve(page, address)
        if not path.is_file():
            dead.append(address)
        elif anchor and path.suffix == ".html":
            target = path.relative_to(SITE.resolve()).as_posix()
            if anchor not in markup(target).ids:
                dead.append(address)
    assert dead == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    assert [address for address in markup(page).loads if is_external(address)] == []


@needs_site
def test_no_style_sheet_loads_from_elsewhere() -> None:
    for path in SITE.rglob("*.css"):
        css = path.read_text(encoding="utf-8")
        addresses = re.findall(r"""(?:url\(|@import\s+)["']?([^"')\s]+)""", css)
        foreign = [a for a in addresses if is_external(a) and not a.startswith("data:")]
        assert foreign == [], path


@pytest.mark.parametrize("page", PAGES)
def test_ids_are_unique(page: str) -> None:
    repeated = [name for name, count in Counter(markup(page).ids).items() if count > 1]
    assert repeated == []


@pytest.mark.parametrize("page", PAGES)
def test_no_formula_is_red(page: str) -> None:
    text = markup(page).text
    assert "katex-error" not in text
    assert "#cc0000" not in text.lower()


@pytest.mark.parametrize("page", PAGES)
def test_the_files_of_a_page_are_light(page: str) -> None:
    files = {resolve(page, a)[0] for a in markup(page).loads if not is_external(a)}
    assert sum(path.stat().st_size for path in files | {SITE / page}) <= limit(page)


@needs_site
def test_the_api_page_has_every_public_name() -> None:
    listed = {name for name in markup("book/lookup/api.html").ids if name.startswith("crossent.")}
    assert listed == {f"crossent.{name}" for name in crossent.__all__}


@needs_site
def test_a_mark_leads_from_every_claim_to_its_check() -> None:
    marks = {label: page for page in PAGES for label in re.findall(MARK, source(page))}
    assert marks.keys() == checks().keys()
    for label, page in marks.items():
        assert Path(page).stem == checks()[label].page


# --- The browser ---

CHROMIUM = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
SWITCHES = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)
LAPTOP, DESKTOP, PHONE = (1280, 800), (1100, 800), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        cannot_test("Playwright is missing: pip install -r requirements.txt")
    names = (os.environ.get("CHROMIUM", ""), *CHROMIUM)
    executable = next(filter(None, map(shutil.which, filter(None, names))), None)
    if executable is None:
        cannot_test("there is no Chromium or Chrome; install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=SWITCHES)
        yield chromium
        chromium.close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line on stderr for each."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=SITE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@dataclass
class Visit:
    """A page in the browser, and what happened on it since it was opened."""

    base: str
    name: str
    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """The requests that left the site."""
        return [url for url in self.requests if not url.startswith((self.base, "data:", "blob:"))]

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size and the theme's script the 300 ms after which it reacts."""
        if self.page.viewport_size != {"width": size[0], "height": size[1]}:
            self.page.set_viewport_size({"width": size[0], "height": size[1]})
            self.page.wait_for_timeout(350)
            self.settle()

    def settle(self) -> None:
        """Wait until fonts are there, every figure is drawn, and the layout is done."""
        self.page.wait_for_function(
            "[...document.querySelectorAll('.figure-live')].every((f) => f.querySelector('svg'))"
        )
        self.page.evaluate(
            "document.fonts.ready.then(() => new Promise(requestAnimationFrame))"
            ".then(() => new Promise((done) => setTimeout(done, 30)))"
        )

    def prefer(self, theme: Literal["light", "dark"]) -> None:
        """Let the system ask for a theme, and wait until the page follows."""
        self.page.emulate_media(color_scheme=theme)
        self.await_theme(theme)

    def await_theme(self, theme: str) -> None:
        self.page.wait_for_function(
            "(t) => document.documentElement.dataset.theme === t", arg=theme
        )
        self.settle()


@contextlib.contextmanager
def open_page(browser: Browser, base: str, name: str) -> Iterator[Visit]:
    """Open a page in a window of its own. Requests that would leave the site get no answer."""
    context = browser.new_context(
        viewport={"width": DESKTOP[0], "height": DESKTOP[1]},
        color_scheme="light",
        reduced_motion="reduce",  # else axe may judge a color in the middle of its transition
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    visit = Visit(base, name, page)

    def note_response(response: Response) -> None:
        if response.status >= 400:
            visit.errors.append(f"{response.status} {response.url}")

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("response", note_response)
    page.on("console", note_message)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    context.route(lambda url: not url.startswith(base), lambda route: route.abort())
    page.goto(f"{base}/{name}")
    visit.settle()
    yield visit
    context.close()


def one_process(page: str) -> ParameterSet:
    """Keep what is tested on a page together under ``pytest -n 2 --dist loadgroup``."""
    return pytest.param(page, marks=pytest.mark.xdist_group(page))


@pytest.fixture(scope="module", params=[one_process(page) for page in OPENED])
def visit(request: pytest.FixtureRequest, browser: Browser, server: str) -> Iterator[Visit]:
    """Each page is opened once; the tests take their turns on it."""
    with open_page(browser, server, request.param) as visited:
        yield visited


def test_no_request_leaves_the_site(visit: Visit) -> None:
    assert len(visit.requests) > 1
    assert visit.foreign == []


def test_the_page_is_light(visit: Visit) -> None:
    files = {SITE / urlsplit(url).path.lstrip("/") for url in visit.requests if visit.base in url}
    assert sum(path.stat().st_size for path in files) <= limit(visit.name)


def test_the_first_tab_reaches_the_skip_link(visit: Visit) -> None:
    visit.page.keyboard.press("Tab")
    link = visit.page.get_by_role("link", name="Skip to main content")
    assert link.evaluate("(link) => link === document.activeElement && link.checkVisibility()")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**#main-content")
    assert urlsplit(visit.page.url).fragment == "main-content"


def test_the_focus_is_visible(visit: Visit) -> None:
    for _ in range(20):
        visit.page.keyboard.press("Tab")
        focus = visit.page.evaluate(
            "(({tagName, className}, {outlineStyle, outlineWidth}) =>"
            " [`${tagName} ${className}`, outlineStyle, parseFloat(outlineWidth)])"
            "(document.activeElement, getComputedStyle(document.activeElement))"
        )
        if focus[0].startswith("BODY"):  # past the last stop
            break
        assert focus[1:] == ["solid", 3], focus


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, theme: Literal["light", "dark"]) -> None:
    visit.prefer(theme)
    assert violations(visit.page, theme) == []


def test_nothing_sticks_out_sideways_on_a_phone(visit: Visit) -> None:
    visit.prefer("light")
    visit.resize(PHONE)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    for figure in visit.page.locator(".figure-live svg").all():
        box = figure.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]


@pytest.mark.parametrize("visit", [one_process(p) for p in OPENED if "book/" in p], indirect=True)
def test_no_code_scrolls_sideways_on_a_laptop(visit: Visit) -> None:
    visit.resize(LAPTOP)
    wide = "(boxes) => boxes.filter((b) => b.scrollWidth > b.clientWidth).map((b) => b.innerText)"
    assert visit.page.locator("article pre").evaluate_all(wide) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_a_phone(visit: Visit, theme: Literal["light", "dark"]) -> None:
    visit.resize(PHONE)
    visit.prefer(theme)
    assert violations(visit.page, theme) == []


# A chapter's code has thousands of colored words, which would take axe most of its time. One of
# each color is left, in what goes in and in what comes out.
ONE_WORD_OF_A_COLOR = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll("pre span")) {
    const kind = `${word.className} ${word.closest(".cell_output") !== null}`;
    if (seen.has(kind)) word.replaceWith(word.textContent);
    seen.add(kind);
  }
}"""


def violations(page: Page, theme: str) -> list[tuple[str, list[str]]]:
    """Return the rules that axe sees broken, each with the elements that break it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
        page.evaluate(ONE_WORD_OF_A_COLOR)
    # The theme changes colors and nothing else, so in the dark only they are judged again.
    options = {} if theme == "light" else {"runOnly": ["color-contrast"]}
    found = page.evaluate("(options) => axe.run(options).then((r) => r.violations)", options)
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_there_is_one_search_box(visit: Visit, size: tuple[int, int]) -> None:
    visit.resize(size)
    boxes = visit.page.locator("input[type=search], .search-button__button")
    assert sum(box.is_visible() for box in boxes.all()) == 1


def test_the_button_changes_the_theme(visit: Visit) -> None:
    visit.resize(DESKTOP)
    visit.prefer("light")
    colors = {}
    for theme in ("dark", "light", "light"):  # dark, light, and what the system says
        visit.page.get_by_role("button", name="Light, dark or system colors").click()
        visit.await_theme(theme)
        label = visit.page.locator(".figure-live .role-axis-label text")
        colors[theme] = (
            visit.page.evaluate("getComputedStyle(document.body).backgroundColor"),
            label.first.get_attribute("fill") if label.count() else None,
        )
    assert colors["light"][0] != colors["dark"][0]
    if visit.name in pages_with(FIGURE):
        assert colors["light"][1] != colors["dark"][1]


@pytest.mark.parametrize("visit", [one_process(p) for p in pages_with(FIGURE)], indirect=True)
def test_every_control_recomputes_its_figure(visit: Visit) -> None:
    for figure in visit.page.locator(".figure-live").all():
        controls = figure.locator("input, select").all()
        assert controls
        for control in controls:
            assert control.get_attribute("aria-label")
            before = marks(figure)
            step_by_keyboard(control)
            visit.settle()
            assert marks(figure) != before, control.get_attribute("name")


@pytest.mark.parametrize("visit", [one_process(p) for p in pages_with(FIGURE)], indirect=True)
def test_node_draws_what_the_browser_draws(visit: Visit) -> None:
    """So that what the figures' own tests see in Node is what a reader sees."""
    visit.resize(PHONE)
    for figure in visit.page.locator(".figure-live").all():
        controls = figure.locator("input, select").all()
        for control in controls:
            step_by_keyboard(control)
        visit.settle()
        position = {str(control.get_attribute("name")): value_of(control) for control in controls}
        svg = figure.locator("svg").evaluate("(svg) => new XMLSerializer().serializeToString(svg)")
        frame = figure.locator("svg path.background").first.get_attribute("d") or ""
        width = float(re.findall(r"(?<=h)[\d.]+", frame)[0])
        spec = json.loads(figure.locator("script").text_content() or "")
        spec["signals"] = [each for each in spec["signals"] if each["name"] != "width"]
        spec["autosize"] = "pad"  # the width is that of the drawing, without its margins
        (expected,), seen = drawn(spec, {"width": width, **position}), Drawing(svg, width)
        assert seen.texts == expected.texts
        for mark, wanted in zip(seen.marks, expected.marks, strict=True):
            assert mark.kind == wanted.kind
            assert mark.places == pytest.approx(wanted.places, abs=0.01)


def value_of(control: Locator) -> str | float:
    return control.input_value() if is_menu(control) else float(control.input_value())


def marks(figure: Locator) -> list[str]:
    """Return what a figure draws from its data: bars, lines and texts, but no axis or title."""
    return [mark.inner_html() for mark in figure.locator("svg .role-mark").all()]


def step_by_keyboard(control: Locator) -> None:
    """Move a slider or a menu one step, away from its end."""
    at_the_end = control.evaluate(
        "(c) => c.tagName === 'SELECT' ? c.selectedIndex === c.length - 1 : c.value === c.max"
    )
    control.focus()
    control.press("ArrowUp" if at_the_end else "ArrowDown") if is_menu(control) else control.press(
        "ArrowLeft" if at_the_end else "ArrowRight"
    )


def is_menu(control: Locator) -> bool:
    return bool(control.evaluate("(c) => c.tagName === 'SELECT'"))


@pytest.mark.parametrize("visit", [one_process(p) for p in pages_with("sd-tab-set")], indirect=True)
def test_the_keyboard_changes_all_tabs_of_the_page(visit: Visit) -> None:
    first = visit.page.locator(".sd-tab-set input").first
    label = visit.page.locator(".sd-tab-set label").nth(1)
    first.focus()
    first.press("ArrowRight")
    outline = label.evaluate("(l) => getComputedStyle(l).outline")
    assert "solid 3px" in outline, "the button itself is invisible, so its label shows the focus"
    for tab_set in visit.page.locator(".sd-tab-set").all():
        shown = [content.is_visible() for content in tab_set.locator(".sd-tab-content").all()]
        assert shown == [tab == 1 for tab in range(len(shown))]
        assert sum(shown) == 1


@pytest.mark.parametrize("visit", [one_process(p) for p in pages_with("<details")], indirect=True)
def test_the_keyboard_opens_what_is_hidden(visit: Visit) -> None:
    for box in visit.page.locator("article details").all():
        box.locator(":scope > summary").press("Enter")
        assert box.evaluate("(details) => details.open")


def test_nothing_went_wrong(visit: Visit) -> None:
    """Last, when all that can be moved has been."""
    assert visit.errors == []
    assert visit.foreign == []


@pytest.mark.parametrize("page", ["index.html", *OPENED])
def test_the_page_works_from_disk(browser: Browser, page: str) -> None:
    with open_page(browser, SITE.as_uri(), page) as visit:
        assert len(visit.requests) > 1
        assert visit.foreign == []
        assert visit.errors == []


@needs_site
def test_the_root_leads_to_the_book(browser: Browser, server: str) -> None:
    with open_page(browser, server, "index.html") as visit:
        visit.page.wait_for_url("**/book/index.html")


@needs_site
def test_an_old_address_leads_to_the_section_in_its_new_place() -> None:
    """Every page that moved; the browser is asked about one of them."""
    for page in REDIRECTS:
        (link,) = set(markup(page).links)
        assert re.fullmatch(r"(course|variations|practice|lookup)/\w+\.html", link)
        assert Path(link).name == Path(page).name
        assert f'content="0; url={link}"' in source(page)  # without scripts


@needs_site
@pytest.mark.parametrize("from_disk", [False, True])
def test_an_old_address_keeps_its_fragment(
    browser: Browser, server: str, *, from_disk: bool
) -> None:
    base = SITE.as_uri() if from_disk else server
    with open_page(browser, base, "book/softmax.html#exercises") as visit:
        visit.page.wait_for_url("**/book/course/softmax.html#exercises")
        assert visit.errors == []


@needs_site
def test_a_number_names_one_equation_in_the_whole_book() -> None:
    text = "".join(map(source, PAGES))
    numbers = re.findall(r'class="eqno">(\(.+?\))<', text)
    assert len(numbers) > 50
    assert max(Counter(numbers).values()) == 1
    cited = set(re.findall(r'href="[^"]*#equation-[^"]*">(\(.+?\))<', text))
    assert len(cited) > 20
    assert cited <= set(numbers)


@needs_site
def test_the_first_page_tells_how_long_each_chapter_takes() -> None:
    """Beside a count of the words in the sources, with their formulas and marks."""
    listed = re.findall(
        r'href="([^"]+)"><span>[^<]+</span></a> · (\d+)\xa0min', source("book/index.html")
    )
    times = {Path(address).stem: int(minutes) for address, minutes in listed}
    chapters = [path for path in files() if path.suffix == ".ipynb" and path.stem != "pitfalls"]
    assert list(times) == [path.stem for path in chapters]
    for path in chapters:
        words = sum(len(section.prose.split()) for section in read_page(path).sections)
        assert times[path.stem] == pytest.approx(words / 200, rel=0.35), path.stem


@needs_site
def test_a_link_without_words_of_its_own_has_a_short_title() -> None:
    links = re.findall(r'<span class="doc">(.+?)</span>', "".join(map(source, PAGES)))
    assert "Weights" in links
    assert [text for text in links if "?" in text or len(text) > 40] == []


@needs_site
@pytest.mark.parametrize("from_disk", [False, True])
def test_the_search_finds_the_chapter(browser: Browser, server: str, *, from_disk: bool) -> None:
    base = SITE.as_uri() if from_disk else server
    with open_page(browser, base, "book/index.html") as visit:
        visit.page.keyboard.press("Control+k")
        visit.page.keyboard.type("entropy")
        visit.page.keyboard.press("Enter")
        result = visit.page.locator("#search-results a[href*='book/course/entropy.html']").first
        result.wait_for(timeout=5000)
        assert visit.errors == []


@needs_site
def test_the_phone_has_a_menu(browser: Browser, server: str) -> None:
    with open_page(browser, server, "book/index.html") as visit:
        visit.resize(PHONE)
        visit.page.get_by_role("button", name="Table of contents").click()
        chapter = visit.page.get_by_role("dialog").get_by_role("link", name="Notation")
        assert chapter.is_visible()
        visit.page.keyboard.press("Escape")
        assert not chapter.is_visible()


@needs_site
def test_the_first_figure_tells_the_loss(browser: Browser, server: str) -> None:
    with open_page(browser, server, "book/index.html") as visit:
        visit.page.get_by_role("slider", name="Score of cat").press("End")  # its largest score, 5
        visit.page.get_by_role("slider", name="Score of dog").press("Home")  # its smallest, −5
        visit.page.get_by_role("combobox", name="The picture shows").select_option("owl")
        visit.settle()
        loss = math.log(math.exp(5) + math.exp(-5) + math.exp(0)) - 0
        heading = visit.page.locator(".figure-live .role-title text").text_content()
        assert heading == f"loss = −log {math.exp(-loss):.3f} = {loss:.3f} nats"
