"""Loop apps over HTTP: create, list, read, change, delete; their examples and their state."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response

from gateway.http.answers import AddedAnswer, AppAnswer, PageAnswer, SeriesAnswer, StatusAnswer
from gateway.http.asked import Actor, AppId, PageOf, PartsOf, link_next, today
from gateway.http.body import NDJSON
from gateway.http.lines import ExampleLine, check_examples, read_lines
from gateway.http.making import changed_app, new_app
from gateway.http.problems import Problem, responses
from gateway.http.schemas import AppChange, ExampleBody, NewApp
from gateway.live.alerts import alerts
from gateway.parts import Parts
from gateway.status import status_of
from loopai.apps import LoopApp
from loopai.clock import iso
from loopai.records import Event

router = APIRouter(prefix="/loop-apps", tags=["Loop apps"])
_MOST_EXAMPLES: Final = 10_000

_EXAMPLES_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/ExampleBody"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/ExampleBody"}},
                    ]
                },
                "example": [{"input": {"text": "You won a prize"}, "expected": "spam"}],
            },
            NDJSON: {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "",
    operation_id="loop_apps_create",
    summary="Create a loop app",
    status_code=201,
    response_model=AppAnswer,
    responses=responses("conflict", "too_large", "unsupported_media_type", "invalid"),
)
async def create(body: NewApp, parts: PartsOf, actor: Actor, response: Response) -> LoopApp:
    app = new_app(body)
    examples = [_line(example).example() for example in body.examples]
    check_examples(examples, app.output_schema)
    await parts.store.put_app(app)
    if examples:
        await parts.store.add_examples(app.id, examples)
    await _tell(parts, app, "loop.created", f"Loop {app.name} was created.", actor)
    response.headers["Location"] = f"/api/v1/loop-apps/{app.id}"
    response.headers["ETag"] = _etag(app)
    return app


@router.get(
    "",
    operation_id="loop_apps_list",
    summary="List loop apps",
    response_model=PageAnswer[AppAnswer],
    responses=responses("invalid"),
)
async def list_apps(parts: PartsOf, page: PageOf, request: Request, response: Response) -> Any:
    found = await parts.store.list_apps(limit=page.limit, cursor=page.cursor)
    link_next(request, response, found.next_cursor)
    return found


@router.get(
    "/{app}",
    operation_id="loop_apps_get",
    summary="Read a loop app",
    response_model=AppAnswer,
    responses=responses("not_found", "invalid"),
)
async def get(app: AppId, parts: PartsOf, response: Response) -> LoopApp:
    found = await parts.store.get_app(app)
    response.headers["ETag"] = _etag(found)
    return found


@router.patch(
    "/{app}",
    operation_id="loop_apps_change",
    summary="Change a loop app",
    response_model=AppAnswer,
    responses=responses(
        "not_found", "conflict", "precondition_failed", "too_large", "unsupported_media_type", "invalid"
    ),
)
async def change(
    app: AppId,
    body: AppChange,
    parts: PartsOf,
    actor: Actor,
    response: Response,
    if_match: Annotated[str | None, Header(description="The `ETag` that the change was made from.")] = None,
) -> LoopApp:
    stored = await parts.store.get_app(app)
    _match(if_match, stored)
    changed = await parts.store.put_app(changed_app(stored, body))
    await _tell(parts, changed, "loop.updated", f"Loop {changed.name} was changed.", actor)
    response.headers["ETag"] = _etag(changed)
    return changed


@router.delete(
    "/{app}",
    operation_id="loop_apps_delete",
    summary="Delete a loop app",
    status_code=204,
    responses=responses("not_found", "precondition_failed", "invalid"),
)
async def delete(
    app: AppId, parts: PartsOf, actor: Actor, if_match: Annotated[str | None, Header()] = None
) -> Response:
    stored = await parts.store.get_app(app)
    _match(if_match, stored)
    await parts.store.delete_app(app)
    await _tell(parts, stored, "loop.updated", f"Loop {stored.name} was deleted.", actor, deleted=True)
    return Response(status_code=204)


@router.get(
    "/{app}/status",
    operation_id="loop_apps_status",
    summary="Read the state of a loop app",
    response_model=StatusAnswer,
    responses=responses("not_found", "invalid"),
)
async def status(app: AppId, parts: PartsOf) -> StatusAnswer:
    found = await parts.store.get_app(app)
    return await status_of(parts, found, await alerts(parts.store, today(parts), app))


@router.get(
    "/{app}/metrics",
    operation_id="loop_apps_metrics",
    summary="Read the last minutes, second by second",
    response_model=SeriesAnswer,
    responses=responses("not_found", "invalid"),
)
async def metrics(app: AppId, parts: PartsOf, seconds: Annotated[int, Query(ge=1, le=600)] = 300) -> Any:
    await parts.store.get_app(app)
    return {"windows": parts.windows.last(app, seconds), "agreement": parts.windows.agreements(app)}


@router.post(
    "/{app}/examples",
    operation_id="examples_add",
    summary="Add labelled examples",
    status_code=201,
    response_model=AddedAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
    openapi_extra=_EXAMPLES_BODY,
)
async def add_examples(app: AppId, parts: PartsOf, request: Request) -> dict[str, int]:
    stored = await parts.store.get_app(app)
    examples = [line.example() for line in read_lines(request, ExampleLine, limit=_MOST_EXAMPLES)]
    check_examples(examples, stored.output_schema)
    added = await parts.store.add_examples(app, examples)
    return {"added": added, "total": await parts.store.count_examples(app)}


def _line(body: ExampleBody) -> ExampleLine:
    return ExampleLine(input=body.input, expected=body.expected, id=body.id)


def _etag(app: LoopApp) -> str:
    return f'"{app.revision}"'


def _match(if_match: str | None, app: LoopApp) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    if _etag(app) not in [tag.strip() for tag in if_match.split(",")]:
        raise Problem("precondition_failed", f"Loop app {app.id!r} is at revision {app.revision}; read it again.")


async def _tell(parts: Parts, app: LoopApp, type: str, summary: str, actor: str, **data: Any) -> None:
    """Logs the change for people, then tells the controller, which brings it to the executors."""
    event = Event(
        id=str(uuid.uuid4()),
        type=type,
        app=app.id,
        at=iso(parts.clock.now()),
        summary=summary,
        data={"revision": app.revision, "actor": actor, **data},
    )
    await parts.store.append_events([event])
    parts.tail.wake()
    # Not `revision`: in a command that is the deployment's, and a stale one is refused.
    await parts.asker.tell(app.id, "app.changed", {"app_revision": app.revision, **data}, actor)
