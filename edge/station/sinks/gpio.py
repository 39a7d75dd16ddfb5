"""A line of the board's GPIO that is high on FAIL: a lamp, a gate that throws the part out.

A program killed outright leaves the line as it is: wire it so that this does no harm.
"""

from __future__ import annotations

import contextlib
import re
from typing import List, Optional

from edge.errors import UserError
from edge.station.sinks import SinkError
from edge.station.types import Record

_PIN = re.compile(r"\d{1,2}|(GPIO|BCM|BOARD|WPI)\d{1,2}|J\d:\d{1,2}")


class Gpio:
    """Follows the decisions, not the verdicts of single frames.

    pin: a BCM number ("17") or a name that gpiozero knows ("GPIO17", "BOARD11").
    hold: seconds that the line stays high after a FAIL; another FAIL meanwhile begins them anew.
        None: until the next PASS.
    Raises: UserError for what is no pin, without gpiozero, and where the machine has no GPIO.
    """

    at_once = True

    def __init__(self, pin: str, hold: Optional[float] = 0.5):
        if not _PIN.fullmatch(pin):
            raise UserError(f"expected a pin such as gpio:17 or gpio:BOARD11, got gpio:{pin}")
        if hold is not None and not 0 < hold <= 3600:
            raise UserError(f"expected gpio:{pin} to stay high for up to 3600 s, got {hold:g}")
        self.name, self._hold = f"gpio:{pin}", hold
        self._line = _line(int(pin) if pin.isdecimal() else pin, self.name)

    def write(self, records: List[Record]) -> None:
        """Sets the line by the last record that says PASS or FAIL. Raises: SinkError."""
        decisions = [r.decision for r in records if r.decision in ("PASS", "FAIL")]
        try:
            if "FAIL" in decisions and self._hold is not None:
                self._line.blink(on_time=self._hold, off_time=0, n=1)
            elif decisions and self._hold is None:
                self._line.value = decisions[-1] == "FAIL"
        except Exception as error:  # each of gpiozero's back ends raises its own
            raise SinkError(f"{self.name} cannot be set: {error}") from error

    def close(self) -> None:
        """Sets the line low and gives it back."""
        with contextlib.suppress(Exception):
            self._line.off()
            self._line.close()


def _line(pin, name: str):
    try:
        import gpiozero
    except ImportError:
        raise UserError(f"{name} needs gpiozero: run `pip install gpiozero lgpio`") from None
    try:
        return gpiozero.DigitalOutputDevice(pin, initial_value=False)
    except gpiozero.GPIOZeroError as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name} cannot be used: {what}; is it free, is lgpio installed?") from None
