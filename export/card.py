"""card.md: what a bundle is, for the person who finds it on a device."""

from __future__ import annotations

from edge.manifest import Manifest, SequenceSpec

_DETECTS = (
    "A variational autoencoder that finds defects by reconstruction: it has seen good parts",
    "only, and marks what it cannot reconstruct. Check pictures with",
    "`python -m edge check BUNDLE PICTURE`.",
)
_GENERATES = (
    "A variational autoencoder that generates: the encoder turns an example into a code, the",
    "decoder a code into an example. It has no detector and judges nothing.",
)


def card(manifest: Manifest, checks: list[str]) -> str:
    """Markdown. checks: a line for each check that the export made."""
    counts = ", ".join(f"{n} {part}" for part, n in manifest.made_from["pictures"].items())
    lines = [
        f"# {manifest.name}",
        "",
        *(_DETECTS if manifest.score else _GENERATES),
        "",
        f"- Made {manifest.created} from `{manifest.made_from['data']}`: {counts}",
        f"- Takes {_taken(manifest.input)}",
        f"- Made with {', '.join(f'{k} {v}' for k, v in manifest.made_with.items())}",
        "",
        "## Files",
        "",
        "| graph | precision | KiB |",
        "|---|---|---|",
    ]
    lines += [
        f"| {role} | {precision} | {graph.entry.size / 1024:.0f} |"
        for role, by_precision in manifest.graphs.items()
        for precision, graph in by_precision.items()
    ]
    if manifest.score:
        lines += ["", "## Threshold", ""]
        lines += [
            f"- {precision}: fail above {c.threshold:.4g} (false-alarm rate {c.rate:g}; {c.note})"
            for precision, c in manifest.calibrations.items()
        ]
        lines += ["", "## Measured quality", "", *_quality(manifest.quality)]
    lines += ["", "## Checks of the export", "", "```", *checks, "```", ""]
    return "\n".join(lines)


def _taken(spec) -> str:
    if isinstance(spec, SequenceSpec):
        return f"sequences of at most {spec.steps} steps of {spec.features} values"
    colour = "grey" if spec.channels == 1 else "RGB"
    return f"pictures of any size, brought to {spec.height} x {spec.width} {colour}"


def _quality(quality: dict) -> list[str]:
    rows = [
        f"| {name} | {q['image_auroc']:.3f} | {q['false_alarm_rate']:.1%} | {q['miss_rate']:.1%} |"
        for name, q in quality.items()
        if "image_auroc" in q
    ]
    if not rows:
        return [
            "No labelled test pictures were given, so how many defects this finds is not known."
        ]
    n = next(q for q in quality.values() if "n_good" in q)
    return [
        f"On {n['n_good']} good and {n['n_bad']} defective test pictures:",
        "",
        "| | image AUROC | false alarms | misses |",
        "|---|---|---|---|",
        *rows,
    ]
