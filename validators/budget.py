"""Budgets that ran out, told once: an app's refused oracle call in, one event an app and day out.

The money itself is reserved by `programs.providers.budget` around every attempt. What is kept here is who was told,
so that an app whose budget is out does not fill the timeline. The event's id is made of app and day, so the same news
from several validators, or from one that was restarted, is one event to whoever stores it.
"""

from __future__ import annotations

from loopai.apps import LoopApp
from loopai.clock import Clock, iso
from loopai.records import Event


class BudgetNews:
    """Remembers, for each app, the day of the last news and the sample that brought it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, tuple[str, str]] = {}

    def ran_out(self, app: LoopApp, sample: str) -> Event | None:
        """The event, for the first sample of a day (UTC) that was refused, and again if that sample comes again:
        it does when its outputs were not acknowledged, and the news would be lost with them."""
        now = self._clock.now()
        day = iso(now)[:10]
        told_day, told_by = self._told.get(app.id, ("", ""))
        if told_day == day and told_by != sample:
            return None
        self._told[app.id] = (day, sample)
        return Event(
            id=f"budget-{app.id}-{day}",
            type="validation.budget_exhausted",
            app=app.id,
            at=iso(now),
            summary=f"The oracle budget of {app.id} for {day} allows no further call; checks go on without the oracle.",
            data={"day": day, "usd_per_day": app.budget.usd_per_day, "calls_per_day": app.budget.calls_per_day},
        )
