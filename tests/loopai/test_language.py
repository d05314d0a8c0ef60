"""The language: hashing, deployments, events and the clock keep their promises."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopai import events, telemetry
from loopai.apps import APP_ID
from loopai.clock import ManualClock, iso
from loopai.deployments import Deployment
from loopai.hashing import content_id, fraction, seed_of

keys = st.binary(min_size=1, max_size=40)
salts = st.text(max_size=16)


@given(salts, keys)
def test_a_fraction_is_stable_and_below_one(salt: str, key: bytes) -> None:
    assert fraction(seed_of(salt), key) == fraction(seed_of(salt), key)
    assert 0.0 <= fraction(seed_of(salt), key) < 1.0


def test_fractions_never_change_between_releases() -> None:
    """A changed hash would move keys between versions and samples in the middle of a rollout."""
    assert [round(fraction(seed_of("salt"), b"k%d" % i), 6) for i in range(3)] == [0.120654, 0.727636, 0.817295]


def test_fractions_are_even() -> None:
    """Chi-square over 20 cells of 20,000 short keys: 43.8 is the 99.9 % point with 19 degrees of freedom."""
    cells = [0] * 20
    for i in range(20_000):
        cells[int(fraction(seed_of("salt"), b"k%d" % i) * 20)] += 1
    assert sum((n - 1000) ** 2 / 1000 for n in cells) < 43.8


@given(keys, st.integers(0, 100), st.integers(0, 100))
def test_who_is_in_at_a_small_share_is_in_at_a_larger_one(key: bytes, a: int, b: int) -> None:
    small, large = sorted((a, b))
    base = {"app": "a", "revision": 1, "stable": 1, "candidate": 2, "mode": "canary", "salt": "s"}
    if Deployment(**base, share=small).variant_for(key) == "candidate":
        assert Deployment(**base, share=large).variant_for(key) == "candidate"


@given(keys)
def test_without_a_canary_the_stable_version_answers(key: bytes) -> None:
    assert Deployment(app="a", revision=1, stable=3).variant_for(key) == "stable"
    assert Deployment(app="a", revision=1, stable=3).version_of("stable") == 3


def test_a_content_id_is_the_sha256_of_the_content() -> None:
    assert content_id(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("good", ["a", "spam-filter", "x1", "a" * 63])
def test_an_app_id_is_a_dns_label(good: str) -> None:
    assert APP_ID.match(good)


@pytest.mark.parametrize("bad", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 64, "ä", "a b", "a\n"])
def test_what_is_no_dns_label_is_no_app_id(bad: str) -> None:
    assert not APP_ID.fullmatch(bad)


def test_every_event_has_a_room_and_a_type() -> None:
    for name in events.CATALOGUE:
        assert events.ce_type(name) == f"io.loopai.{name}.v1"
        assert "{" not in events.room_of(name, "spam")


def test_metric_names_follow_the_conventions() -> None:
    names = [m.name for m in telemetry.METRICS]
    assert len(set(names)) == len(names) >= 15
    for metric in telemetry.METRICS:
        assert metric.name.startswith("loopai_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not {"input_id", "key", "message"} & set(metric.labels)


def test_a_manual_clock_moves_by_hand() -> None:
    clock = ManualClock(start=0.0)
    asyncio.run(clock.sleep(61.5))
    assert clock.monotonic() == 61.5
    assert iso(clock.now()) == "1970-01-01T00:01:01.500Z"
