"""A person at the page: twenty votes by keyboard, hostile answers, and what the browser asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import chromium

from harness.arena.duels import Duel
from harness.arena.pairs import write_pairs
from harness.arena.server import Arena
from harness.data.files import read_file
from harness.data.schemas import to_pairs
from harness.votes import firsts, read_votes

NASTY = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "</div></body><iframe srcdoc=\"<script>parent.document.title='taken'</script>\">",
    "<a href=\"javascript:document.title='taken'\">click</a>",
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:1/">',
    "\u202eright to left\u202c \x07 \ud800 {{7*7}} ${7*7}",
    "x" * 20_000,
    "",
)


def duels() -> list[Duel]:
    """Answers that would act if they were markup; `good` stands where the better one does."""
    return [
        Duel(
            f"p{n}",
            "new",
            [{"role": "user", "content": f"question {n} {NASTY[n % len(NASTY)]}"}],
            f"good {NASTY[n % len(NASTY)]}",
            f"{NASTY[(n + 3) % len(NASTY)]} poor",
        )
        for n in range(20)
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def arena(sitting: Any) -> Iterator[Arena]:
    with Arena(sitting(asked=duels())).running() as running:
        yield running


class Page:
    """What a voter sees and presses."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.wait("0 of")

    def wait(self, progress: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, 0.02).until(lambda _: self.text("progress").startswith(progress))

    def text(self, name: str) -> str:
        found = self.driver.execute_script(
            f"return document.getElementById('{name}').textContent.toWellFormed()"
        )
        return str(found)

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(key).perform()


def keys() -> tuple[str, str]:
    from selenium.webdriver.common.keys import Keys

    return Keys.ARROW_LEFT, Keys.ARROW_RIGHT


def test_twenty_votes_by_keyboard(browser: Any, arena: Arena, path: Path, tmp_path: Path) -> None:
    browser.get_log("performance")
    page = Page(browser, arena.url)
    left, right = keys()
    total = sum(arena.session.planned)
    for n in range(total):
        good_left = page.text("left").startswith("good")
        page.press((left, "1")[n % 2] if good_left else (right, "2")[n % 2])
        page.wait(f"{n + 1} of")
    votes = read_votes(path)
    assert len(firsts(votes)) == 20
    assert len(votes) == total
    assert {vote.preference for vote in votes} == {1.0}
    assert all(vote.milliseconds > 0 for vote in votes)
    assert "Nothing is left" in page.text("done-title")

    file = tmp_path / "pairs.jsonl"
    assert write_pairs(votes, "run-1", file) == 20
    pairs = to_pairs(*read_file(file)).pairs
    assert len(pairs) == 20
    assert all(pair.chosen.startswith("good") for pair in pairs)

    assert browser.title == "Which answer is better?", "no answer acted"
    for kind in ("script", "img", "iframe", "a", "meta[http-equiv]"):
        found = browser.find_elements("css selector", f".text {kind}")
        assert found == [], kind
    asked = [
        json.loads(row["message"])["message"]["params"]["request"]["url"]
        for row in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in row["message"]
    ]
    assert {urlsplit(url).netloc for url in asked if url.startswith("http")} == {f"127.0.0.1:{arena.port}"}
    assert [row for row in browser.get_log("browser") if row["level"] == "SEVERE"] == []


def test_keys_for_ties_skips_and_the_last_vote(browser: Any, arena: Arena, path: Path) -> None:
    page = Page(browser, arena.url)
    for n, key in enumerate(("t", "0", "S"), 1):
        page.press(key)
        page.wait(f"{n} of")
    assert [vote.preference for vote in read_votes(path)] == [0.5, 0.5, None]
    shown = page.text("left"), page.text("right")
    page.press("u")
    page.wait("2 of")
    page.press("u")
    page.wait("1 of")
    assert [vote.preference for vote in read_votes(path)] == [0.5]
    assert (page.text("left"), page.text("right")) != shown


def test_keys_that_scroll_do_not_vote(browser: Any, arena: Arena, path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, arena.url)
    for key in (Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.PAGE_DOWN, Keys.SPACE, Keys.TAB, Keys.END):
        page.press(key)
    assert page.text("progress").startswith("0 of")
    assert read_votes(path) == []


def test_a_button_can_be_reached_and_pressed(browser: Any, arena: Arena, path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, arena.url)
    for _ in range(12):
        page.press(Keys.TAB)
        if browser.switch_to.active_element.get_attribute("data-choice") == "tie":
            break
    page.press(Keys.ENTER)
    page.wait("1 of")
    assert [vote.preference for vote in read_votes(path)] == [0.5]


def test_finish_ends_it(browser: Any, arena: Arena) -> None:
    page = Page(browser, arena.url)
    browser.find_element("id", "finish").click()
    assert arena.finished.wait(10)
    page.press("1")
    assert page.text("done-title") == "Finished"


def test_a_server_that_is_gone_is_told(browser: Any, sitting: Any, path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    with Arena(sitting(asked=duels())).running() as running:
        page = Page(browser, running.url)
        page.press("t")
        page.wait("1 of")
    page.press("t")
    WebDriverWait(browser, 20, 0.02).until(lambda _: "does not answer" in page.text("problem"))
    assert len(read_votes(path)) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_keeps_deques_rules(browser: Any, arena: Arena, theme: str, width: int) -> None:
    rules = os.environ.get("AXE")
    if not rules:
        pytest.skip("AXE names no axe.min.js")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    Page(browser, arena.url)
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    assert browser.execute_script(wide) <= 0, "nothing is cut off to the side"
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": Path(rules).read_text(encoding="utf-8")})
    found = "found.violations.map((one) => one.id + ': ' + one.nodes[0].html)"
    assert browser.execute_async_script(f"axe.run().then((found) => arguments[0]({found}))") == []
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
