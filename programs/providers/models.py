"""Puts the parts together: settings and a ledger in, and for each app and purpose one model with all its guards out.

The order matters: failover over (retries over (budget over (endpoint))), so that every attempt is reserved for by
itself, a dead endpoint is left while its retries are cheap, and a replayed cassette (outermost) costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from loopai.apps import LoopApp
from loopai.clock import Clock
from programs.providers.budget import Account, BudgetedModel, Ledger
from programs.providers.chat import ChatModel, Purpose
from programs.providers.failover import FailoverModel, Rests
from programs.providers.retrying import RetryingModel, RetryPolicy

KEPT = 1_000
"""Wrapped models kept; an app whose budget changed gets a new one."""


class Models:
    """Gives each app its model. `endpoints` are in order of preference and shared by all apps."""

    def __init__(
        self,
        endpoints: Sequence[ChatModel],
        ledger: Ledger,
        clock: Clock,
        *,
        retry: RetryPolicy | None = None,
        answer_within: float | None = None,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._ledger = ledger
        self._clock = clock
        # With somebody else to ask, patience with one endpoint is short.
        alone = len(self._endpoints) == 1
        self._retry = retry or (RetryPolicy() if alone else RetryPolicy(attempts=3, patience_seconds=2.0))
        self._answer_within = answer_within
        # One endpoint's trouble is known to every app at once.
        self._rests = Rests(len(self._endpoints), clock)
        self._made: dict[Account, ChatModel] = {}

    def for_app(self, app: LoopApp, purpose: Purpose) -> ChatModel:
        """The model to ask for `app`, within its budget."""
        account = Account(app=app.id, budget=app.budget, purpose=purpose)
        if (model := self._made.get(account)) is None:
            if len(self._made) >= KEPT:
                self._made.clear()
            model = self._made[account] = self._make(account)
        return model

    def _make(self, account: Account) -> ChatModel:
        guarded = [
            RetryingModel(BudgetedModel(endpoint, self._ledger, account, self._clock), self._clock, self._retry)
            for endpoint in self._endpoints
        ]
        if len(guarded) == 1:
            return guarded[0]
        return FailoverModel(guarded, self._rests, answer_within=self._answer_within)
