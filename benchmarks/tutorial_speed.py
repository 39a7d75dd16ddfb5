"""Pictures a second: `VAE.fit` beside each tutorial's own loop, same nets and batches; a table.

    python -m benchmarks.tutorial_speed --data-dir DIR

The two take turns, so that a machine that slows down meanwhile slows both; each turn counts its
fastest epoch, the first of which traces.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.generative import by_fit, by_loop, load
from benchmarks.tutorials import TUTORIALS

_EPOCHS = 4  # a turn


def turns(tutorial, data, number: int, steps: int) -> list[tuple[float, float]]:
    """(the loop's, `VAE.fit`'s) pictures a second of each turn."""
    ways = (by_loop, by_fit)
    return [
        tuple(way(tutorial, data, turn, _EPOCHS, steps)[1] for way in ways)
        for turn in range(number)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="where TFDS data sets are")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="of an epoch (200)")
    options = parser.parse_args()
    data = load(options.data_dir)
    print("| tutorial | its loop | VAE.fit | times |\n|---|---|---|---|")
    for tutorial in TUTORIALS:
        pairs = turns(tutorial, data, options.turns, options.steps)
        loop, fit = (statistics.median(of) for of in zip(*pairs, strict=True))
        times = sorted(fit / loop for loop, fit in pairs)
        middle = f"{statistics.median(times):.2f} ({times[0]:.2f} to {times[-1]:.2f})"
        print(f"| {tutorial.name} | {loop:,.0f} | {fit:,.0f} | {middle} |", flush=True)


if __name__ == "__main__":
    main()
