"""The processors of the Pis, as QEMU and the interpreter's library for processors know them.

The interpreter chooses its kernels by what the processor can do. QEMU's own choice, `max`, has
instructions that no Pi has; so each is named, and described as the Pi's kernel describes it.
"""

from __future__ import annotations

from typing import NamedTuple

CORES = 4


class Cpu(NamedTuple):
    """One model of processor.

    board: where it sits. architecture: Debian's name. qemu: the name of QEMU's program.
    machine: what `uname -m` says there. part, variant, revision, features: of /proc/cpuinfo.
    """

    board: str
    architecture: str
    qemu: str
    machine: str
    part: str
    variant: str
    revision: int
    features: str

    @property
    def cpuinfo(self) -> str:
        """/proc/cpuinfo; QEMU 7 would show that of this machine."""
        return "".join(
            f"processor\t: {core}\n"
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\n"
            "CPU implementer\t: 0x41\n"
            f"CPU architecture: {7 if self.architecture == 'armhf' else 8}\n"
            f"CPU variant\t: {self.variant}\n"
            f"CPU part\t: {self.part}\n"
            f"CPU revision\t: {self.revision}\n\n"
            for core in range(CORES)
        )


_ARM64 = ("arm64", "aarch64", "aarch64")
_ARMHF = ("armhf", "arm", "armv7l")
_V8_0 = "fp asimd evtstrm crc32 cpuid"
_V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
_V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"

CPUS = {
    "cortex-a53": Cpu("Pi 3, Zero 2 W", *_ARM64, "0xd03", "0x0", 4, _V8_0),
    "cortex-a72": Cpu("Pi 4", *_ARM64, "0xd08", "0x0", 3, _V8_0),
    "cortex-a76": Cpu("Pi 5", *_ARM64, "0xd0b", "0x4", 1, _V8_2),
    "cortex-a7": Cpu("Pi 2", *_ARMHF, "0xc07", "0x0", 5, _V7),
}
