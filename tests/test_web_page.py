"""The page around the verdicts: offline, alone, clear about trouble, usable by everybody."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from browsers import start_browser
from conftest import snapshot
from page_station import TOKEN, served
from PIL import Image
from web_site import (
    Served,
    Watched,
    csv_rows,
    fake_camera,
    judge_files,
    served_site,
    wait,
    y4m,
)

VIEWS = ("check", "list", "explore", "setup")


@pytest.fixture(scope="module")
def site(tmp_path_factory, bundle):
    yield from served_site(bundle, tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def browser():
    yield from start_browser()


@pytest.fixture
def phone(browser):
    """A context of a phone's size."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def watched(phone, site):
    watched = Watched(phone)
    watched.open(site.url)
    return watched


@pytest.fixture
def picture(pictures) -> Path:
    return next(pictures.glob("test/good/*.png"))


def offline_ready(page) -> None:
    wait(page, "document.getElementById('offline-text').textContent.includes('Ready')")
    wait(page, "navigator.serviceWorker.controller !== null")


def test_it_works_without_a_network(phone, bundle, tmp_path, picture):
    """The server is gone, not only out of reach."""
    sites = served_site(bundle, tmp_path)
    served = next(sites)
    watched = Watched(phone)
    page = watched.open(served.url)
    offline_ready(page)
    judge_files(page, [picture])
    before = csv_rows(page)
    sites.close()
    served.stop()
    page.reload()
    wait(page, "document.getElementById('state').dataset.state === 'running'")
    page.click(".tabs [data-view=check]")
    judge_files(page, [picture])
    after = csv_rows(page)
    assert [row["score"] for row in after] == [before[0]["score"]] * 2
    assert not watched.complaints


def test_nobody_else_is_asked(watched, site, picture):
    page = watched.page
    offline_ready(page)
    judge_files(page, [picture])
    for view in VIEWS:
        page.click(f".tabs [data-view={view}]")
    page.wait_for_selector("#latents .slider", state="attached")
    asked = [url for url in watched.requests if not url.startswith(("blob:", "data:"))]
    assert asked
    assert all(url.startswith(site.url) for url in asked), asked
    assert not watched.complaints


def test_a_first_visit_does_not_load_things_twice(browser, bundle, tmp_path):
    sites = served_site(bundle, tmp_path)
    served = next(sites)
    context = browser.new_context()
    offline_ready(Watched(context).open(served.url))
    sent = [path for path, status in served.answers if status == 200]
    assert not [path for path in sent if "_compat_" in path or "float32" in path]
    large = [path for path in sent if path.startswith(("/runtime/", "/bundle/"))]
    assert len(large) == len(set(large)) >= 4, large
    context.close()
    sites.close()


def test_a_new_version_is_offered(phone, bundle, tmp_path):
    sites = served_site(bundle, tmp_path)
    served = next(sites)
    page = Watched(phone).open(served.url)
    offline_ready(page)
    script = tmp_path / "site" / "sw.js"
    script.write_text(re.sub(r'"version": "\w+"', '"version": "later"', script.read_text()))
    later = script.stat().st_mtime + 2  # servers tell changes apart by the second
    os.utime(script, (later, later))
    page.reload()
    wait(page, "document.getElementById('state').dataset.state === 'running'")
    page.click(".tabs [data-view=setup]")
    page.wait_for_selector("#reload:visible")
    with page.expect_navigation():
        page.click("#reload")
    wait(page, "caches.keys().then((keys) => keys.length === 1 && keys[0].endsWith('later'))")
    sites.close()


DAMAGE = {
    "detector": ("detector.int8.tflite", "detector.int8.tflite is damaged", "damaged"),
    "manifest": ("manifest.json", "digest does not match", "damaged"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_bundle_is_refused(phone, site, tmp_path, what, picture):
    name, word, title = DAMAGE[what]
    copy = Path(shutil.copytree(site.folder, tmp_path / "site"))
    file = copy / "bundle" / name
    content = bytearray(file.read_bytes())
    # A digit of the date: what is damaged is a manifest still.
    at = content.index(b'"created": "') + 12 if what == "manifest" else len(content) // 2
    content[at] ^= 1
    file.write_bytes(content)
    page = _trouble(phone, copy)
    assert word in page.inner_text("#trouble-what")
    assert title in page.inner_text("#trouble-title")
    assert not page.is_visible("#pick") and not page.is_visible("#shutter")


def test_a_bundle_that_was_mended_loads_again(phone, site, tmp_path):
    copy = Path(shutil.copytree(site.folder, tmp_path / "site"))
    manifest = copy / "bundle" / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:500])
    page = _trouble(phone, copy)
    assert "it is not a manifest" in page.inner_text("#trouble-what")
    manifest.write_bytes(whole)
    page.click("#trouble-again")
    wait(page, "document.getElementById('state').dataset.state === 'running'")


def test_another_schema_and_a_missing_bundle(phone, site, tmp_path):
    copy = Path(shutil.copytree(site.folder, tmp_path / "site"))
    manifest = copy / "bundle" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 2}))
    assert "another version" in _trouble(phone, copy).inner_text("#trouble-title")
    shutil.rmtree(copy / "bundle")
    page = _trouble(phone, copy)
    assert "404" in page.inner_text("#trouble-what")
    assert "could not be loaded" in page.inner_text("#trouble-title")


def test_without_webassembly_a_page_says_what_to_do(phone, site, tmp_path):
    copy = Path(shutil.copytree(site.folder, tmp_path / "site"))
    (worker,) = (copy / "assets").glob("worker-*.js")
    worker.write_text("delete self.WebAssembly;" + worker.read_text())
    page = _trouble(phone, copy)
    assert "cannot run" in page.inner_text("#trouble-title")
    assert "no WebAssembly" in page.inner_text("#trouble-what")


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_damaged_runtime_is_told(phone, site, tmp_path, damage):
    copy = Path(shutil.copytree(site.folder, tmp_path / "site"))
    for file in (copy / "runtime").glob("*.wasm.bin"):
        file.unlink() if damage == "lost" else file.write_bytes(file.read_bytes()[:99_999])
    page = _trouble(phone, copy)
    assert "could not be loaded" in page.inner_text("#trouble-what")


def test_a_refused_camera_leaves_a_way(site, picture):
    browsers = start_browser("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    page = Watched(next(browsers).new_context()).open(site.url)
    page.click("#shutter")
    wait(page, "document.getElementById('word').textContent === 'NO CAMERA'")
    said = page.inner_text("#empty")
    assert "refused" in said and "allow the camera" in said and "Pictures" in said
    judge_files(page, [picture])
    assert page.inner_text("#word") in ("PASS", "WARN", "FAIL")
    browsers.close()


def test_no_camera_and_no_https(bundle, tmp_path, picture):
    """By a plain address of the network there is no camera and no crypto: pictures still work."""
    sites = served_site(bundle, tmp_path)
    served = next(sites)
    browsers = start_browser("--host-resolver-rules=MAP station.test 127.0.0.1")
    watched = Watched(next(browsers).new_context())
    page = watched.open(served.url.replace("localhost", "station.test"))
    assert page.evaluate("isSecureContext") is False
    page.click("#shutter")
    wait(page, "document.getElementById('word').textContent === 'NO CAMERA'")
    assert "https://" in page.inner_text("#empty")
    judge_files(page, [picture])
    assert page.inner_text("#word") in ("PASS", "WARN", "FAIL")
    assert not watched.complaints
    browsers.close()
    sites.close()


def test_taking_good_parts_by_camera(site, tmp_path):
    video = y4m(tmp_path / "camera.y4m", [np.full((64, 64), 90, np.uint8)])
    browsers = start_browser(*fake_camera(video))
    watched = Watched(next(browsers).new_context(viewport={"width": 390, "height": 844}))
    page = watched.open(site.url)
    page.click(".tabs [data-view=setup]")
    page.click("#good")
    wait(page, "Number(document.getElementById('screen').dataset.frames) > 3")
    for _ in range(9):
        page.click("#shutter")
    page.click("#taking-done")
    assert page.inner_text("#good-text").startswith("9 good parts taken")
    page.click("#apply")
    assert "set here" in page.inner_text("#threshold")
    page.click(".tabs [data-view=list]")
    assert page.locator("#list .open").count() == 0
    assert not watched.complaints
    browsers.close()


def test_vote_and_the_list_of_camera_and_its_chart(watched, pictures):
    page = watched.page
    files = sorted(pictures.glob("test/*/*.png"))[:12]
    judge_files(page, files)
    page.click(".tabs [data-view=list]")
    assert page.is_visible("#chart svg")
    shown = page.locator("#counts dd").all_inner_texts()
    assert sum(int(text.split()[0]) for text in shown) == len(files)
    page.check("#filter [value=rejected]", force=True)
    assert page.locator("#list .badge", has_text="PASS").count() == 0
    page.check("#filter [value=all]", force=True)
    page.locator("#list .open").first.click()
    page.wait_for_selector("#kept-picture[src]")
    page.click("#delete")
    assert len(csv_rows(page)) == len(files) - 1
    page.click("#clear")
    page.click("#sure-yes")
    wait(page, "document.querySelectorAll('#list .open').length === 0")
    assert not watched.complaints


def test_a_name_that_would_be_a_formula(watched, tmp_path, picture):
    file = tmp_path / '=HYPERLINK("x"),1.png'
    shutil.copy(picture, file)
    judge_files(watched.page, [file])
    assert csv_rows(watched.page)[0]["source"] == "'" + file.name


def test_explore(watched, tmp_path, picture):
    page = watched.page
    page.click(".tabs [data-view=explore]")
    page.wait_for_selector("#latents .slider")
    seen = [_drawn(page)]
    page.click("#keep")
    slider = page.locator("#latents input").first
    slider.evaluate("s => { s.value = s.max; s.dispatchEvent(new Event('input')) }")
    seen.append(_changed(page, seen))
    page.click("#random")
    seen.append(_changed(page, seen))
    page.click("#keep")
    page.wait_for_selector("#morph-row:visible")
    page.fill("#morph", "0.5")
    seen.append(_changed(page, seen))
    page.fill("#morph", "0")
    wait(page, f"({_PIXELS}) === {json.dumps(seen[0])}")
    with page.expect_download() as download:
        page.click("#save-design")
    download.value.save_as(tmp_path / "design.png")
    width, height = Image.open(tmp_path / "design.png").size
    assert [width, height] == page.evaluate("[design.width, design.height]")
    page.set_input_files("#from-picture", str(picture))
    _changed(page, seen)
    page.reload()
    wait(page, "document.getElementById('state').dataset.state === 'running'")
    page.click(".tabs [data-view=explore]")
    wait(page, "document.querySelectorAll('#designs .design').length === 2")
    assert not watched.complaints


_PIXELS = "document.getElementById('design').toDataURL()"


def _drawn(page) -> str:
    return page.evaluate(_PIXELS)


def _changed(page, seen: list) -> str:
    """The picture, once it is another one than those seen."""
    wait(page, f"!{json.dumps(seen)}.includes({_PIXELS})")
    return _drawn(page)


def test_every_control_has_a_name(watched):
    nameless = watched.page.evaluate(
        """[...document.querySelectorAll("button, input, select, [role=img], dialog, nav, section")]
        .filter((e) => {
            const label = e.labels?.[0]?.textContent ?? "";
            const by = document.getElementById(e.getAttribute("aria-labelledby"))?.textContent;
            const own = e.matches("button") ? e.textContent : "";
            return !(label + (by ?? "") + own + (e.getAttribute("aria-label") ?? "")).trim()
                && e.id !== "trouble";
        }).map((e) => e.outerHTML)"""
    )
    assert nameless == []


CONTRAST = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const style = getComputedStyle(e);
            if (style.backgroundImage !== "none") return null;
            const colour = rgb(style.backgroundColor);
            if (colour.length < 4 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const weak = [];
    for (const e of document.querySelectorAll("body *")) {
        const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!text || !e.checkVisibility({ visibilityProperty: true })) continue;
        if (e.closest(":disabled, .remove")) continue;
        if (e.closest("label")?.querySelector(":disabled")) continue;
        const under = ground(e);
        if (!under) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(under)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) weak.push(`${e.tagName} ${e.className} ${e.textContent.trim()}: ${ratio}`);
    }
    return weak;
}"""

SMALL = """() => [...document.querySelectorAll("button, select, .choice label, label.plain")]
    .filter((e) => e.checkVisibility({ visibilityProperty: true }))
    .map((e) => [e.id || e.textContent.trim(), e.getBoundingClientRect()])
    .filter(([, box]) => box.height < 41.5 || box.width < 41.5)
    .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ((390, 844), "light"),
        ((1280, 800), "dark"),
        pytest.param((390, 844), "dark", marks=pytest.mark.slow),
        pytest.param((1280, 800), "light", marks=pytest.mark.slow),
    ],
)
def test_contrast_room_for_thumbs_and_no_sideways_scrolling(browser, site, scheme, size, picture):
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = Watched(context).open(site.url)
    judge_files(page, [picture])
    for view in VIEWS:
        if page.is_visible(f".tabs [data-view={view}]"):
            page.click(f".tabs [data-view={view}]")
        assert page.evaluate(CONTRAST) == [], view
        assert page.evaluate(SMALL) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], view
    context.close()


def test_by_keyboard_alone(watched):
    """Every control of a view is reached by the tabulator, and shows that it is."""
    page = watched.page
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        name = "document.activeElement.id || document.activeElement.dataset.view"
        reached.add(page.evaluate(name))
        outline = page.evaluate(
            """[document.activeElement, document.activeElement.parentElement,
                document.activeElement.nextElementSibling].filter(Boolean)
                .some((e) => getComputedStyle(e).outlineStyle !== "none")"""
        )
        assert outline, reached
    assert {"enlarge", "pick", "shutter", "list", "explore", "setup"} <= reached
    page.focus(".tabs [data-view=setup]")
    page.keyboard.press("Enter")
    assert page.is_visible("#setup")


def _trouble(context, folder: Path):
    """The page of a site that cannot be used."""
    served = Served(folder)
    page = Watched(context).open(served.url)
    assert page.is_visible("#trouble")
    assert not page.is_visible("main")
    return page


# From a station's own server


def test_edge_serves_it_to_who_may_see_it(site, phone, picture):
    with served(site.folder, token=TOKEN) as server:
        assert server.ask("/manifest.json").status == 401
        assert server.ask("/bundle/manifest.json").status == 401
        watched = Watched(phone)
        watched.page.goto(server.address)
        watched.complaints.clear()  # the form comes with status 401
        watched.page.fill("input", TOKEN)
        watched.page.press("input", "Enter")
        wait(watched.page, "document.getElementById('state')?.dataset.state === 'running'")
        judge_files(watched.page, [picture])
        assert len(csv_rows(watched.page)) == 1
        assert watched.complaints == []


def test_edge_serves_its_files_and_no_others(site, tmp_path):
    with served(site.folder) as server:
        for name, content in snapshot(site.folder).items():
            answer = server.ask("/" + name)
            assert (answer.status, answer.body) == (200, content), name
        assert server.ask("/").body == (site.folder / "index.html").read_bytes()
        for path in ("/..%2fsite%2findex.html", "/../site/index.html", "/api/status", "/bundle/"):
            assert server.ask(path).status == 404, path
        assert server.ask("/index.html", "POST", b"", {"Origin": server.address}).status == 404
