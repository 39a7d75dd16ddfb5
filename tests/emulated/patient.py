"""pytest's plugin for a machine of a tenth of the speed: property tests have no deadline.

They try fewer examples too: what they look for is the same on every processor. And a failure is
told at once, as the end may be an hour away.
"""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient",
    deadline=None,
    database=None,
    max_examples=25,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("patient")


class Told:
    """What tells. terminal: pytest's reporter, which writes past the capturing of output."""

    def __init__(self, terminal):
        self._terminal = terminal

    def pytest_runtest_logreport(self, report):
        """One line of a failure: which test, and the last line of what it said."""
        if report.failed:
            lines = report.longreprtext.strip().splitlines() or ["failed"]
            self._terminal.write_line(f"\n{report.nodeid}: {lines[-1]}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """The reporter is there by now."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        config.pluginmanager.register(Told(terminal))
