"""The station's own page: what it sees now, what it decided, and an operator's marks.

A process beside the running station. It reads the store and the station's files in memory, and
writes nothing but marks and the date of one file, by which the station knows that somebody looks.

    python -m edge serve STATION
    python -m edge serve STATION --host 0.0.0.0 --token TOKEN
"""

from edge.page.server import serve

__all__ = ["serve"]
