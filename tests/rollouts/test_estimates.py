"""Estimates against the truth they estimate: coverage, weights, and bounds that hold at every look."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from rollouts.betting import Betting
from rollouts.estimates import Tally, wilson


def test_wilson_is_the_textbook_interval() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0.0, 0) == (0.0, 1.0)
    assert wilson(1.0, 20)[1] == 1.0


def test_without_checks_nothing_is_claimed() -> None:
    tally = Tally()
    for interval in (tally.since_start(), tally.rolling(), tally.bound()):
        assert (interval.checks, interval.estimate, interval.low, interval.high) == (0, None, 0.0, 1.0)


def test_unsure_and_error_say_nothing_about_agreement() -> None:
    tally = Tally()
    assert [tally.update(v) for v in ("match", "unsure", "error", "mismatch")] == [True, None, None, False]
    assert (tally.checks, tally.unsure, tally.errors) == (2, 1, 1)
    assert tally.since_start().estimate == 0.5


def test_checks_chosen_unequally_are_weighed_back() -> None:
    """Wrong answers are checked nine times as often as right ones: the plain share is far off, Hájek's is not."""
    rng = np.random.default_rng(7)
    tally = Tally()
    right = rng.random(20_000) < 0.9
    p = np.where(right, 0.1, 0.9)
    for answer, chance in zip(right[(hit := rng.random(20_000) < p)], p[hit], strict=True):
        tally.update("match" if answer else "mismatch", float(chance))
    interval = tally.since_start()
    naive = sum(right[hit]) / hit.sum()
    assert naive < 0.6
    assert interval.estimate == pytest.approx(0.9, abs=0.01)
    assert interval.low < 0.9 < interval.high


def test_a_constant_probability_cancels() -> None:
    one, other = Tally(), Tally()
    for n in range(100):
        one.update("match" if n % 4 else "mismatch", 1.0)
        other.update("match" if n % 4 else "mismatch", 0.05)
    assert one.since_start() == other.since_start()
    assert one.bound() == other.bound()


def test_the_rolling_window_forgets() -> None:
    tally = Tally()
    for n in range(1_000):
        tally.update("mismatch" if n < 500 else "match")
    assert tally.since_start().estimate == 0.5
    assert tally.rolling().estimate == 1.0
    assert tally.rolling().checks == 500


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_a_probability_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="inclusion probability"):
        Tally().update("match", bad)


def test_the_state_goes_through_the_store_unchanged() -> None:
    tally = Tally()
    for n in range(50):
        tally.update("match" if n % 5 else "mismatch", 0.1)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(tally), type=Tally)
    for n in range(50):
        tally.update("match" if n % 3 else "mismatch", 0.2)
        again.update("match" if n % 3 else "mismatch", 0.2)
    assert again == tally


@pytest.mark.parametrize("truth", [0.6, 0.95])
def test_the_bound_holds_at_every_look_together(truth: float) -> None:
    """100 streams of 400 checks, looked at after each: at most 5 % may ever exclude the truth. An interval made for one
    look (Wilson's) excludes it in more than 20 of them."""
    rng = np.random.default_rng(11)
    excluded = one_look = 0
    for _ in range(100):
        betting, right, missed = Betting(), 0, [False, False]
        for n, answer in enumerate(rng.random(400) < truth, 1):
            betting.update(float(answer))
            right += int(answer)
            for which, (low, high) in enumerate((betting.interval(), wilson(right / n, n))):
                missed[which] |= not low <= truth <= high
        excluded += missed[0]
        one_look += missed[1]
    assert excluded <= 5
    assert one_look > 20


def test_the_bound_holds_under_unequal_probabilities() -> None:
    rng = np.random.default_rng(13)
    excluded = 0
    for _ in range(100):
        betting = Betting(unit=1 / 0.3)
        for right in rng.random(800) < 0.8:
            p = 0.6 if right else 0.3
            if rng.random() < p:
                betting.update(float(right), 1 / p)
                low, high = betting.interval()
                if not low <= 0.8 <= high:
                    excluded += 1
                    break
    assert excluded <= 5


def test_the_bound_is_narrow_enough_to_decide() -> None:
    """80 % right under a limit of 90 % is surely under it after some 120 checks in the median."""
    needed = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        betting = Betting()
        for right in rng.random(600) < 0.8:
            betting.update(float(right))
            if betting.interval()[1] < 0.9:
                break
        needed.append(betting.n)
    assert float(np.median(needed)) <= 150


@pytest.mark.parametrize(("value", "weight"), [(1.5, 1.0), (-0.1, 1.0), (math.nan, 1.0), (1.0, 0.0), (1.0, math.inf)])
def test_what_is_no_check_is_refused(value: float, weight: float) -> None:
    with pytest.raises(ValueError, match="a check needs"):
        Betting().update(value, weight)
