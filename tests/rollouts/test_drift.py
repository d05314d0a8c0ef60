"""The detector on streams of known errors: noticed soon, rarely in vain, once an event, and over when it is over."""

from __future__ import annotations

import random

import msgspec
import pytest
from river.drift import ADWIN

from rollouts.drift import DELTA, SHORTEST, AdwinDetector, DetectorState, Signal, change_point, restore


def feed(
    detector: AdwinDetector, rng: random.Random, rate: float, n: int, weight: float = 1.0
) -> list[tuple[int, Signal]]:
    found = []
    for i in range(1, n + 1):
        signal = detector.update(rng.random() < rate, weight)
        if signal is not None:
            found.append((i, signal))
    return found


def test_four_times_the_errors_are_noticed_within_200_checks() -> None:
    late = 0
    for seed in range(60):
        rng, detector = random.Random(seed), AdwinDetector()
        feed(detector, rng, 0.05, 1_000)
        found = [(i, s) for i, s in feed(detector, rng, 0.20, 200) if s.kind == "detected"]
        late += not found
    assert late <= 2


def test_steady_errors_raise_no_alarm() -> None:
    false = 0
    for seed in range(60):
        detector = AdwinDetector()
        false += any(s.kind == "detected" for _, s in feed(detector, random.Random(seed), 0.05, 2_000))
    assert false <= 1


def test_an_event_is_told_once_and_its_end_once() -> None:
    twice = uncleared = 0
    for seed in range(40):
        rng, detector = random.Random(1_000 + seed), AdwinDetector()
        feed(detector, rng, 0.05, 500)
        kinds = [s.kind for _, s in feed(detector, rng, 0.25, 1_000)]
        twice += kinds != ["detected"]
        after = [s for _, s in feed(detector, rng, 0.05, 400)]
        uncleared += not any(s.kind == "cleared" for s in after)
    assert twice <= 3
    assert uncleared <= 3


def test_the_signal_says_how_much_and_since_when() -> None:
    rng, detector = random.Random(3), AdwinDetector()
    feed(detector, rng, 0.03, 1_000)
    [(when, signal)] = feed(detector, rng, 0.30, 150)
    assert signal.before == pytest.approx(0.03, abs=0.015)
    assert signal.after == pytest.approx(0.30, abs=0.15)
    assert abs(signal.since - when) <= 25


def test_fewer_errors_are_good_news_and_no_alarm() -> None:
    for seed in range(20):
        rng, detector = random.Random(seed), AdwinDetector()
        feed(detector, rng, 0.30, 500)
        assert feed(detector, rng, 0.02, 500) == []


def test_another_version_begins_another_reference() -> None:
    """A version with 15 % errors after one with 2 % is a worse version, which trials are for, and no drift."""
    rng, detector = random.Random(5), AdwinDetector()
    feed(detector, rng, 0.02, 500)
    detector.renew()
    assert feed(detector, rng, 0.15, 500) == []


def test_a_better_version_ends_the_alert() -> None:
    rng, detector = random.Random(6), AdwinDetector()
    feed(detector, rng, 0.05, 500)
    assert [s.kind for _, s in feed(detector, rng, 0.40, 200)] == ["detected"]
    detector.renew()
    assert [s.kind for _, s in feed(detector, rng, 0.10, 300)] == ["cleared"]


def test_one_rare_check_of_great_weight_is_no_drift() -> None:
    rng, detector = random.Random(8), AdwinDetector()
    feed(detector, rng, 0.05, 500, weight=10.0)
    assert detector.update(1, 1_000_000.0) is None


def test_a_restart_goes_on_as_if_nothing_had_happened() -> None:
    rng = random.Random(9)
    stream = [int(rng.random() < (0.05 if n < 600 else 0.2)) for n in range(1_500)]
    steady = AdwinDetector()
    moved = AdwinDetector()
    for n, error in enumerate(stream):
        if n % 50 == 0:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(moved.state()), type=DetectorState)
            moved = restore(state)  # type: ignore[assignment]
        assert steady.update(error) == moved.update(error)
    assert steady.score() == moved.score()


def test_a_detector_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="no detector 'crystal-ball'"):
        restore(DetectorState(name="crystal-ball"))


def test_the_change_point_is_where_it_was() -> None:
    window = [-1.0] * 100 + [1.0, -1.0] * 30
    assert abs((change_point(window) or 0) - 100) <= 1
    assert change_point([-1.0] * (2 * SHORTEST - 1)) is None


def test_river_is_used_as_it_is_meant() -> None:
    """The extension class that is imported directly says what the public class says, up to its first alarm."""
    rng, detector = random.Random(10), AdwinDetector()
    public = ADWIN(delta=DELTA, clock=1, min_window_length=SHORTEST, grace_period=30)
    for n in range(800):
        error = int(rng.random() < (0.02 if n < 400 else 0.3))
        alarm = detector.update(error)
        public.update(float(error))
        assert (alarm is not None) == public.drift_detected
        if alarm is not None:
            return
    pytest.fail("no alarm")
