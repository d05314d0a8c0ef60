"""The simulator: the same for the same seed, varied, labelled, and different after the drift."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from loopai.simulator import LABELS, Simulator


def test_the_same_seed_gives_the_same_stream() -> None:
    assert list(islice(Simulator(3), 200)) == list(islice(Simulator(3), 200))
    assert list(islice(Simulator(3), 50)) != list(islice(Simulator(4), 50))


def test_sentences_are_varied_and_leave_no_slot_open() -> None:
    texts = [e.input["text"] for e in islice(Simulator(1, drift_at=1000), 3000)]
    assert len(set(texts)) > 2200
    assert not any(c in text for text in texts for c in "{}|")
    assert all(3 < len(text) < 250 for text in texts)


def test_both_labels_occur_in_their_share() -> None:
    counts = Counter(e.expected for e in islice(Simulator(2), 4000))
    assert set(counts) == set(LABELS)
    assert 0.26 < counts["spam"] / 4000 < 0.34


def test_ids_count_up_and_never_repeat() -> None:
    ids = [e.id for e in islice(Simulator(), 500)]
    assert ids == sorted(set(ids))


def test_the_drift_changes_what_spam_looks_like() -> None:
    """The old kind of spam names money, codes and numbers to call; the new kind mostly does not."""
    rows = list(islice(Simulator(5, drift_at=2000), 4000))

    def shouting(part: list[object]) -> float:
        spam = [e.input["text"] for e in part if e.expected == "spam"]  # type: ignore[attr-defined]
        return sum(any(w in t.lower() for w in ("win", "won", "prize", "cash", "free", "150p")) for t in spam) / len(
            spam
        )

    assert shouting(rows[:2000]) > 0.6  # type: ignore[arg-type]
    assert shouting(rows[2000:]) < 0.25  # type: ignore[arg-type]
