"""What the local stand-in says: a chat request's body in, the text of an answer out, from a table, rules or a count.

It is no language model. It knows the shapes of Loopai's own prompts: asked to judge a record it looks the text up in
its table of known answers, then tries its keyword rules, then gives its default; asked to write a module it counts
which words of the quoted examples occur under one answer only; asked to repair one it gives it back. All that it
writes says that it is a stand-in.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

MODEL: Final = "loopai-local"

_DATA: Final = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)
_WORD: Final = re.compile(r"[\w£$€]+")
_WORDS_KEPT: Final = 60


class LocalAnswers:
    """`table` maps a record's text to its answer; `rules` are (keyword, answer) in order; then `default`."""

    def __init__(
        self,
        table: Mapping[str, Any] | None = None,
        rules: Sequence[tuple[str, Any]] = (),
        default: Any = None,
    ) -> None:
        self._table = {_key(text): answer for text, answer in (table or {}).items()}
        self._rules = [(keyword.lower(), answer) for keyword, answer in rules]
        self._default = default

    @classmethod
    def from_file(cls, path: Path, rules: Sequence[tuple[str, Any]] = (), default: Any = None) -> LocalAnswers:
        """A table from JSON Lines with `text` or `record`, and `label` or `expected`."""
        table: dict[str, Any] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                row = json.loads(line)
                record = row.get("record", row.get("text"))
                table[_text(record)] = row.get("expected", row.get("label"))
        return cls(table, rules, default)

    def text(self, body: Mapping[str, Any]) -> str:
        """The whole text of the reply's one message."""
        messages = body.get("messages") or []
        blocks = _DATA.findall(str(messages[-1].get("content", ""))) if messages else []
        response_format = body.get("response_format") or {}
        if response_format.get("type") == "json_schema":
            schema = response_format["json_schema"].get("schema", {})
            return json.dumps({"answer": self._judge(blocks[0] if blocks else "", _answer_schema(schema))})
        if messages and "Python module" in str(messages[0].get("content", "")):
            if len(blocks) > 1:  # a repair: what has understood nothing can mend nothing, and gives the module back
                return f"```python\n{blocks[0]}\n```"
            return self._module(blocks[0] if blocks else "")
        return f"This is {MODEL}, a local stand-in for a language model: it only knows Loopai's own prompts."

    def _judge(self, block: str, schema: Mapping[str, Any]) -> Any:
        try:
            record = json.loads(block)
        except ValueError:
            record = block
        text = _text(record)
        if (known := self._table.get(_key(text), _ABSENT)) is not _ABSENT:
            return known
        low = text.lower()
        for keyword, answer in self._rules:
            if keyword in low:
                return answer
        if self._default is not None:
            return self._default
        options = schema.get("enum")
        return options[0] if options else None

    def _module(self, block: str) -> str:
        """A module that votes with the words seen under one answer only; the commonest answer otherwise."""
        words: defaultdict[str, Counter[str]] = defaultdict(Counter)
        answers: Counter[str] = Counter()
        for line in block.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict) or "expected" not in row:
                continue
            answer = msgspec.json.encode(row["expected"], order="sorted").decode()
            answers[answer] += 1
            for word in set(_WORD.findall(_text(row.get("input")).lower())):
                words[word][answer] += 1
        for keyword, expected in self._rules:
            words[keyword] = Counter({json.dumps(expected): 1_000})
        single = [(counts.total(), word, next(iter(counts))) for word, counts in words.items() if len(counts) == 1]
        single.sort(key=lambda item: (-item[0], item[1]))
        votes = {word: json.loads(answer) for count, word, answer in single[:_WORDS_KEPT] if count > 1}
        default = json.loads(answers.most_common(1)[0][0]) if answers else self._default
        return _MODULE.format(model=MODEL, votes=votes, default=default)


_ABSENT: Final = object()

_MODULE: Final = '''```python
"""Written by {model}, a local stand-in for a language model: it counted words and understood nothing."""
import re

WORD = re.compile(r"[\\w£$€]+")
VOTES = {votes!r}
DEFAULT = {default!r}


def run(record):
    text = record if isinstance(record, str) else " ".join(v for v in record.values() if isinstance(v, str))
    seen = [VOTES[w] for w in set(WORD.findall(text.lower())) if w in VOTES]
    if not seen:
        return DEFAULT, 0.5
    best = max(sorted(seen, key=str), key=seen.count)
    return best, seen.count(best) / len(seen)
```'''


def _answer_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = schema.get("properties", {}).get("answer", {})
    return answer if isinstance(answer, Mapping) else {}


def _text(record: Any) -> str:
    """The text of a record: its `text`, else its strings joined, else its JSON."""
    if isinstance(record, str):
        return record
    if isinstance(record, dict):
        if isinstance(record.get("text"), str):
            return str(record["text"])
        strings = [value for value in record.values() if isinstance(value, str)]
        if strings:
            return " ".join(strings)
    return json.dumps(record, sort_keys=True)


def _key(text: str) -> str:
    return " ".join(text.split())
