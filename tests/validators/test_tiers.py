"""What the cheap tiers decide, and what they leave to the oracle."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loopai.apps import LoopApp
from tests.validators.helpers import SPAM, sample
from validators.tiers import Counterexamples, Tiers, content_key

EXTRACT = LoopApp(
    id="sms",
    kind="extraction",
    output_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.mark.parametrize(
    ("app", "fields", "verdict", "reason"),
    [
        (SPAM, {"outcome": "abstained", "output": None}, "unsure", "abstained"),
        (SPAM, {"outcome": "error", "output": None}, "mismatch", "error"),
        (SPAM, {"outcome": "timeout", "output": None}, "mismatch", "timeout"),
        (SPAM, {"outcome": "killed", "output": None}, "mismatch", "killed"),
        (SPAM, {"outcome": "rejected", "output": None}, "mismatch", "rejected"),
        (SPAM, {"output": None}, "mismatch", "missing"),
        (SPAM, {"output": "eggs"}, "mismatch", "label"),
        (SPAM, {"output": ["ham"]}, "mismatch", "label"),
        (EXTRACT, {"output": {"town": "Rome"}}, "mismatch", "schema"),
        (EXTRACT, {"output": None}, "mismatch", "missing"),
        (LoopApp(id="sms", kind="extraction"), {"output": None}, "mismatch", "missing"),
        (LoopApp(id="sms", kind="extraction", output_schema={"type": "strin"}), {}, "error", "output_schema"),
        (LoopApp(id="sms", kind="extraction", output_schema={"$ref": "http://127.0.0.1:1/"}), {}, "error", None),
    ],
)
def test_tier_one_decides(app: LoopApp, fields: dict[str, Any], verdict: str, reason: str | None) -> None:
    finding = Tiers().find(app, sample(**fields))
    assert finding is not None
    assert (finding.tier, finding.verdict) == (1, verdict)
    assert finding.reason == (reason or "output_schema")


@pytest.mark.parametrize(
    ("app", "output"),
    [(SPAM, "spam"), (EXTRACT, {"city": "Rome"}), (LoopApp(id="sms", output_schema={"type": "null"}), None)],
)
def test_what_looks_right_goes_on_to_the_oracle(app: LoopApp, output: Any) -> None:
    assert Tiers().find(app, sample(output=output)) is None


def test_a_new_revision_of_an_app_brings_its_new_schema() -> None:
    tiers = Tiers()
    assert tiers.find(EXTRACT, sample(output={"city": "Rome"})) is None
    stricter = msgspec.structs.replace(EXTRACT, revision=2, output_schema={"type": "object", "maxProperties": 0})
    assert tiers.find(stricter, sample(output={"city": "Rome"})) is not None


@pytest.mark.parametrize(("output", "verdict"), [("ham", "mismatch"), ("spam", "match")])
def test_a_counterexample_decides_in_tier_two(output: str, verdict: str) -> None:
    known = Counterexamples(kept=2)
    known.add("sms", {"text": "win", "n": 1}, "spam")
    finding = Tiers([known]).find(SPAM, sample(output=output, input={"n": 1, "text": "win"}))
    assert finding is not None
    assert (finding.tier, finding.verdict, finding.expected) == (2, verdict, "spam")
    other_app = msgspec.structs.replace(SPAM, id="other")
    assert Tiers([known]).find(other_app, sample(input={"n": 1, "text": "win"})) is None
    known.add("sms", "a", "ham")
    known.add("sms", "b", "ham")
    assert known.find(SPAM, sample(input={"text": "win", "n": 1})) is None, "the oldest is forgotten"


def test_content_is_the_same_in_any_order_of_keys() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1}) != content_key({"a": 1})
