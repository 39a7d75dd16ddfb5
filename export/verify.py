"""Is a converted graph the model, and is its int8 form good enough? Asked before it is shipped.

Structure: builtin operations only, weights inside. float32: every output agrees with Keras. int8 is
judged by the task: by AUROC where labelled test pictures exist, and always by whether it tells and
judges held-out good pictures and synthetic defects as Keras does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.errors import UserError

FLOAT_TOLERANCE = 1e-4  # of an output's range, where that is above 1
MAX_AUROC_LOSS = 0.01
MAX_FLOAT_AUROC_LOSS = 0.0005
MIN_VERDICT_AGREEMENT = 0.90
MAX_CODE_ERROR = 0.1  # int8 encoder: root mean square, in standard deviations of the prior
MAX_IMAGE_ERROR = 0.02  # int8 decoder: mean absolute, of the grey scale

_OP_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
_STATEFUL = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


class VerificationError(UserError):
    """A graph that does not do what the model does. No bundle is written."""


@dataclasses.dataclass
class Report:
    """What was checked: lines for a person, figures for the manifest, and what failed."""

    lines: list[str] = dataclasses.field(default_factory=list)
    figures: dict = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)

    def check(self, ok, what: str) -> None:
        """Notes one check; `what` states the figure and its limit."""
        self.lines.append(f"{'ok  ' if ok else 'FAIL'} {what}")
        if not ok:
            self.failures.append(what)

    def require(self) -> None:
        """Raises: VerificationError naming every check that failed."""
        if self.failures:
            raise VerificationError(
                f"no bundle was written, for {len(self.failures)} checks failed: "
                + "; ".join(self.failures)
            )


def op_names(content: bytes) -> list[str]:
    """The operations of a .tflite file, each once, sorted; custom ones by their own name."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = set()
    for code in model.operatorCodes:
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode.decode() if code.customCode else ""
        names.add(f"custom:{custom}" if custom else _OP_NAMES.get(number, f"unknown:{number}"))
    return sorted(names)


def check_structure(report: Report, name: str, content: bytes, weights: int) -> None:
    """Checks the operations, and that the file is large enough to hold the weights.

    weights: numbers that the graph's part of the model has; int8 holds each in at least a byte.
    """
    ops = op_names(content)
    foreign = [op for op in ops if op.startswith(("custom:", "unknown:")) or op in _STATEFUL]
    report.check(not foreign, f"{name}: builtin operations only{_but(foreign)}")
    least = weights * (4 if name.endswith("float32") else 1)
    size = f"{name}: {len(content):,} bytes hold {weights:,} weights"
    report.check(len(content) >= least, size)


def _but(names: list[str]) -> str:
    return f", but has {', '.join(names)}" if names else ""


def check_float32(report: Report, role: str, keras: dict, graph: dict) -> None:
    """Checks that every output agrees. keras, graph: output name -> array of the same shape."""
    for name, expected in keras.items():
        allowed = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(expected - graph[name]).max())
        what = f"{role}.float32: {name} differs from Keras by {difference:.1e}, limit {allowed:.1e}"
        report.check(difference <= allowed, what)


def check_int8_outputs(report: Report, role: str, keras: dict, graph: dict) -> None:
    """Checks the int8 encoder's codes or decoder's pictures; the detector has `check_scores`."""
    if role == "encoder":
        error = float(np.sqrt(np.mean(np.square(keras["z_mean"] - graph["z_mean"]))))
        what = f"encoder.int8: z_mean off by {error:.3f} (root mean square), limit {MAX_CODE_ERROR}"
        report.check(error <= MAX_CODE_ERROR, what)
    if role == "decoder":
        ((name, expected),) = keras.items()
        # Of the range: that of grey levels, 0 to 1, or that which sequences take.
        span = 1.0 if name == "image" else float(np.ptp(expected))
        error = float(np.mean(np.abs(expected - graph[name])))
        limit = MAX_IMAGE_ERROR * span
        what = f"decoder.int8: {name} off by {error:.4f} on average, limit {limit:.4g}"
        report.check(error <= limit, what)


def check_scores(report: Report, precision: str, damaged, keras: tuple, graph: tuple) -> None:
    """Checks that a graph tells and judges held-out pictures as Keras does.

    That it ranks them alike is not asked: where scores are hardly apart, ranks are chance.

    damaged: bool (n,), which of the pictures have synthetic defects. keras, graph: (scores,
        verdicts) of the same pictures, each judged by the threshold from its own scores.
    """
    stopped = [np.asarray(verdicts) == "fail" for _, verdicts in (keras, graph)]
    agreement = float(np.mean(stopped[0] == stopped[1]))
    limit = MIN_VERDICT_AGREEMENT
    limit -= 3 * float(np.sqrt(limit * (1 - limit) / len(stopped[0])))  # so few may be chance
    report.figures.setdefault(precision, {})["verdict_agreement"] = agreement
    what = f"detector.{precision}: passes or fails as Keras does for {agreement:.1%}"
    report.check(agreement >= limit, f"{what}, limit {limit:.0%}")
    _check_auroc(report, f"detector.{precision}: synthetic defects, AUROC", damaged, keras, graph)


def check_auroc(report: Report, precision: str, bad, keras, graph) -> None:
    """Checks what the precision costs on labelled test pictures.

    bad: bool (n,), some true and some not. keras, graph: scores (n,) of the same pictures.
    """
    most = MAX_AUROC_LOSS if precision == "int8" else MAX_FLOAT_AUROC_LOSS
    _check_auroc(report, f"detector.{precision}: image AUROC", bad, (keras,), (graph,), most)


def _check_auroc(report, what: str, bad, keras, graph, most=MAX_AUROC_LOSS) -> None:
    """A loss within three standard errors is let pass: on a handful of pictures, or where scores
    are hardly apart, a few pairs that change places are chance."""
    bad = np.asarray(bad, bool)
    wins = [_wins(np.asarray(scores[0]), bad) for scores in (keras, graph)]
    loss = float(wins[0].mean() - wins[1].mean())
    # DeLong et al., "Comparing the Areas under Two or More Correlated ROC Curves", 1988.
    change = wins[1] - wins[0]
    error = float(np.sqrt(sum(_variance_of_mean(change.mean(axis=axis)) for axis in (0, 1))))
    limit = max(most, 3 * error)
    what = f"{what} {wins[1].mean():.4f}, {loss:.4f} below Keras"
    report.check(loss <= limit, f"{what}, limit {limit:.2g}")


def _wins(scores: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """1 where the bad picture (row) scores above the good one (column), 0.5 where as high."""
    return (np.sign(scores[bad][:, None] - scores[~bad]) + 1) / 2


def _variance_of_mean(values: np.ndarray) -> float:
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0
