"""Text in, tokens and their features out: the one tokeniser of training and of running.

A text is read as NFKC, at most `LIMIT` characters of it. A token is a word (letters, digits, and apostrophes after the
first of them) or a run of punctuation; its *canonical* form is lower case with every digit as `0`. Everything that a
model knows of a token is a function of that token alone, so a program works it out once a token, not once a record.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise
from typing import Any
from unicodedata import normalize

LIMIT = 8000
"""Characters of a text that are read; the rest of a longer one is ignored."""
WORD_LIMIT = 24
"""Characters of a token whose n-grams count."""
FIELD_JOINT = "\n"

_TOKEN = re.compile(r"\w[\w'’]*|[^\w\s]+")
_DIGIT = re.compile(r"\d")
_URL = re.compile(r"https?:|www\.|\.(?:com|net|org|co|uk|html?)\b", re.IGNORECASE)

find_tokens = _TOKEN.findall


def clean(text: str) -> str:
    """The part of a text that is read, in NFKC. Plain ASCII is its own NFKC."""
    text = text[:LIMIT]
    return text if text.isascii() else normalize("NFKC", text)[:LIMIT]


def tokens(text: str) -> list[str]:
    """The tokens of a text in their order, as written."""
    return find_tokens(clean(text))


def canonical(token: str) -> str:
    """The form under which a token is known: lower case, digits as `0`."""
    lowered = token.lower()
    return lowered if lowered.isalpha() else _DIGIT.sub("0", lowered)


def grams(word: str, shortest: int = 2, longest: int = 4) -> list[str]:
    """The character n-grams of a canonical word between its borders, each once; the whole of it is none.

    Each once, or a line of thirty dashes drowns its text.
    """
    framed = f"\x02{word[:WORD_LIMIT]}\x03"
    size = len(framed)
    found: list[str] = []
    for n in range(shortest, min(longest, size - 1) + 1):
        found += [framed[i : i + n] for i in range(size - n + 1)]
    return list(dict.fromkeys(found))


def extras(token: str) -> list[str]:
    """What the canonical form loses: case, the number itself, the length of a run of digits, repeated marks."""
    found: list[str] = []
    if token.isalpha():
        if len(token) > 1 and token.isupper():
            found += ["caps", f"caps:{token.lower()}"]
        elif token[0].isupper():
            found.append(f"title:{token.lower()}")
        return found
    digits = sum(map(str.isdigit, token))
    if digits:
        found += [f"exact:{token.lower()}", f"digits:{digits if digits < 5 else 5 if digits < 8 else 8}"]
        if digits < len(token):
            found.append("mixed")
    elif not token[0].isalnum():
        found.append(f"mark:{token[0]}")
        if len(token) > 1:
            found.append(f"run:{token[0]}")
            found += [f"has:{mark}" for mark in dict.fromkeys(token)]
    return found


STEPS: tuple[tuple[float, ...], ...] = (
    (20, 40, 60, 80, 100, 120, 140, 160, 240, 480, 960),
    (2, 4, 8, 12, 16, 24, 32, 64, 128),
    (1, 2, 4, 6, 9, 12, 16, 24),
    (0.02, 0.05, 0.1, 0.2, 0.4),
    (0.01, 0.03, 0.06, 0.1, 0.2),
)
"""Where the five measures of a text step up: characters, tokens, digits, share of capitals, share of marks."""


def makeup(token: str) -> tuple[int, int, int]:
    """How many digits, capitals and marks a token is made of."""
    if token.isalpha():
        return (0, 0, 0) if token.islower() else (0, sum(map(str.isupper, token)), 0)
    if not token[0].isalnum() and token[0] != "_":
        return 0, 0, len(token)
    return sum(map(str.isdigit, token)), sum(map(str.isupper, token)), 0


def shape(length: int, count: int, digits: int, capitals: int, marks: int) -> tuple[int, ...]:
    """On which step of each of `STEPS` a text stands: its length, its tokens, and the makeup of its distinct tokens."""
    length = length or 1
    return (
        bisect_right(STEPS[0], length),
        bisect_right(STEPS[1], count),
        bisect_right(STEPS[2], digits),
        bisect_right(STEPS[3], capitals / length),
        bisect_right(STEPS[4], marks / length),
    )


def text_of(record: Any, fields: tuple[str, ...] | list[str]) -> str:
    """The text of a record: its one text field, or several joined by line ends. Absent ones are empty."""
    if isinstance(record, dict):
        if len(fields) == 1:
            value = record.get(fields[0])
            return value if isinstance(value, str) else "" if value is None else str(value)
        return FIELD_JOINT.join(str(record[name]) for name in fields if record.get(name) is not None)
    return record if isinstance(record, str) else ""


def atoms(text: str) -> set[str]:
    """The features that a person can read, for rules and scorecards.

    `free` a word, `call now` two words in a row, `caps:free` a word in capitals, `digits:5` a number of five to seven
    digits, `run:!` repeated marks, `size:7` the length, `is:link` an address.
    """
    text = clean(text)
    found = find_tokens(text)
    plain = [canonical(token) for token in found]
    features = set(map(" ".join, pairwise(plain)))
    for token in set(found):
        features.update(token_atoms(token))
    features.add(size_atom(text))
    if has_link(text):
        features.add("is:link")
    return features


def token_atoms(token: str) -> list[str]:
    """The atoms of one token: its canonical form and its extras."""
    return [canonical(token), *extras(token)]


def size_atom(text: str) -> str:
    """The length of a text in octaves."""
    return f"size:{len(text).bit_length()}"


def has_link(text: str) -> bool:
    """Whether an address of the web is in the text."""
    return _URL.search(text) is not None
