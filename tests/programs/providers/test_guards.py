"""Retries, budget, failover and cassettes around a model, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loopai.apps import Budget, LoopApp
from loopai.clock import ManualClock, SystemClock
from loopai.errors import BudgetError, NotFoundError, TransientError
from programs.providers.budget import Account, BudgetedModel, MemoryLedger
from programs.providers.cassettes import CassetteModel
from programs.providers.chat import AnswerError, ChatReply, ChatRequest, ProviderUnavailable
from programs.providers.failover import FailoverModel, Rests
from programs.providers.local_answers import LocalAnswers
from programs.providers.local_server import Behaviour, LocalModelServer
from programs.providers.models import Models
from programs.providers.retrying import RetryingModel, RetryPolicy
from programs.store import Store
from tests.programs.providers.helpers import DEAR, endpoint, judge

DAY = "1970-01-12"


@pytest.fixture
async def first() -> AsyncIterator[LocalModelServer]:
    async with LocalModelServer(LocalAnswers(default="ham")) as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[LocalModelServer]:
    async with LocalModelServer(LocalAnswers(default="spam")) as running:
        yield running


async def test_429_then_success_waits_as_long_as_the_provider_asked(first: LocalModelServer) -> None:
    model, clock = endpoint(first), ManualClock()
    retrying = RetryingModel(model, clock)
    first.behave("429", seconds=7)
    assert (await retrying.complete(judge())).parsed == {"answer": "ham"}
    assert clock.monotonic() >= 7
    assert (first.calls, retrying.retries) == (2, 1)
    await model.close()


async def test_retries_end(first: LocalModelServer) -> None:
    model = endpoint(first)
    first.behave("500", times=-1)
    with pytest.raises(ProviderUnavailable):
        await RetryingModel(model, ManualClock(), RetryPolicy(attempts=3)).complete(judge())
    assert first.calls == 3
    await model.close()


async def test_a_retry_after_beyond_the_patience_gives_up_at_once(first: LocalModelServer) -> None:
    model, clock = endpoint(first), ManualClock()
    first.behave("429", seconds=3_600)
    with pytest.raises(ProviderUnavailable):
        await RetryingModel(model, clock).complete(judge())
    assert clock.monotonic() == 0
    await model.close()


async def test_an_answer_outside_the_schema_is_not_asked_again(first: LocalModelServer) -> None:
    model = endpoint(first)
    first.behave("prose")
    with pytest.raises(AnswerError):
        await RetryingModel(model, ManualClock()).complete(judge())
    assert first.calls == 1
    await model.close()


@pytest.mark.parametrize("behaviour", ["500", "half", "nonsense", "key", "quota"])
async def test_a_dead_first_provider_is_answered_for_in_under_five_seconds(
    first: LocalModelServer, second: LocalModelServer, behaviour: Behaviour
) -> None:
    endpoints = [endpoint(first), endpoint(second)]
    models = Models(endpoints, MemoryLedger(), SystemClock())
    model = models.for_app(LoopApp(id="a"), "generate")
    assert models.for_app(LoopApp(id="a"), "generate") is model
    first.behave(behaviour, times=-1)
    began = time.monotonic()
    assert (await model.complete(judge())).parsed == {"answer": "spam"}
    assert time.monotonic() - began < 5
    asked = first.calls
    assert (await model.complete(judge())).parsed == {"answer": "spam"}
    other = models.for_app(LoopApp(id="b"), "generate")
    assert (await other.complete(judge())).parsed == {"answer": "spam"}
    assert first.calls == asked, "a provider that failed is passed over for a while, by every app"
    for each in endpoints:
        await each.close()


async def test_a_hanging_first_provider_is_left_when_its_time_is_up(
    first: LocalModelServer, second: LocalModelServer
) -> None:
    endpoints = [endpoint(first), endpoint(second)]
    clock = ManualClock()
    model = FailoverModel(endpoints, Rests(2, clock, 15), answer_within=0.2)
    first.behave("hang")
    assert (await model.complete(judge())).parsed == {"answer": "spam"}
    clock.advance(16)
    assert (await model.complete(judge())).parsed == {"answer": "ham"}, "it rested, and is preferred again"
    for each in endpoints:
        await each.close()


async def test_fifty_at_once_on_a_budget_for_twenty_spend_no_more(first: LocalModelServer) -> None:
    model, ledger = endpoint(first, price=DEAR), MemoryLedger()
    worst = model.worst_cost(judge(max_output_tokens=100))
    assert worst is not None
    budget = Budget(usd_per_day=worst * 20, calls_per_day=1_000)
    budgeted = BudgetedModel(model, ledger, Account(app="a", budget=budget), ManualClock())
    outcomes = await asyncio.gather(
        *(budgeted.complete(judge(max_output_tokens=100)) for _ in range(50)), return_exceptions=True
    )
    replies = [o for o in outcomes if isinstance(o, ChatReply)]
    assert sum(isinstance(o, BudgetError) for o in outcomes) == 50 - len(replies)
    assert len(replies) == first.calls == 20
    spent = ledger.spent_usd["a", DAY]
    assert spent == pytest.approx(sum(r.cost_usd or 0 for r in replies))
    assert 0 < spent <= budget.usd_per_day
    await model.close()


async def test_fifty_at_once_with_twenty_calls_and_a_bad_provider_make_twenty_requests(first: LocalModelServer) -> None:
    model, ledger = endpoint(first, price=DEAR), MemoryLedger()
    first.behave("429", times=8)
    app = LoopApp(id="a", budget=Budget(usd_per_day=1_000, calls_per_day=20))
    guarded = Models([model], ledger, ManualClock()).for_app(app, "validate")
    outcomes = await asyncio.gather(*(guarded.complete(judge()) for _ in range(50)), return_exceptions=True)
    assert first.calls == 20, "an attempt that was refused was a call too"
    assert sum(isinstance(o, ChatReply) for o in outcomes) == 12
    await model.close()


async def test_a_budget_of_nothing_asks_nothing(first: LocalModelServer) -> None:
    model = endpoint(first)
    for budget in (Budget(usd_per_day=0), Budget(calls_per_day=0)):
        with pytest.raises(BudgetError, match="does not allow"):
            await BudgetedModel(model, MemoryLedger(), Account(app="a", budget=budget), ManualClock()).complete(judge())
    assert first.calls == 0
    await model.close()


@pytest.mark.parametrize(
    ("behaviour", "paid"), [("500", False), ("429", False), ("half", True), ("hang", True), ("prose", True)]
)
async def test_money_whose_fate_is_unknown_counts_as_spent(
    first: LocalModelServer, behaviour: Behaviour, paid: bool
) -> None:
    model, ledger = endpoint(first, timeout=0.2, price=DEAR), MemoryLedger()
    first.behave(behaviour)
    with pytest.raises((ProviderUnavailable, AnswerError)):
        await BudgetedModel(model, ledger, Account(app="a", budget=Budget(usd_per_day=99)), ManualClock()).complete(
            judge()
        )
    assert (ledger.spent_usd["a", DAY] > 0) == paid
    await model.close()


async def test_a_caller_that_gives_up_leaves_no_reservation_hanging(first: LocalModelServer) -> None:
    model, ledger = endpoint(first, price=DEAR), MemoryLedger()
    first.behave("hang")
    budgeted = BudgetedModel(model, ledger, Account(app="a", budget=Budget(usd_per_day=99)), ManualClock())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(budgeted.complete(judge()), 0.1)
    assert ledger.spent_usd["a", DAY] == budgeted.worst_cost(judge())
    await model.close()


async def test_fifty_at_once_on_the_stores_ledger_spend_no_more(first: LocalModelServer, tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    model = endpoint(first, price=DEAR)
    worst = model.worst_cost(judge(max_output_tokens=100)) or 0.0
    app = LoopApp(id="a", budget=Budget(usd_per_day=worst * 20, calls_per_day=1_000))
    guarded = Models([model], store, ManualClock()).for_app(app, "generate")
    outcomes = await asyncio.gather(
        *(guarded.complete(judge(max_output_tokens=100)) for _ in range(50)), return_exceptions=True
    )
    replies = [o for o in outcomes if isinstance(o, ChatReply)]
    assert sum(isinstance(o, BudgetError) for o in outcomes) == 50 - len(replies)
    spending = await store.spent("a", DAY)
    assert spending.usd == pytest.approx(sum(r.cost_usd or 0 for r in replies))
    assert 0 < spending.usd <= app.budget.usd_per_day
    assert (spending.calls, spending.reserved_usd) == (first.calls, 0.0)
    (line,) = await store.ledger("a", DAY)
    assert (line.purpose, line.provider, line.model, line.calls) == ("generate", "openai", "loopai-local", first.calls)
    await model.close()
    await store.close()


async def test_a_ledger_that_fails_to_settle_does_not_cost_the_reply(first: LocalModelServer) -> None:
    class Forgetful(MemoryLedger):
        async def settle(self, app: str, day: str, **sums: Any) -> None:
            raise TransientError("the database is away")

    model = endpoint(first, price=DEAR)
    budgeted = BudgetedModel(
        model, Forgetful(), Account(app="a", budget=Budget(usd_per_day=9, calls_per_day=9)), ManualClock()
    )
    assert (await budgeted.complete(judge())).parsed == {"answer": "ham"}
    assert budgeted.unsettled == 1
    await model.close()


async def test_a_recorded_reply_is_replayed_without_asking(first: LocalModelServer, tmp_path: Path) -> None:
    model = endpoint(first)
    recorder = CassetteModel(tmp_path, model)
    fresh = await recorder.complete(judge("one"))
    again = await recorder.complete(judge("one"))
    assert (first.calls, recorder.recorded, recorder.replayed) == (1, 1, 1)
    assert (again.parsed, again.replayed, fresh.replayed) == (fresh.parsed, True, False)
    player = CassetteModel(tmp_path, mode="replay")
    assert (await player.complete(judge("one"))).text == fresh.text
    assert player.worst_cost(judge("one")) == 0.0
    with pytest.raises(NotFoundError, match="record again"):
        await player.complete(judge("two"))
    await model.close()


def test_the_digest_is_of_the_whole_question() -> None:
    requests = [judge(), judge("other"), judge(seed=1), judge(model="m"), judge(max_output_tokens=5)]
    assert len({request.digest() for request in requests}) == len(requests)
    assert judge().digest() == judge().digest()
    assert ChatRequest(messages=()).most_input_tokens() > 0
