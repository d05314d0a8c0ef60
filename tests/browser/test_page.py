"""The page in a real Chromium: numbers move, a drift alert appears, and a trial goes 10 → 50 → 100 before the eyes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.platform import LOOPAI

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WATCH = """() => {
  window.seen = [];
  const look = () => {
    for (const step of document.querySelectorAll('[data-testid=rollout-step]')) {
      const now = step.dataset.weight + ' ' + step.dataset.state;
      if (!window.seen.includes(now)) window.seen.push(now);
    }
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo whose traffic drifts after a few seconds; its page's address."""
    folder = tmp_path_factory.mktemp("demo")
    words = ["demo", "--port", "0", "--kafka-port", "0", "--rate", "200", "--drift-at", "3000"]
    log = (folder / "demo.log").open("w+")
    process = subprocess.Popen([LOOPAI, *words], cwd=folder, stderr=log, stdout=log, text=True)
    try:
        yield _address(folder / "demo.log", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.close()


def _address(log: Path, process: subprocess.Popen[str]) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"Page\s+(http://\S+)", log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def page(demo: str) -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("No Chromium: install the system's package `chromium`.", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        made = browser.new_page(viewport={"width": 1280, "height": 1000})
        errors: list[str] = []
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        made.goto(demo)
        yield made
        browser.close()
        assert not errors


@pytest.mark.timeout(400)
def test_numbers_move_an_alert_appears_and_a_trial_goes_to_all(page: Page) -> None:
    page.evaluate(WATCH)
    expect(page.get_by_test_id("simulated").first).to_be_visible(timeout=60_000)
    expect(page.get_by_test_id("oracle").first).to_contain_text(re.compile("label", re.IGNORECASE))
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=30_000)
    total = page.get_by_test_id("inputs-total")
    expect(total).to_have_attribute("data-value", re.compile(r"[1-9]\d*"), timeout=120_000)
    before = float(total.get_attribute("data-value") or 0)
    page.wait_for_function(
        "n => Number(document.querySelector('[data-testid=inputs-total]').dataset.value) > n + 200", arg=before,
        timeout=30_000,
    )  # fmt: skip
    expect(page.get_by_test_id("right-answers-interval")).to_contain_text("%", timeout=60_000)
    expect(page.get_by_test_id("drift-alert").first).to_be_visible(timeout=120_000)
    page.wait_for_function("() => window.seen.includes('100 done')", timeout=200_000)
    seen = page.evaluate("() => window.seen")
    currents = [s for s in seen if s.endswith("current")]
    assert currents[:3] == ["10 current", "50 current", "100 current"], seen
    expect(page.get_by_test_id("timeline-item").first).to_be_visible()


@pytest.mark.timeout(120)
def test_the_page_fits_a_phone_in_light_and_dark(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0


@pytest.mark.timeout(120)
def test_only_our_own_origin_is_asked(page: Page, demo: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=30_000)
    assert asked
    assert all(url.startswith((demo, demo.replace("http", "ws"), "data:")) for url in asked), json.dumps(asked)
