"""A program as an immutable artifact: source and data in, a content address out.

The contract of a program: `source` is a Python module that defines `run(record) -> output | (output, confidence) |
None`, where `record` is the decoded JSON input and None abstains. It may define `run_batch(records) -> list` of the
same, which must answer alike. `data` is bytes the module sees as the global `DATA` (weights in safetensors, tables in
JSON); no pickle, anywhere.

The address is the SHA-256 of the canonical form: what the program *is*, and nothing of how it came to be. The manifest
says how it came to be and is not part of the address, so the same induction or the same recorded replies give the same
id on any day.
"""

from __future__ import annotations

import base64
from typing import Any, Final, Literal

import msgspec

from loopai.apps import Kind
from loopai.hashing import content_id

FORMAT: Final = "loopai.program/1"
Strategy = Literal["rule", "tree", "lexicon", "linear", "cascade", "dsl", "llm", "template", "profile"]


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a candidate did on the held-out split. Ratios 0..1; `low`..`high` is the 95 % interval of `accuracy`."""

    n: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    abstained: int = 0
    us_per_record: float = 0.0


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One strategy that was tried: its score, or why it fell out."""

    strategy: str
    score: Score | None = None
    reason: str = ""
    seconds: float = 0.0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a program came to be. `examples` is the digest of the rows it learned from, never the rows."""

    created_at: str = ""
    reason: str = ""
    parent: str | None = None
    seed: int = 0
    examples: str = ""
    n_examples: int = 0
    n_held_out: int = 0
    score: Score | None = None
    attempts: tuple[Attempt, ...] = ()
    why: str = ""
    model: str = ""
    prompt: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What is run. Make one with `Program.make`, which fills `id`."""

    id: str
    kind: Kind
    strategy: Strategy
    source: str
    data: bytes = b""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}
    manifest: Manifest = Manifest()

    @classmethod
    def make(
        cls,
        *,
        kind: Kind,
        strategy: Strategy,
        source: str,
        data: bytes = b"",
        input_schema: dict[str, Any] | None = None,
        output_schema: dict[str, Any] | None = None,
        manifest: Manifest | None = None,
    ) -> Program:
        """A program with its address."""
        bare = cls(
            id="",
            kind=kind,
            strategy=strategy,
            source=source,
            data=data,
            input_schema=input_schema or {},
            output_schema=output_schema or {},
            manifest=manifest or Manifest(),
        )
        return msgspec.structs.replace(bare, id=content_id(bare.canonical()))

    def canonical(self) -> bytes:
        """The bytes that are hashed: sorted JSON of everything but the manifest and the id."""
        return msgspec.json.encode(
            {
                "format": FORMAT,
                "kind": self.kind,
                "strategy": self.strategy,
                "source": self.source,
                "data": base64.b64encode(self.data).decode(),
                "input_schema": self.input_schema,
                "output_schema": self.output_schema,
            },
            order="sorted",
        )

    def verify(self) -> bool:
        """Whether the id is the address of the content."""
        return self.id == content_id(self.canonical())


def encode(program: Program) -> bytes:
    """One file or one Kafka message; `data` travels as base64."""
    return msgspec.json.encode(program)


def decode(raw: bytes) -> Program:
    """The inverse of `encode`. Raises `msgspec.ValidationError` on another shape."""
    return msgspec.json.decode(raw, type=Program)
