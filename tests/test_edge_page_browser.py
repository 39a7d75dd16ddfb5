"""The page in a real browser: what a person sees, presses, and must never be told wrongly."""

import contextlib
import os
import signal
import threading
import time

import numpy as np
import pytest
from browsers import start_browser
from page_station import TOKEN, FakeStation, served
from station_frames import wait_until

from edge.station.store import open_store

pytest.importorskip("waitress")
playwright = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright`")
expect = playwright.expect

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
WAIT = 60_000  # milliseconds; a machine may be busy


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=WAIT)
    yield from start_browser()


class Busy:
    """A station that judges a frame every 0.3 s, and writes what it sees while somebody looks."""

    def __init__(self, folder):
        self.station = FakeStation(folder)
        self.station.fill(60)
        self.verdict, self.known = "pass", {}
        self.judging = True
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        # A store belongs to one thread.
        self.station.store.close()
        self._thread.start()

    def _run(self):
        from edge.station.store import Store

        self.station.store = Store(self.station.folder)
        while not self._stop.wait(0.3):
            with self._lock:
                if self.judging:
                    self.station.add(self.verdict, keep=self.verdict == "fail")
                    if (self.station.memory / "watched").exists():
                        self.station.look(self.verdict)
                if self.known is not None:
                    self.station.health(**self.known)
        self.station.close()

    def pause(self, health=True) -> None:
        """No more frames; without health it is as after a kill."""
        with self._lock:
            self.judging = False
            if not health:
                self.known = None
                self.station.health(fresh_s=0.5)

    def close(self):
        self._stop.set()
        self._thread.join(60)


@pytest.fixture
def busy(tmp_path):
    made = Busy(tmp_path)
    yield made
    made.close()


@contextlib.contextmanager
def opened(browser, page, path="/", size=DESK, **options):
    """A tab on the page. Nothing may go to its console, and nothing to another server."""
    context = browser.new_context(viewport=size, **options)
    tab = context.new_page()
    tab.set_default_timeout(WAIT)
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.address + path)
    try:
        yield tab
        context.close()
        assert said == []
        elsewhere = [u for u in asked if not u.startswith((page.address, "data:image/jpeg"))]
        assert elsewhere == []
    finally:
        context.close()


def word(tab):
    return tab.locator("#word")


def test_it_shows_what_the_station_decides_now(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(word(tab)).to_have_text("PASS")
        expect(tab.locator("#verdict")).to_have_attribute("data-look", "pass")
        expect(tab.locator("#under")).to_contain_text("score 0.31, threshold 0.5")
        busy.verdict = "fail"
        expect(word(tab)).to_have_text("FAIL")
        expect(tab.locator("#announce")).to_have_text("FAIL")
        busy.verdict = "warn"
        expect(word(tab)).to_have_text("WARN")
        box = word(tab).bounding_box()
        assert box["height"] > 90, "to be read across a workshop"
        tab.get_by_label("Fill the screen").click()
        assert word(tab).bounding_box()["height"] > 300
        tab.keyboard.press("Escape")
        assert word(tab).bounding_box()["height"] == pytest.approx(box["height"])
        expect(tab.locator("#name")).to_have_text("line-1")


def test_the_live_view_has_three_layers(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        image = tab.locator("#frame")
        expect(image).to_be_visible()
        expect(image).to_have_attribute("alt", "Live view, map: PASS")
        heat = red_over_green(tab)
        tab.locator("#layers").get_by_role("radio", name="Picture").check()
        expect(image).to_have_attribute("alt", "Live view, picture: PASS")
        assert heat > abs(red_over_green(tab)) + 2
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        expect(image).to_have_attribute("alt", "Live view, reconstruction: PASS")


def red_over_green(tab) -> float:
    """Of the live view's pixels, as they are drawn."""
    pixels = tab.evaluate(
        """async () => {
          const image = document.getElementById("frame");
          await image.decode();
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    red, green = np.array(pixels).reshape(-1, 4).T[:2]
    return float((red - green).mean())


# An old PASS is never taken for the present one


def test_a_page_whose_server_is_gone_claims_nothing(browser, busy):
    with served(busy.station.folder) as page:
        context = browser.new_context(viewport=DESK)
        tab = context.new_page()
        tab.goto(page.address)
        expect(word(tab)).to_have_text("PASS")
        os.kill(page.process.pid, signal.SIGSTOP)  # as one that hangs
        start = time.monotonic()
        expect(word(tab)).to_have_text("NO ANSWER", timeout=20_000)
        assert time.monotonic() - start < 10
        expect(tab.locator("#verdict")).to_have_attribute("data-look", "unknown")
        assert "PASS" not in tab.locator("#verdict").inner_text()
        expect(tab.locator("#state-text")).to_have_text("no answer")
        os.kill(page.process.pid, signal.SIGCONT)
        expect(word(tab)).to_have_text("PASS")
        os.kill(page.process.pid, signal.SIGKILL)
        expect(word(tab)).to_have_text("NO ANSWER")
        context.close()


def test_a_station_that_was_killed(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(word(tab)).to_have_text("PASS")
        busy.pause(health=False)
        expect(word(tab)).to_have_text("NO SIGNAL")
        expect(tab.locator("#under")).to_contain_text("last verdict: PASS")
        expect(tab.locator("#notice-text")).to_contain_text("not been heard of")
        expect(tab.locator("#frame")).to_be_hidden()


@pytest.mark.slow
def test_a_verdict_of_a_while_ago_is_an_outline(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(tab.locator("#verdict")).to_have_attribute("data-look", "pass")
        busy.pause()
        expect(tab.locator("#verdict")).to_have_attribute("data-look", "pass old")
        expect(tab.locator("#under")).to_contain_text("ago: the last verdict")
        expect(tab.locator("#frame")).to_have_class("old")
        busy.known = {"source_lost": "camera:0 does not answer"}
        expect(word(tab)).to_have_text("NO VERDICT")
        expect(tab.locator("#under")).to_have_text("source: camera:0 does not answer")


@pytest.mark.slow
def test_a_hidden_tab_asks_nothing_and_comes_back_without_the_old_word(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(word(tab)).to_have_text("PASS")
        asked = []
        tab.on("request", lambda request: asked.append(request.url))
        hide(tab, True)
        expect(word(tab)).to_have_text("…")
        tab.wait_for_timeout(1500)  # what was under way
        asked.clear()
        tab.wait_for_timeout(3000)
        assert asked == []
        expect(word(tab)).to_have_text("…")
        hide(tab, False)
        expect(word(tab)).to_have_text("PASS")


def hide(tab, hidden):
    tab.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.mark.slow
def test_a_station_that_never_ran(browser, tmp_path):
    with served(tmp_path) as page, opened(browser, page) as tab:
        expect(word(tab)).to_have_text("NOT YET RUN")
        expect(tab.locator("#under")).to_contain_text("python -m edge run")
        expect(tab.locator("#list")).to_contain_text("No frame has been judged yet.")
        expect(tab.locator("#chart")).to_contain_text("No scores yet.")


# Marks


def test_marking_in_the_list_and_changing_it_in_the_details(browser, busy):
    busy.verdict = "fail"
    with served(busy.station.folder) as page, opened(browser, page, size=PHONE) as tab:
        tab.get_by_role("button", name="Verdicts").click()
        expect(tab.locator("#list li").nth(5)).to_contain_text("FAIL")
        row = hold(tab)
        id = int(row.get_attribute("data-id"))
        button = row.get_by_role("button", name="False alarm")
        expect(button).to_have_attribute("aria-pressed", "false")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(tab.locator("#toast")).to_have_text(f"Frame {id} (FAIL) is marked: false alarm.")
        assert marks(busy) == {id: "false-alarm"}
        row.locator(".open").click()
        dialog = tab.get_by_role("dialog")
        expect(dialog).to_contain_text(f"Frame {id}: FAIL")
        for text in ("0.82", "0.2", "3.3 ms", "0123456789ab", "camera:0"):
            expect(dialog).to_contain_text(text)
        picture = dialog.locator("#stored-picture")
        expect(picture).to_have_js_property("naturalWidth", 128)
        expect(picture).to_have_attribute("src", f"/api/records/{id}/map")
        dialog.get_by_role("radio", name="Picture").check()
        expect(picture).to_have_attribute("src", f"/api/records/{id}/picture")
        dialog.get_by_role("button", name="Missed").click()
        expect(dialog.locator("#toast")).to_be_visible()
        wait_until(lambda: marks(busy) == {id: "missed"}, 60)
        tab.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(row.get_by_role("button", name="Missed")).to_have_attribute("aria-pressed", "true")
        # And it is there for the next who looks.
        tab.reload()
        tab.get_by_role("button", name="Verdicts").click()
        marked = tab.locator("#list [aria-pressed=true]")
        expect(marked).to_have_count(1)
        hold(tab)
        marked.click()  # once more takes it back
        wait_until(lambda: marks(busy) == {}, 60)


def hold(tab, n=2):
    """The list's row of that number; the list stands still from now on."""
    expect(tab.locator("#list li[data-id]").nth(n)).to_be_visible()
    tab.locator("#hold").click()
    tab.wait_for_timeout(700)
    return tab.locator("#list li").nth(n)


def marks(busy):
    with open_store(busy.station.folder) as store:
        return {mark.record.id: mark.kind for mark in store.marks()}


@pytest.mark.slow
def test_the_list_stands_still_under_a_thumb(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        rows = tab.locator("#list li")
        first = rows.first.get_attribute("data-id")
        expect(rows.first).not_to_have_attribute("data-id", first)
        tab.locator("#list").dispatch_event("pointerdown")
        held = rows.first.get_attribute("data-id")
        expect(tab.locator("#hold")).to_contain_text("new)")
        expect(tab.locator("#hold")).not_to_contain_text("(0 new)")
        assert rows.first.get_attribute("data-id") == held
        tab.locator("#hold").click()
        expect(rows.first).not_to_have_attribute("data-id", held)


@pytest.mark.slow
def test_a_press_just_after_a_move_marks_nothing(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(tab.locator("#list li[data-id]").first).to_be_visible()
        tab.evaluate(
            """() => new Promise((done) => {
              const list = document.getElementById("list");
              const first = list.firstElementChild.dataset.id;
              const watch = new MutationObserver(() => {
                if (list.firstElementChild.dataset.id === first) return;
                watch.disconnect();
                list.querySelector(".mark").click();
                done();
              });
              watch.observe(list, {childList: true});
            })"""
        )
        expect(tab.locator("#toast")).to_contain_text("The list had just moved.")
        assert marks(busy) == {}


@pytest.mark.slow
def test_only_those_that_did_not_pass(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        tab.get_by_role("radio", name="Not passed").check()
        badges = tab.locator("#list .badge")
        expect(badges.first).not_to_have_text("PASS")
        assert set(badges.all_inner_texts()) == {"FAIL", "WARN"}


@pytest.mark.slow
def test_a_mark_that_is_refused_is_said(browser, busy):
    with served(busy.station.folder) as page:
        context = browser.new_context(viewport=DESK)
        tab = context.new_page()
        tab.goto(page.address)
        row = hold(tab)
        os.kill(page.process.pid, signal.SIGKILL)
        row.locator(".mark").click()
        expect(tab.locator("#toast")).to_contain_text("Not marked: the page's server")
        expect(row.locator(".mark")).to_have_attribute("aria-pressed", "false")
        context.close()


# The rest of the page


@pytest.mark.slow
def test_chart_counts_drift_problems_and_events(browser, busy):
    busy.known = {"drift": "brightness 0.31, was 0.44: the light?", "lost": 3, "dropped": 12}
    with served(busy.station.folder) as page, opened(browser, page, size=PHONE) as tab:
        expect(tab.locator("#notice-text")).to_contain_text("drift: brightness 0.31")
        tab.locator("#notice").click()
        expect(tab.locator("#drift")).to_have_text("brightness 0.31, was 0.44: the light?")
        expect(tab.locator("#problems")).to_contain_text("3 records were lost")
        expect(tab.locator("#events")).to_contain_text("camera:0 was lost and opened again")
        tab.get_by_role("button", name="Scores").click()
        expect(tab.locator("#decisions")).to_contain_text("FAIL")
        for term, value in (("Dropped", "12"), ("Lost", "3"), ("Disk free", "MB")):
            expect(tab.locator("#numbers div", has_text=term)).to_contain_text(value)
        chart = tab.locator("#chart svg")
        limit = tab.locator("#chart .limit").bounding_box()
        dots = tab.locator("#chart .dots.fail").bounding_box()
        passes = tab.locator("#chart .dots.pass").bounding_box()
        assert dots["y"] < limit["y"] < passes["y"] + passes["height"]
        chart.focus()
        tab.keyboard.press("Home")
        expect(tab.locator("#chart .readout")).to_contain_text("threshold 0.5")
        assert chart.get_attribute("aria-valuenow") == "1"
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("dialog")).to_be_visible()
        expect(tab.get_by_role("dialog")).to_contain_text("Frame 2: PASS")
        expect(tab.get_by_role("dialog")).to_contain_text("No picture was kept")


def test_texts_from_elsewhere_stay_texts(browser, busy):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    busy.known = {"drift": evil, "trouble": evil}
    busy.pause()
    time.sleep(0.5)
    with open_store(busy.station.folder, readonly=False) as store:
        store.note("camera", evil)
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(tab.locator("#events")).to_contain_text(evil)
        expect(tab.locator("#drift")).to_have_text(evil)
        assert tab.locator("#events img, #drift img, #problems img, main script").count() == 0


@pytest.mark.slow
def test_nothing_jumps_when_something_happens(browser, busy):
    with served(busy.station.folder) as page, opened(browser, page, size=PHONE) as tab:
        expect(tab.locator("#frame")).to_be_visible()
        before = boxes(tab)
        busy.verdict = "fail"
        busy.known = {"drift": "a long reason " * 20, "source_lost": "camera:0 " * 20}
        expect(word(tab)).to_have_text("FAIL")
        expect(tab.locator("#notice")).to_have_attribute("data-level", "bad")
        assert boxes(tab) == before
        busy.pause(health=False)
        expect(word(tab)).to_have_text("NO SIGNAL")
        assert boxes(tab) == before
        wide = "document.documentElement.scrollWidth"
        for name in ("Verdicts", "Scores", "Station", "Live"):
            tab.locator(".tabs").get_by_role("button", name=name).click()
            assert tab.evaluate(wide) == PHONE["width"], "nothing to scroll sideways"
            assert tab.locator("#verdict").bounding_box() == before[0]


def boxes(tab):
    names = ("#verdict", "#notice", "#live", "#layers", ".screen", ".tabs")
    return [tab.locator(name).first.bounding_box() for name in names]


# The token, in a browser


def test_the_login_form_lets_in_and_out(browser, busy):
    with served(busy.station.folder, token=TOKEN) as page:
        context = browser.new_context(viewport=PHONE)
        tab = context.new_page()
        tab.goto(page.address)
        field = tab.get_by_label("Token of this station")
        expect(field).to_be_focused()
        field.fill("wrong")
        tab.keyboard.press("Enter")
        expect(tab.get_by_role("alert")).to_have_text("that is not the token")
        tab.get_by_label("Token of this station").fill(TOKEN)
        tab.get_by_role("button", name="Log in").click()
        expect(word(tab)).to_have_text("PASS")
        assert tab.evaluate("document.cookie") == "", "no script reads it"
        tab.locator(".tabs").get_by_role("button", name="Station").click()
        tab.get_by_role("button", name="Log out").click()
        expect(tab.get_by_label("Token of this station")).to_be_visible()
        context.close()


@pytest.mark.slow
def test_a_link_with_the_token_lets_in_also_from_another_page(browser, busy):
    """A strict cookie is not sent along where another site's link leads, nor after a redirect."""
    with served(busy.station.folder, token=TOKEN) as page:
        context = browser.new_context()
        tab = context.new_page()
        tab.route("http://mail.example/", lambda route: route.fulfill(
            body=f'<a href="{page.address}/?token={TOKEN}">station</a>', content_type="text/html"
        ))  # fmt: skip
        tab.goto("http://mail.example/")
        tab.get_by_text("station").click()
        expect(word(tab)).to_have_text("PASS")
        assert tab.url == f"{page.address}/"
        context.close()


# For everybody

CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const {backgroundColor, backgroundImage} = getComputedStyle(at);
      if (backgroundImage !== "none") return backgroundImage.match(/rgb\\([^)]*\\)/)[0];
      if (rgb(backgroundColor)[3] === 255) return backgroundColor;
    }
    return "white";
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility({checkVisibilityCSS: true})) continue;
    if (element.closest("noscript, script")) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.tagName + "." + element.className, texts.currentNode.textContent]);
  }
  return found;
}"""  # noqa: E501

NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, [tabindex]")]
  .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.labels?.length || e.textContent.trim()))
  .map((e) => e.outerHTML)"""

SMALL = """() => [...document.querySelectorAll("button, label")]
  .filter((e) => e.checkVisibility()).map((e) => [e.getBoundingClientRect(), e.outerHTML])
  .filter(([box]) => box.width && Math.min(box.width, box.height) < 40).map(([, html]) => html)"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_contrast_labels_and_sizes(browser, busy, size, scheme):
    busy.known = {"drift": "it is darker"}
    with served(busy.station.folder) as page:
        for verdict in ("pass", "warn", "fail", "error"):
            busy.verdict = verdict
            with opened(browser, page, size=size, color_scheme=scheme) as tab:
                expect(word(tab)).to_have_text(verdict.upper())
                expect(tab.locator("#list li[data-id]").first).to_be_attached()
                for name in ("Live", "Verdicts", "Scores", "Station"):
                    if size is PHONE:
                        tab.locator(".tabs").get_by_role("button", name=name).click()
                    check_for_everybody(tab)
        busy.verdict = "fail"
        with opened(browser, page, size=size, color_scheme=scheme) as tab:
            expect(word(tab)).to_have_text("FAIL")
            busy.pause()
            expect(tab.locator("#verdict")).to_have_attribute("data-look", "fail old")
            check_for_everybody(tab)
            busy.pause(health=False)
            expect(word(tab)).to_have_text("NO SIGNAL")
            check_for_everybody(tab)


def check_for_everybody(tab):
    texts = tab.evaluate(CONTRAST)
    assert len(texts) > 10
    assert [text for text in texts if text[0] < 4.5] == []
    assert tab.evaluate(NAMELESS) == []
    assert tab.evaluate(SMALL) == [], "for a thumb"


@pytest.mark.slow
def test_by_keyboard_alone(browser, busy):
    busy.verdict = "fail"
    with served(busy.station.folder) as page, opened(browser, page) as tab:
        expect(tab.locator("#list .mark").first).to_be_visible()
        reached = []
        for _ in range(16):
            tab.keyboard.press("Tab")
            reached.append(
                tab.evaluate(
                    """() => {
                      const e = document.activeElement;
                      const box = e.closest("label") ?? e;
                      const ring = getComputedStyle(e.nextElementSibling?.tagName === "SPAN"
                        && e.type === "radio" ? e.nextElementSibling : e).outlineStyle;
                      return [e.id || e.name || e.className, ring, box.checkVisibility()];
                    }"""
                )
            )
            if reached[-1][0] == "mark":
                break
        names = [name for name, _, _ in reached]
        for name in ("enlarge", "notice", "layer", "filter", "hold", "open", "mark"):
            assert name in names, names
        assert {ring for _, ring, _ in reached} == {"solid"}, "and one sees where one is"
        tab.wait_for_timeout(700)
        tab.keyboard.press("Enter")
        expect(tab.locator("#list [aria-pressed=true]")).to_have_count(1)
        assert list(marks(busy).values()) == ["false-alarm"]
