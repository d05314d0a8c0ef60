"""Facts in, the timeline's sentences out, in the words of the page: program, input, check, right answers, trial."""

from __future__ import annotations


def percent(ratio: float) -> str:
    """A ratio as percent with at most one decimal: 0.912 is `91.2 %`, 0.95 is `95 %`."""
    text = f"{ratio * 100:.1f}"
    return f"{text.removesuffix('.0')} %"


def checks(n: int) -> str:
    return "1 check" if n == 1 else f"{n:,} checks".replace(",", " ")


def why(reason: str) -> str:
    """A reason that a person gave, as the end of a sentence."""
    reason = " ".join(reason.split()).rstrip(".")
    return f": {reason[:200]}." if reason else "."


def trial_started(version: int, share: int) -> str:
    return f"Trial of v{version} on {share} % of inputs started."


def trial_stepped(version: int, share: int, right: float | None, n: int) -> str:
    return f"Trial of v{version} on {share} % of inputs{_so_far(right, n)}"


def completed(version: int, right: float | None, n: int) -> str:
    return f"v{version} answers all inputs now{_so_far(right, n)}"


def _so_far(right: float | None, n: int) -> str:
    return "." if right is None else f": right answers {percent(right)} ({checks(n)})."


def fell_under_limit(right: float, limit: float, n: int) -> str:
    return f"right answers fell to {percent(right)} (limit {percent(limit)}, {checks(n)})"


def worse_than(right: float, stable: int, stable_right: float, n: int) -> str:
    return f"right answers {percent(right)}, v{stable} had {percent(stable_right)} ({checks(n)})"


def went_back(stable: int, because: str) -> str:
    return f"Went back to v{stable}{why(because)}"


def paused(version: int, share: int, actor: str, reason: str) -> str:
    return f"Trial of v{version} paused at {share} % of inputs by {actor}{why(reason)}"


def resumed(version: int, share: int, actor: str, reason: str) -> str:
    return f"Trial of v{version} goes on at {share} % of inputs, resumed by {actor}{why(reason)}"


def activated(version: int) -> str:
    return f"v{version} answers all inputs now."


def drift(before: float, after: float, since: int) -> str:
    """`before` and `after` are error rates."""
    return (
        f"Inputs look different / answers disagree more: right answers {percent(1 - before)} → {percent(1 - after)} "
        f"over the last {checks(since)}."
    )


def drift_over(after: float, since: int) -> str:
    """`after` is an error rate."""
    return f"Right answers are back at {percent(1 - after)} over the last {checks(since)}."


def generating(n: int, reason: str) -> str:
    return f"Writing a new program from {n:,} examples{why(reason)}".replace(",", " ")


def generated(version: int, strategy: str, right: float | None, low: float, high: float, n: int) -> str:
    if right is None:
        return f"v{version} is written ({strategy}); it could not be scored."
    return (
        f"v{version} is written ({strategy}): {percent(right)} right on {n} examples it had not seen "
        f"({percent(low)} to {percent(high)})."
    )


def same_again(version: int) -> str:
    return f"Writing anew gave v{version} again: these examples teach nothing that v{version} does not know."


def rejected(error: str) -> str:
    return f"No new program{why(error)}"
