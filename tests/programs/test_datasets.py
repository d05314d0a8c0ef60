"""JSON Lines as examples, and what a bad line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from loopai.errors import ConfigurationError
from programs.datasets import read_examples


def write(folder: Path, raw: bytes) -> Path:
    path = folder / "rows.jsonl"
    path.write_bytes(raw)
    return path


def test_a_text_with_a_label_and_a_record_with_an_expected_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path, b'{"id":"a","text":"hi","label":"x","meta":1}\n\n{"record":{"n":1},"expected":{"ok":true}}\n'
    )
    first, second = read_examples(path)
    assert (first.id, first.input, first.expected) == ("a", {"text": "hi"}, "x")
    assert (second.id, second.input, second.expected) == ("3", {"n": 1}, {"ok": True})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"text":"a","label":"x"}\n{"text":', "line 2 is not JSON"),
        (b'{"text":"\xff","label":"x"}\n', "line 1 is not JSON in UTF-8"),
        (b"[1]\n", "line 1 is not a JSON object"),
        (b'{"label":"x"}\n', "line 1 has neither a `text`"),
        (b'{"text":"a"}\n', "line 1 has neither a `label`"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, raw: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        read_examples(write(tmp_path, raw))
    assert caught.value.next_step


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")


def test_rows_without_labels_are_read_when_none_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"text":"a"}\n')
    assert read_examples(path, labelled=False)[0].expected is None


def test_the_limit_bounds_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"text":"a","label":"x"}\n' * 10 + b"broken")
    assert len(read_examples(path, limit=10)) == 10
