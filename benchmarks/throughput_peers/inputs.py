"""Ten thousand different support messages of some 120 bytes of JSON, the same in every run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

COUNT = 10_000

SCHEMAS: dict[str, dict[str, Any]] = {
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "output_schema": {"enum": ["urgent", "billing", "general"]},
}

_BEGINNINGS = (
    "Hello team, this is ticket {n} from {who}:",
    "Good morning, {who} writes again about {n}:",
    "Re: request {n}, forwarded by {who}:",
    "{who} asks, with reference {n}:",
)
_MIDDLES = (
    "there is an OUTAGE in our region since noon",
    "this is urgent, please call us back today",
    "my colleagues and I cannot log in any more",
    "the page answers with error 503 every time",
    "uploads stop with error 413 since the update",
    "the invoice of last month names the wrong firm",
    "I would like a refund of the second licence",
    "we were charged twice for the same order",
    "the receipt says $49.90 but the offer was less",
    "how do I change the language of the report",
    "thank you for the quick help of last week",
    "is there a way to export the list as a table",
    "where can I read more about your product",
    "please add my new colleague to our account",
)
_PEOPLE = ("Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Tony", "Margaret", "Niklaus", "Radia")


def messages() -> list[str]:
    """Lines of JSON, none twice."""
    chosen = random.Random(4)
    lines = []
    for n in range(COUNT):
        beginning = chosen.choice(_BEGINNINGS).format(n=10_000 + n, who=chosen.choice(_PEOPLE))
        lines.append(json.dumps({"text": f"{beginning} {chosen.choice(_MIDDLES)}, best wishes"}))
    return lines


def write_inputs(path: Path) -> None:
    """One message a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(messages()) + "\n")
