"""A station: one inspection that runs for months, from camera to verdict, with no operator.

A station is a folder. It holds the store of verdicts (`station.db`), pictures of what failed
(`failures/`) and what must survive a restart. `edge check` does without all of it.
"""
