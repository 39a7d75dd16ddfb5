"""pytest's plugin for an emulated machine: the tests that QEMU lets fail, and why.

QEMU's user mode is a program of this machine that plays one of the other's; what a test asks the
kernel about its own process, it is told about QEMU's.
"""

import pytest

_TO_BLAME = {
    "test_bench_measures": "the peak memory is that of QEMU, which holds what it has translated",
}


def pytest_collection_modifyitems(items):
    """These may fail; the others may not."""
    for item in items:
        reason = _TO_BLAME.get(item.originalname)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=f"QEMU: {reason}", strict=False))
