"""Nothing in, the strategies that need no language model out, the quickest programs first."""

from __future__ import annotations

from typing import Any

from programs.strategies.base import Proposal, Strategy, docstring, literal
from programs.strategies.lexicon import LexiconStrategy
from programs.strategies.linear import LinearStrategy
from programs.strategies.rule import RuleStrategy
from programs.strategies.tree import TreeStrategy


def offline_strategies() -> tuple[Strategy, ...]:
    """Every strategy that works from labelled rows alone."""
    return (TreeStrategy(), RuleStrategy(), LexiconStrategy(), LinearStrategy())


def constant(answer: Any) -> Proposal:
    """The program that always says the same: what one label only allows."""
    head = docstring("Every example had this one answer.")
    source = f"{head}\n\nANSWER = {literal(answer)}\n\n\ndef run(record):\n    return ANSWER, 0.5\n"
    return Proposal(strategy="rule", source=source)
