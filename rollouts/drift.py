"""Errors of the stable version in, drift signals out: one alert for one event, and word when it is over.

The detector is ADWIN (A. Bifet, R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007) in
river's form. Its delta is chosen by measurement, not taken as the chance of a false alarm, which it bounds loosely:
see `DELTA`. River's object cannot be stored without pickle, so the recent errors are kept as data and replayed.

ADWIN says *that* the window changed; where it changed and by how much is read from the window itself, at the cut that
explains it best (the least-squares change point). While an alert is open ADWIN's alarms stay silent, unless things
got clearly worse again. It is over when the errors are back near their old level for so many checks that four
standard errors fit into the way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

import msgspec
from river._river_rust.drift import AdaptiveWindowing

# River's ADWIN without its package: `import river.drift` brings scikit-learn along, four seconds of a start. A test
# holds this against the public class.
_ADWIN: Any = AdaptiveWindowing

WINDOW: Final = 2_000
"""Checks kept and replayed after a restart."""

DELTA: Final = 0.2
"""Measured over 300 seeds: 5 -> 20 % after 1,000 checks is noticed within 193 checks in all of them (median 66), with
false alarms in 2 of 300 runs of 2,000 checks at 5 %. At river's default of 0.002: 55 % within 200 checks, none false.
It is not the chance of a false alarm, which ADWIN's bound holds far below it."""

SHORTEST: Final = 20
"""Checks on either side of a cut. With 5, false alarms at this delta are 5 in 300."""

MIN_RISE: Final = 0.02
"""A smaller rise of the error rate is not worth a person's attention."""

SETTLING: Final = 200
"""Checks after a change over which the new level is still being learned."""

SURE: Final = 4.0
"""Standard errors that must fit between the new level and the one that ends an alert: it is asked after every check."""

HEAVIEST: Final = 4.0
"""Weights are divided by their running mean and cut here: one rare check must not look like a drift."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says. Error rates are ratios; `since` is how many checks ago the change began, `reference` how
    many checks lie before it."""

    kind: Literal["detected", "cleared"]
    before: float
    after: float
    since: int
    reference: int = 0


class Detector(Protocol):
    """Watches one stream of errors of one app.

    `update` takes each check in order: `error` 1 (wrong) or 0 (right), `weight` = 1 / inclusion probability; it
    returns a signal at most once an event. `renew` tells that another version answers from now on. `score` is the
    present rise of the error rate over its reference, a ratio. `state` is data from which a detector of the same form
    goes on as if nothing had happened. Nothing blocks and nothing is raised.
    """

    name: str

    def update(self, error: int, weight: float = 1.0) -> Signal | None: ...
    def renew(self) -> None: ...
    def score(self) -> float: ...
    def state(self) -> DetectorState: ...


class OpenAlert(msgspec.Struct, kw_only=True):
    """The event under way: error rates before and after, and how far back they must come to end it."""

    before: float
    after: float
    renewed: bool = False


class DetectorState(msgspec.Struct, kw_only=True):
    """Serialisable. `window` holds +w for a wrong check and -w for a right one, oldest first, w normalised."""

    name: str
    window: list[float] = []
    seen: int = 0
    weight: float = 0.0
    fresh: int = 0
    alert: OpenAlert | None = None


class AdwinDetector:
    """The default form of `Detector`."""

    name = "adwin"

    def __init__(self, state: DetectorState | None = None, *, delta: float = DELTA) -> None:
        self._state = state or DetectorState(name=self.name)
        self._delta = delta
        self._adwin = self._new(self._state.window)

    def update(self, error: int, weight: float = 1.0) -> Signal | None:
        s = self._state
        s.seen += 1
        s.weight += weight
        w = min(HEAVIEST, weight * s.seen / s.weight)
        s.window.append(w if error else -w)
        s.fresh += 1
        if len(s.window) > WINDOW:
            del s.window[0]
        changed = self._adwin.update(w if error else 0.0)
        if s.alert is not None and self._is_over(s.alert):
            return self._clear(s.alert)
        return self._alarm() if changed else None

    def renew(self) -> None:
        s = self._state
        s.window = []
        s.fresh = 0
        if s.alert is not None:
            s.alert.renewed = True
        self._adwin = self._new(())

    def score(self) -> float:
        """The mean of the last 60 checks over the level before them (or before the open alert)."""
        s = self._state
        recent, earlier = s.window[-60:], s.window[:-60]
        if len(recent) < SHORTEST:
            return 0.0
        level = s.alert.before if s.alert else _rate(earlier) if earlier else _rate(recent)
        return max(0.0, _rate(recent) - level)

    def state(self) -> DetectorState:
        return self._state

    def _alarm(self) -> Signal | None:
        s = self._state
        cut = change_point(s.window)
        if cut is None:
            return None
        before, after = _rate(s.window[:cut]), _rate(s.window[cut:])
        level = s.alert.after if s.alert is not None else before
        if after - before < MIN_RISE or after - level < (3 * MIN_RISE if s.alert is not None else MIN_RISE):
            return None
        since = len(s.window) - cut
        # What came before the change is told; from here on the new level is what ADWIN compares with.
        s.window = s.window[cut:]
        s.fresh = since
        self._adwin = self._new(s.window)
        s.alert = OpenAlert(before=min(before, s.alert.before) if s.alert else before, after=after)
        return Signal(kind="detected", before=before, after=after, since=since, reference=cut)

    def _is_over(self, alert: OpenAlert) -> bool:
        if self._state.fresh <= SETTLING and not alert.renewed:
            # The alarm came at the first moment it could: by a streak of errors. More checks tell the true level.
            alert.after = max(_rate(self._state.window[-self._state.fresh :]), alert.before + MIN_RISE)
        gap = max(alert.after - alert.before, MIN_RISE)
        # After another version took over, half of the way back is enough: it need not be as good as the old one was.
        level = alert.before + gap / (2 if alert.renewed else 3)
        room = alert.after - level
        needed = math.ceil(SURE * SURE * max(alert.after * (1 - alert.after), 0.01) / (room * room))
        needed = min(max(needed, 60), WINDOW)
        return self._state.fresh >= needed and _rate(self._state.window[-needed:]) <= level

    def _clear(self, alert: OpenAlert) -> Signal:
        s = self._state
        tail = s.window[-60:]
        s.alert = None
        s.window = tail
        s.fresh = len(tail)
        self._adwin = self._new(tail)
        return Signal(kind="cleared", before=alert.after, after=_rate(tail), since=len(tail))

    def _new(self, window: Sequence[float]) -> Any:
        adwin = _ADWIN(delta=self._delta, clock=1, max_buckets=5, min_window_length=SHORTEST, grace_period=30)
        for value in window:
            adwin.update(max(value, 0.0))
        return adwin


def change_point(window: list[float], shortest: int = SHORTEST) -> int | None:
    """The index at which cutting a window of signed weights in two explains it best (least squares); None if short.

    Two means instead of one: the cut k that maximises k (n - k) / n * (difference of the means)^2.
    """
    n = len(window)
    if n < 2 * shortest:
        return None
    wrong = [max(v, 0.0) for v in window]
    total_wrong, total = sum(wrong), sum(abs(v) for v in window)
    best, found = -1.0, None
    left_wrong = left = 0.0
    for k in range(1, n - shortest + 1):
        left_wrong += wrong[k - 1]
        left += abs(window[k - 1])
        if k < shortest:
            continue
        right = total - left
        gain = left * right * ((total_wrong - left_wrong) / right - left_wrong / left) ** 2
        if gain > best:
            best, found = gain, k
    return found


def _rate(window: list[float]) -> float:
    total = sum(abs(v) for v in window)
    return sum(v for v in window if v > 0) / total if total else 0.0


def restore(state: DetectorState) -> Detector:
    """The detector that goes on from `state`. Raises `ValueError` for a form that is not known."""
    if state.name == AdwinDetector.name:
        return AdwinDetector(state)
    raise ValueError(f"there is no detector {state.name!r}; known: adwin")
