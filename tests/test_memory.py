"""What a step has freed, the next one gets without asking the system."""

import platform
import resource
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, resource, sys
from vae_tf.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
if sys.argv[1] == "keep":
    assert keep_freed_memory()

def step():
    blocks = [libc.malloc(size << 20) for size in (1, 40, 80)]
    for block, size in zip(blocks, (1, 40, 80)):
        libc.memset(block, 1, size << 20)
    for block in blocks:
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first = step()
print(step() - first)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_asked_for_once():
    def faults(how: str) -> int:
        command = [sys.executable, "-c", _PROGRAM, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    pages = (121 << 20) // resource.getpagesize()
    assert faults("give-back") > 0.9 * pages
    assert faults("keep") < 10
