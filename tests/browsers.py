"""A real browser for the tests of pages: Chromium, driven by Playwright.

Tests that need them are skipped where one is missing.
"""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def start_browser(*flags):
    """Yields a browser with further flags."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt install chromium")
    playwright = _Driver.take()
    try:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_QUIET, *flags])
        yield browser
        browser.close()
    finally:
        _Driver.give_back()


class _Driver:
    """Playwright's process: a second one beside it is not allowed, and it ends with its last user.

    Other tests look whether they leave processes behind.
    """

    _started = None
    _users = 0

    @classmethod
    def take(cls):
        why = "no Playwright: pip install playwright"
        api = pytest.importorskip("playwright.sync_api", reason=why)
        if not cls._users:
            cls._started = api.sync_playwright().start()
        cls._users += 1
        return cls._started

    @classmethod
    def give_back(cls):
        cls._users -= 1
        if not cls._users:
            cls._started.stop()
