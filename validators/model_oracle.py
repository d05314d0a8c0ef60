"""A language model as an oracle: a sample in, the model's schema-bound answer to the app's task out.

The record is quoted as data in a fixed frame; the answer is bound to the app's labels or output schema, so that text
in a record cannot steer the judge beyond choosing among legal answers, nor carry markup further. Equal inputs of an
app are asked about once and then remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from loopai.apps import LoopApp
from loopai.errors import BudgetError, ConfigurationError, TransientError
from loopai.records import Sample
from programs.prompts import is_cut, quote, render
from programs.providers.chat import AnswerError, ChatModel, ChatReply, ChatRequest, ProviderError
from validators.oracles import BUDGET, ORACLE_SCHEMA, NoAnswer, OracleAnswer
from validators.tiers import content_key

LONGEST: Final = 20_000
"""Characters of a string in a record. A judge that sees half a record may judge the other half wrong: not asked."""

OUTPUT_TOKENS: Final = 2_000
"""Reasoning counts as output; an answer itself needs a few tokens."""


class ModelOracle:
    """Asks the model that `model_for` gives for the app; retries, failover and the budget are that model's own."""

    def __init__(self, model_for: Callable[[LoopApp], ChatModel], *, kept: int = 50_000) -> None:
        self._model_for = model_for
        self._kept = kept
        self._answers: OrderedDict[tuple[str, int, str], tuple[Any, str]] = OrderedDict()
        self._asking: dict[tuple[str, int, str], asyncio.Future[NoAnswer | None]] = {}

    async def ask(self, app: LoopApp, sample: Sample) -> OracleAnswer:
        """The model's answer, or the one it gave, or is about to give, to an equal input."""
        key = (app.id, app.revision, content_key(sample.input))
        while (asking := self._asking.get(key)) is not None:
            # Somebody is asking the same: take that one's answer, or its failure, which would only be repeated.
            if (failure := await asyncio.shield(asking)) is not None:
                raise NoAnswer(failure.message, reason=failure.reason, oracle=failure.oracle, ms=failure.ms)
        if (known := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
            return OracleAnswer(expected=known[0], oracle=known[1], cached=True)
        self._asking[key] = done = asyncio.get_running_loop().create_future()
        failed: NoAnswer | None = None
        try:
            return await self._fresh(app, sample, key)
        except NoAnswer as error:
            failed = error
            raise
        finally:
            del self._asking[key]
            done.set_result(failed)

    async def _fresh(self, app: LoopApp, sample: Sample, key: tuple[str, int, str]) -> OracleAnswer:
        model = self._model_for(app)
        name = f"{model.provider}/{app.oracle.model or model.model}"
        if is_cut(sample.input, LONGEST):
            raise NoAnswer("The record is too long to be judged.", reason="too_long", oracle=name)
        reply = await self._asked(model, question(app, sample.input), name, app.oracle.wait_seconds)
        expected, name = reply.parsed["answer"], f"{reply.provider}/{reply.model}"
        self._answers[key] = (expected, name)
        if len(self._answers) > self._kept:
            self._answers.popitem(last=False)
        cost = 0.0 if reply.replayed else reply.cost_usd or 0.0
        return OracleAnswer(expected=expected, oracle=name, cost_usd=cost, ms=reply.ms)

    async def _asked(self, model: ChatModel, request: ChatRequest, name: str, wait_seconds: float) -> ChatReply:
        began = time.perf_counter()

        def no_answer(error: Exception, reason: str, cost_usd: float = 0.0) -> NoAnswer:
            ms = (time.perf_counter() - began) * 1e3
            return NoAnswer(str(error) or reason, reason=reason, oracle=name, cost_usd=cost_usd, ms=ms)

        try:
            async with asyncio.timeout(wait_seconds):
                return await model.complete(request)
        except TimeoutError as error:
            raise no_answer(error, "expired") from None
        except BudgetError as error:
            raise no_answer(error, BUDGET) from None
        except AnswerError as error:
            raise no_answer(error, ORACLE_SCHEMA, error.reply.cost_usd or 0.0) from None
        except (ProviderError, ConfigurationError) as error:
            raise no_answer(error, "refused") from None
        except TransientError as error:
            raise no_answer(error, "unavailable") from None


def question(app: LoopApp, record: Any) -> ChatRequest:
    """The request that asks for the right answer to one record."""
    labels = f"The answer is one of: {quote(list(app.labels))}" if app.labels else ""
    description = app.description or app.name or app.id
    enumerated = app.kind == "classification" and bool(app.labels)
    answer: dict[str, Any] = {"type": "string", "enum": list(app.labels)} if enumerated else app.output_schema
    schema = {
        "type": "object",
        "properties": {"answer": answer or {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return ChatRequest(
        messages=render("oracle", kind=app.kind, description=description, labels=labels, record=quote(record, LONGEST)),
        model=app.oracle.model,
        schema=msgspec.to_builtins(schema),
        # An app's own schema seldom keeps the rules of strict decoding; it is checked on arrival either way.
        strict=enumerated,
        max_output_tokens=OUTPUT_TOKENS,
    )
