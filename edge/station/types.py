"""What flows through a station: frames in, records out."""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

import numpy as np


class Frame(NamedTuple):
    """A picture and where it came from.

    source: a file's path, or a name such as "camera:0". picture: uint8 (H, W) or (H, W, 3), RGB.
    taken: UTC seconds since 1970, as the clock said. monotonic: seconds of the clock that never
        jumps (`time.monotonic`), for whatever needs a duration.
    """

    source: str
    picture: np.ndarray
    taken: float
    monotonic: float


class Trouble(NamedTuple):
    """What a source gives in place of a frame.

    problem: one line. lost: the source itself is gone for now and will be opened again (a camera);
        otherwise only this one frame is (a file that is no picture).
    """

    source: str
    problem: str
    lost: bool = False


Arrival = Union[Frame, Trouble]


class Record(NamedTuple):
    """What is known of one frame after it was judged; a row of the store, a line of JSON.

    id: counts up, given by the store; 0 before. taken, monotonic: of the frame. boot: of the
        machine's start that `monotonic` counts from.
    score, p_value, threshold: of the frame; None where it could not be judged.
    verdict: "pass", "warn" or "fail" of this frame alone; "error" where it could not be judged.
    decision: "PASS", "WARN" or "FAIL" of the part, after votes and hysteresis; "ERROR".
    ms: milliseconds from the decoded picture to the verdict. bundle: first 12 digits of the
        manifest's digest. picture: file of what failed, relative to the station; None without.
    error: why it could not be judged.
    """

    taken: float
    monotonic: float
    boot: str
    source: str
    verdict: str
    decision: str
    score: Optional[float] = None
    p_value: Optional[float] = None
    threshold: Optional[float] = None
    ms: Optional[float] = None
    bundle: Optional[str] = None
    picture: Optional[str] = None
    error: Optional[str] = None
    id: int = 0
