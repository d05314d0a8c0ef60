"""What was checked and what happened, over HTTP: validations, alerts and events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.http.answers import AlertAnswer, EnvelopeAnswer, PageAnswer, ValidationAnswer
from gateway.http.asked import AppId, PageOf, Paging, PartsOf, link_next, number, today
from gateway.http.problems import responses
from gateway.live.alerts import alerts
from gateway.live.envelope import of_event
from gateway.parts import Parts
from loopai.records import Verdict
from programs.store import Page

router = APIRouter()
Types = Annotated[list[str] | None, Query(alias="type", max_length=50, description="Only these types.")]


@router.get(
    "/loop-apps/{app}/validations",
    tags=["Checks"],
    operation_id="validations_list",
    summary="List validation results",
    response_model=PageAnswer[ValidationAnswer],
    responses=responses("not_found", "invalid"),
)
async def validations(
    app: AppId,
    parts: PartsOf,
    page: PageOf,
    request: Request,
    response: Response,
    version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
    verdict: Verdict | None = None,
) -> Any:
    await parts.store.get_app(app)
    found = await parts.store.list_validations(
        app, version=version, verdict=verdict, before=number(page.cursor), limit=page.limit
    )
    link_next(request, response, found.next_cursor)
    return found


@router.get(
    "/loop-apps/{app}/alerts",
    tags=["Alerts"],
    operation_id="alerts_list",
    summary="List alerts",
    response_model=PageAnswer[AlertAnswer],
    responses=responses("not_found", "invalid"),
)
async def list_alerts(app: AppId, parts: PartsOf, open: bool | None = None) -> Any:
    await parts.store.get_app(app)
    raised = await alerts(parts.store, today(parts), app)
    return Page([alert for alert in raised if open is None or alert.open == open])


@router.get(
    "/loop-apps/{app}/events",
    tags=["Events"],
    operation_id="events_list",
    summary="List the events of a loop app",
    response_model=PageAnswer[EnvelopeAnswer],
    responses=responses("invalid"),
)
async def app_events(
    app: AppId, parts: PartsOf, page: PageOf, request: Request, response: Response, types: Types = None
) -> Any:
    # No 404: the events of a deleted app are still history.
    return await _events(parts, page, request, response, types, app)


@router.get(
    "/events",
    tags=["Events"],
    operation_id="events_list_all",
    summary="List the events of every loop app",
    response_model=PageAnswer[EnvelopeAnswer],
    responses=responses("invalid"),
)
async def all_events(parts: PartsOf, page: PageOf, request: Request, response: Response, types: Types = None) -> Any:
    return await _events(parts, page, request, response, types, None)


async def _events(
    parts: Parts, page: Paging, request: Request, response: Response, types: list[str] | None, app: str | None
) -> Any:
    named = None if types is None else [name.removeprefix("io.loopai.").removesuffix(".v1") for name in types]
    before, epoch = number(page.cursor), await parts.store.epoch()
    found = await parts.store.latest_events(app=app, types=named, before=before, limit=page.limit + 1)
    shown = found[: page.limit]
    following = str(shown[-1][0]) if len(found) > page.limit else None
    link_next(request, response, following)
    return Page([of_event(event, sequence, epoch) for sequence, event in shown], following)
