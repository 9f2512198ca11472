"""The page: self-contained, escaped, and in a real browser sortable, readable and silent."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import os
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from synthetic_tuning import tuned_view

from harness.data.schemas import Pair
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.exchanges import exchanges
from harness.evidence.view import ComparisonView
from harness.records import ComparisonRecord
from harness.render import html
from harness.render._svg import svg
from harness.tables import Figure, Panel, Report, Series

ROOT = Path(__file__).parents[3]
EXAMPLE, FIXTURES = ROOT / "reports" / "example", ROOT / "tests" / "fixtures"
MOST_FIRST, MOST_OPEN = 150, 1_500
NASTY = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "quoted" \ud800 \x07 \\input{x}'
RADAR = Panel(
    "MT-Bench", "", "grade", (Series("orpo", (0, 1, 2), (3, 9, 5)),), kind="radar", x_names=("a", "b", "c")
)


def report() -> Report:
    view = tuned_view(full=True)
    texts = {
        cell: {
            f"i{n}": {
                "prompt": f"prompt {n} {NASTY}",
                "answer": f"{cell} says {n} {NASTY}",
                "judgment": NASTY,
            }
            for n in range(45)
        }
        for cell in ("base", "sft@0", "sft_dpo@0", "orpo@0")
    }
    asked = {"i0": f"prompt 0 {NASTY}", "i1": "of another benchmark that numbers its prompts alike"}
    pairs = {
        id: Pair(id, [{"role": "user", "content": prompt}], f"chosen {NASTY}", "rejected")
        for id, prompt in asked.items()
    }
    made = build_report(view)
    return dataclasses.replace(made, exchanges=exchanges(view, texts, pairs))


@pytest.fixture(scope="module")
def page(tmp_path_factory: Any) -> Path:
    (path,) = html.render(report(), Path(tmp_path_factory.mktemp("page")))
    return path


def test_nothing_leaves_the_page_and_nothing_is_run_but_ours(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 3
    assert "<img" not in text
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text)
    assert not re.search(r"url\(|@import|https?://", text.replace("http://www.w3.org/2000/svg", ""))
    assert "default-src 'none'" in text
    held = re.search(r'id="exchanges">(.*?)</script>', text, flags=re.DOTALL)
    assert held is not None
    rows = json.loads(held[1])["items"]
    assert rows[0]["prompt"] == f"prompt 0 {NASTY}"
    assert len(rows) == 45
    assert [reply["arm"] for reply in rows[0]["replies"]][:3] == ["chosen (data)", "rejected (data)", "base"]
    assert rows[0]["replies"][0]["text"] == f"chosen {NASTY}"
    assert rows[1]["replies"][0]["arm"] == "base"


def test_every_cell_stands_in_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for table in report().tables():
        assert f'id="t-{table.name}"' in text
    assert text.count("<tr>") == sum(len(t.rows) + 1 for t in report().tables())


def test_no_heading_skips_a_level(page: Path) -> None:
    """A reader by ear goes from heading to heading."""
    levels = [int(level) for level in re.findall(r"<h([1-6])>", page.read_text(encoding="utf-8"))]
    assert levels[0] == 1
    assert [(a, b) for a, b in itertools.pairwise(levels) if b > a + 1] == []


def test_a_radar_has_a_point_a_spoke_and_names() -> None:
    text = svg(Figure("radar", "Radar", (RADAR,)))
    assert text.count('class="point"') == 3
    assert "orpo: b 9" in text
    assert svg(Figure("empty", "Empty", (Panel("none", "x", "y", ()),)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def find(browser: Any, css: str) -> Any:
    return browser.find_element("css selector", css)


def opened(browser: Any, page: Path) -> None:
    """The page with every part unfolded."""
    browser.get(page.as_uri())
    browser.execute_script("for (const part of document.querySelectorAll('main > details')) part.open = true")


def test_in_a_browser(browser: Any, page: Path) -> None:
    from selenium.webdriver import Keys
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.support.ui import Select, WebDriverWait

    opened(browser, page)
    column = [f"#t-main tbody tr:nth-child({n}) th" for n in (1, 2, 3, 4)]

    def shown() -> list[str]:
        return [find(browser, css).text for css in column]

    before = shown()
    find(browser, "#t-main thead th:first-child button").send_keys(Keys.ENTER)
    assert shown() == sorted(before)
    assert find(browser, "#t-main thead th:first-child").get_attribute("aria-sort") == "ascending"
    find(browser, "#t-main thead th:first-child button").click()
    assert shown() == sorted(before, reverse=True)

    find(browser, "#t-main tbody button.source").click()
    told = find(browser, "#source").text
    assert "run" in told
    assert "stage" in told
    find(browser, "#source [data-close]").click()

    box = find(browser, ".filter input")
    table = box.get_attribute("aria-controls")
    rows = len(browser.find_elements("css selector", f"#{table} tbody tr"))
    box.send_keys("orpo flops")
    left = [r for r in browser.find_elements("css selector", f"#{table} tbody tr") if r.is_displayed()]
    assert 0 < len(left) < rows
    assert all("orpo" in r.text for r in left)

    point = find(browser, "figure .point")
    told = point.get_attribute("data-tip")

    def is_told(browser: Any) -> bool:
        """Pointed at once more: a scroll that ends late moves the point, and hides what was told."""
        place = (
            "arguments[0].scrollIntoView({block: 'center'}); const b = arguments[0].getBoundingClientRect();"
            "return [b.left + b.width / 2, b.top + b.height / 2]"
        )
        x, y = browser.execute_script(place, point)
        actions = ActionBuilder(browser)
        actions.pointer_action.move_to_location(int(x) + 40, int(y)).move_to_location(round(x), round(y))
        actions.perform()
        return bool(find(browser, "#tip").text == told != "")

    WebDriverWait(browser, 10).until(is_told)
    find(browser, "figure .enlarge").click()
    plot = find(browser, "#zoom .plot")
    width = plot.get_dom_attribute("viewBox")
    find(browser, "#zoom [data-zoom='0.8']").click()
    assert plot.get_dom_attribute("viewBox") != width
    find(browser, "#zoom [data-close]").click()

    assert find(browser, "#browse output").text == "45 of 45 prompts"
    answer = find(browser, "#answers li summary")
    answer.click()
    # Asked in the page: a lone surrogate does not travel through the driver.
    told = "return document.querySelector('#answers li .replies').textContent.includes('orpo@0 says 0')"
    assert browser.execute_script(told)
    assert find(browser, "#answers li .replies").is_displayed()
    find(browser, "#browse [name=words]").send_keys("prompt 17")
    assert find(browser, "#browse output").text == "1 of 45 prompts"
    find(browser, "#browse [name=words]").send_keys(Keys.BACKSPACE * len("prompt 17"))
    Select(find(browser, "#browse [name=contest]")).select_by_index(1)
    Select(find(browser, "#browse [name=outcome]")).select_by_visible_text("won")
    assert find(browser, "#browse output").text == "5 of 45 prompts"
    assert find(browser, "#answers li strong").text == "won"
    counts = {}
    for outcome in ("won", "lost", "tied", "any"):
        Select(find(browser, "#browse [name=outcome]")).select_by_visible_text(outcome)
        counts[outcome] = int(find(browser, "#browse output").text.split()[0])
    find(browser, "#browse [name=differ]").click()
    differ = int(find(browser, "#browse output").text.split()[0])
    assert differ == counts["won"] + counts["lost"] == counts["any"] - counts["tied"] < counts["any"]

    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_the_screen(browser: Any, page: Path, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    opened(browser, page)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    sideways = (
        "return [...document.querySelectorAll('.scroll')].filter((o) => o.scrollWidth > o.clientWidth).length"
    )
    assert width > 500 or browser.execute_script(sideways) == 0
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_is_short_until_something_is_unfolded() -> None:
    """At most 150 words stand above the first table, and 1,500 on all of the page, with five questions."""
    told = json.loads(gzip.decompress((FIXTURES / "embedded_v1.json.gz").read_bytes()))
    view = ComparisonView(ComparisonRecord.model_validate(told["record"]), told["items"], told["series"])
    body = html.page(build_report(view, root=Path("/elsewhere/runs"))).partition("<header>")[2]
    assert 60 < words(body.partition("</header>")[0]) <= MOST_FIRST
    assert 200 < words(folded_away(body)) <= MOST_OPEN


def test_so_is_the_page_of_the_example() -> None:
    body = (EXAMPLE / "report.html").read_text(encoding="utf-8").partition("<header>")[2]
    assert 200 < words(folded_away(body)) <= MOST_OPEN


def folded_away(body: str) -> str:
    """The page as it opens: of what is folded the summary alone, and no dialog."""
    innermost = re.compile(
        r"<details[^>]*><summary>((?:(?!</summary>).)*)</summary>(?:(?!<details).)*?</details>", re.DOTALL
    )
    while innermost.search(body):
        body = innermost.sub(r"\1", body)
    return re.sub(r"<(dialog|script)\b.*?</\1>", "", body, flags=re.DOTALL)


def words(markup: str) -> int:
    """What a reader counts: letters within an element's text, not its tags."""
    within = re.sub(r"</?(?:wbr|span|strong|code)>", "", markup)
    return len(unescape(re.sub(r"<[^>]*>", " ", within)).split())


def test_a_reader_finds_the_answer_first_and_the_rest_folded(browser: Any, page: Path) -> None:
    browser.get(page.as_uri())
    tables = "[...document.querySelectorAll('table')]"
    shown = f"return {tables}.filter((one) => one.checkVisibility()).map((one) => one.id)"
    assert browser.execute_script(shown) == ["t-main"]
    assert (
        browser.execute_script("return document.querySelector('ul.warnings').getBoundingClientRect().bottom")
        < 700
    )
    browser.get(f"{page.as_uri()}#section-parity")
    assert find(browser, "#t-parity").is_displayed()


def test_no_word_of_a_card_is_broken_in_the_middle(browser: Any, page: Path) -> None:
    """Names may go on after a mark within them; nothing that fits the card's width is cut elsewhere."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    opened(browser, page)
    broken = """
    for (const part of document.querySelectorAll("details")) part.open = true;
    const found = [], range = document.createRange();
    for (const cell of document.querySelectorAll("tbody th, tbody td")) {
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        for (const word of node.data.matchAll(/[^\\s_.\\/@:()<>-]+/g)) {
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          const lines = new Set([...range.getClientRects()].map((one) => Math.round(one.top)));
          if (lines.size > 1) found.push(word[0]);
        }
      }
    }
    return found"""
    found = browser.execute_script(broken)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert [word for word in found if len(word) < 20] == []


def test_a_table_and_a_figure_are_one_tab_stop_each(browser: Any, page: Path) -> None:
    """Arrow keys go on from there, and a figure is named by its row and column."""
    from selenium.webdriver import Keys

    opened(browser, page)
    for css, inside in (("table", "button"), ("svg.plot", ".point")):
        stops = f"[...document.querySelectorAll('{css}')].map((one) => (one.tabIndex === 0 ? 1 : 0) + "
        stops += f"[...one.querySelectorAll('{inside}')].filter((one) => one.tabIndex === 0).length)"
        assert set(browser.execute_script(f"return {stops}")) == {1}, css
    find(browser, "#t-main thead button").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    focus = "return document.activeElement"
    browser.execute_script(focus).send_keys(Keys.ARROW_DOWN)
    assert browser.execute_script(f"{focus}.getAttribute('aria-label')") == "sft, training time: 10.5 s"
    browser.execute_script(focus).send_keys(Keys.ARROW_DOWN)
    assert browser.execute_script(f"{focus}.getAttribute('aria-label')") == "sft_dpo, training time: 42.0 s"


def test_dark_and_light_have_contrast(browser: Any, page: Path) -> None:
    """WCAG's 4.5 between text and ground, for every colour of text, in both themes."""
    colours = {}
    for theme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        )
        browser.get(page.as_uri())
        style = "getComputedStyle(document.documentElement).getPropertyValue"
        names = ("ground", "ink", "soft", "link", "won", "lost")
        colours[theme] = {n: browser.execute_script(f"return {style}('--{n}').trim()") for n in names}
        ground = _luminance(colours[theme]["ground"])
        for name in names[1:]:
            text = _luminance(colours[theme][name])
            contrast = (max(ground, text) + 0.05) / (min(ground, text) + 0.05)
            assert contrast >= 4.5, (theme, name, contrast)
    assert colours["light"]["ground"] != colours["dark"]["ground"]


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 360),
        ("dark", 1280),
        pytest.param("dark", 360, marks=pytest.mark.slow),
        pytest.param("light", 1280, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_violation(browser: Any, page: Path, theme: str, width: int) -> None:
    """Deque's rules of accessibility, from the file that AXE names."""
    rules = os.environ.get("AXE")
    if not rules:
        pytest.skip("AXE names no axe.min.js")
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, page)
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": Path(rules).read_text(encoding="utf-8")})
    found = "found.violations.map((one) => one.id + ': ' + one.nodes[0].html)"
    assert browser.execute_async_script(f"axe.run().then((found) => arguments[0]({found}))") == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
