"""What the gate lets through and what it says to what it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from programs import gate

BENIGN = {
    "keywords": "def run(record):\n    return 'spam' if 'free' in record['text'].lower() else 'ham'",
    "regex": r"""
import re
LINE = re.compile(r'^(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (\d{3}) (\d+|-)$')
DATE = re.compile(r'(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2}))?')
WORDS = re.compile(r"(?:[a-z]+[ ,.]*)*?end|[\w']+(?:-\w+)*")
def run(record):
    m = LINE.match(record['line'])
    return m.groupdict() if m else None
""",
    "dataclass, enum and typing": """
from __future__ import annotations
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple
class Label(str, Enum):
    SPAM = 'spam'
    HAM = 'ham'
@dataclass(slots=True)
class Rule:
    words: frozenset[str]
    weight: float = 1.0
    seen: list[str] = field(default_factory=list)
    def __post_init__(self) -> None:
        self.seen = []
    def __call__(self, text: str) -> float:
        return self.weight * sum(w in text for w in self.words)
class Pair(NamedTuple):
    a: int
    b: int = 0
RULES = [Rule(frozenset({'free', 'prize'}), 2.0)]
def run(record: dict[str, Any]) -> tuple[str, float] | None:
    score = sum(rule(record['text']) for rule in RULES)
    if score == 0:
        return None
    return Label.SPAM.value, min(1.0, score / (1 + score))
""",
    "generators, comprehensions and closures": """
from collections import Counter, defaultdict, deque
from functools import lru_cache, partial, reduce
from itertools import chain, groupby, islice
def tokens(text):
    word = ''
    for c in text:
        if c.isalnum():
            word += c
        elif word:
            yield word
            word = ''
    if word:
        yield word
@lru_cache(maxsize=128)
def stem(word):
    return word[:-1] if word.endswith('s') else word
def run(record):
    counts = Counter(map(stem, tokens(record['text'])))
    groups = {k: [*v] for k, v in groupby(sorted(counts), key=lambda w: w[0])}
    total = reduce(lambda a, b: a + b, counts.values(), 0)
    return {'top': counts.most_common(3), 'n': total, 'groups': groups}
""",
    "match, walrus, try and with": """
import contextlib, datetime, decimal, json, math, statistics, unicodedata
def run(record):
    match record:
        case {'kind': 'number', 'value': int() | float() as v} if math.isfinite(v):
            return str(decimal.Decimal(str(v)).quantize(decimal.Decimal('0.01')))
        case {'kind': 'date', 'value': str(v)}:
            with contextlib.suppress(ValueError):
                return datetime.datetime.strptime(v, '%Y-%m-%d').date().isoformat()
        case {'kind': 'json', 'value': v}:
            try:
                return json.loads(v)
            except json.JSONDecodeError as error:
                return {'line': error.lineno, 'problem': error.msg}
    if (n := len(unicodedata.normalize('NFC', str(record)))) > 10:
        return f'{n:>5} {statistics.mean([n, 1]):.2f} {record!r:.10}'
    return None
""",
    "format strings with fields": """
def run(r):
    return '{0[name]} {x.real:.2f} {{}}'.format(r, x=1) + '%(a)s' % {'a': 1}
""",
    "the trusted runtimes": """
from programs.runtime import linear
import programs.runtime.linear
def run(r):
    return None
""",
    "run from a table": "TABLE = " + repr({f"w{n}": n for n in range(4000)}) + "\nrun = lambda r: TABLE.get(r)",
    "run by a class": "class P:\n    def __call__(self, r):\n        return r\nrun = P()",
    "names of attributes": """
def run(r):
    return getattr(r, 'real', None) or hasattr(r, 'imag') or type(r).__name__
""",
    "exceptions": """
class Bad(ValueError):
    pass
def run(r):
    try:
        raise Bad('x') from None
    except* Bad:
        pass
    finally:
        r = 1
    return r
""",
}

REFUSED = {
    "import os\ndef run(r): pass": (1, "import os is not allowed"),
    "def run(r):\n    import subprocess as s": (2, "import subprocess is not allowed"),
    "from os import path\ndef run(r): pass": (1, "import from os is not allowed"),
    "from json import *\ndef run(r): pass": (1, "import * is not allowed: name what you need of json"),
    "from . import x\ndef run(r): pass": (1, "relative imports are not allowed: a program is one module"),
    "from random import _os\ndef run(r): pass": (1, "import of _os from random is not allowed"),
    "import programs.gate\ndef run(r): pass": (1, "import programs.gate is not allowed"),
    "from programs import gate\ndef run(r): pass": (1, "import from programs is not allowed"),
    "def run(r):\n    return eval(r)": (2, "eval is not allowed"),
    "def run(r):\n    return open(r)": (2, "open is not allowed"),
    "def run(r):\n    return __import__('os')": (2, "__import__ is not allowed"),
    "def run(r):\n    return r.__class__": (2, "attribute __class__ is not allowed"),
    "def run(r):\n    return run.__globals__": (2, "attribute __globals__ is not allowed"),
    "def run(r):\n    match r:\n        case object(__class__=c): return c": (
        3,
        "attribute __class__ in a pattern is not allowed",
    ),
    "import operator\ndef run(r):\n    return operator.attrgetter('a.__class__')": (
        3,
        "attrgetter of a.__class__ is not allowed",
    ),
    "import operator\ndef run(r):\n    return operator.attrgetter(r)": (3, "attrgetter takes a literal name here"),
    "def run(r):\n    return getattr(r, '__dict__')": (2, "getattr of __dict__ is not allowed"),
    "def run(r):\n    return '{0.__class__}'.format(r)": (2, "a format string may not reach for private attributes"),
    "async def run(r): pass": (1, "async is not allowed: run(record) is called and must return"),
    "import json\ndef run(r):\n    json.loads = None": (3, "module json may not be changed"),
    "import re\nP = re.compile('(a+)+b')\ndef run(r): pass": (
        2,
        "the regular expression repeats a group that itself repeats, such as (a+)+: it can take forever",
    ),
    "import re\ndef run(r):\n    return re.match('(', r)": (
        3,
        "the regular expression is wrong: missing ), unterminated subpattern at position 0",
    ),
    "x = 1": (0, "the program does not define run(record)"),
    "def run(): pass": (1, "run takes exactly one argument, the record"),
    "def run(a, b): pass": (1, "run takes exactly one argument, the record"),
    "def run(r): pass\ndef run_batch(a, b): pass": (2, "run_batch takes exactly one argument, the list of records"),
    "def run(r):\n  return (": (2, "syntax: '(' was never closed"),
    "def run(r):\n\treturn 1\n        return 2": (3, "syntax: inconsistent use of tabs and spaces in indentation"),
    "def run(r): return '\0'": (0, "syntax: source code string cannot contain null bytes"),
    "x = " + "(" * 300 + ")" * 300: (1, "syntax: too many nested parentheses"),
    "def run(r): return " + "-" * 90_000 + "1": (0, "syntax: nested too deeply to be parsed"),
    "#" * 100_001: (0, "the source has 100,001 bytes; 100,000 are allowed. Put tables into the data."),
    "x = [" + "1," * 30_000 + "]": (0, "the program has 30,006 syntax nodes; 20,000 are allowed."),
    "import sys\nimport os\ndef run(r): pass": (1, "import sys is not allowed"),
}


@pytest.mark.parametrize("name", sorted(BENIGN))
def test_ordinary_python_passes(name: str) -> None:
    gate.check(BENIGN[name])


@pytest.mark.parametrize("source", list(REFUSED), ids=lambda source: source[:40])
def test_a_refusal_names_the_line_and_the_reason(source: str) -> None:
    line, message = REFUSED[source]
    with pytest.raises(gate.Refused) as raised:
        gate.check(source)
    assert raised.value.line == line
    assert raised.value.message == (f"line {line}: {message}" if line else message)


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+", r"(a*)*b", r"(?:a+)*", r"((a+))+", r"(a+|b)+", r"(?:(?:x+)?)*", r"(\w+)*$", r"(?=(a+)+)", r"(?:a{2,})+"],
)
def test_exponential_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(gate.Refused, match="can take forever"):
        gate.check(f"import re\ndef run(r):\n    return re.search({pattern!r}, r)")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+b)+",
        r"(?:\w+ )*\w+",
        r"(\d{1,3}\.){3}\d{1,3}",
        r"(ab|cd)*",
        r"[a-z]+@[a-z]+(\.[a-z]+)+",
        r"(a{1,3})+",
        r"a+b+",
    ],
)
def test_ordinary_patterns_pass(pattern: str) -> None:
    gate.check(f"import re\ndef run(r):\n    return re.search({pattern!r}, r)")


def test_the_gate_is_light_to_import() -> None:
    heavy = "{'msgspec', 'numpy', 'asyncio', 'pydantic'}"
    script = f"import sys, programs.gate; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
