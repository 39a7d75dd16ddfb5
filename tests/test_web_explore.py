"""A bundle of a model that generates, on a phone: sliders, and the classes that it was told of."""

import json

import numpy as np
import pytest
from browsers import start_browser
from conftest import refused, run_python
from test_family import tones
from test_family_cli import QUICK, stripes
from web_site import Watched, served_site, wait

import export.__main__

pytestmark = pytest.mark.slow  # they train and export


def exported(source, folder, model):
    run_python("-m", "vae_tf", "train", source, folder / "run", "--model", model, *QUICK)
    run_python("-m", "export", folder / "run", folder / "out")
    return folder / "out" / "bundle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional")
    x, y = stripes(96)
    names = np.array(["lying", "standing", "tilted"])
    pictures, labels = stripes(24, seed=1)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=pictures, y_test=labels, names=names)
    return exported(folder / "data.npz", folder, "conditional")


@pytest.fixture(scope="module")
def page(bundle, tmp_path_factory):
    for site in served_site(bundle, tmp_path_factory.mktemp("web")):
        for browser in start_browser():
            watched = Watched(browser.new_context())
            page = watched.open(site.url)
            wait(page, "document.querySelectorAll('#latents .slider').length > 0")
            yield page
            assert watched.complaints == []


def drawn(page) -> str:
    page.wait_for_timeout(300)
    return page.evaluate("document.getElementById('design').toDataURL()")


def test_it_explores_and_judges_nothing(page):
    assert page.is_visible("#explore")
    for part in ("#check", "#verdict", ".tabs", "#trouble"):
        assert not page.is_visible(part), part


def test_a_class_is_drawn_and_kept_with_the_design(page, bundle):
    classes = json.loads((bundle / "manifest.json").read_bytes())["made_from"]["classes"]
    assert page.locator("#class option").all_inner_texts() == classes
    page.click("#mean")
    pictures = []
    for label in range(3):
        page.select_option("#class", str(label))
        pictures.append(drawn(page))
    assert len(set(pictures)) == 3
    page.click("#keep")
    page.select_option("#class", "0")
    assert drawn(page) == pictures[0]
    page.click(".design")
    assert drawn(page) == pictures[2]
    assert page.input_value("#class") == "2"


def test_a_site_shows_no_sequences(tmp_path, capsys):
    np.savez(tmp_path / "tones.npz", sequences=tones(96))
    bundle = exported(tmp_path / "tones.npz", tmp_path, "recurrent")
    line = refused(capsys, export.__main__.main, "web", bundle, tmp_path / "site")
    assert "sequences" in line
