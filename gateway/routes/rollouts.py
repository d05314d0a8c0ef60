"""Rollouts over HTTP: what a person asks of the controller, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from gateway.http.answers import PageAnswer, RolloutAnswer
from gateway.http.asked import Actor, AppId, PartsOf
from gateway.http.making import check_stages
from gateway.http.problems import Problem, responses
from gateway.http.schemas import Because, RolloutVerb, StartRollout
from gateway.parts import Parts
from loopai.errors import NotFoundError, UnavailableError
from loopai.records import Event, Rollout
from programs.store import Page

router = APIRouter(prefix="/loop-apps/{app}/rollouts", tags=["Rollouts"])


@router.post(
    "",
    operation_id="rollouts_start",
    summary="Start a rollout",
    status_code=201,
    response_model=RolloutAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
)
async def start(app: AppId, body: StartRollout, parts: PartsOf, actor: Actor, response: Response) -> Rollout:
    await parts.store.get_app(app)
    await parts.store.get_program(app, body.version)
    arguments: dict[str, Any] = {"version": body.version, "reopen": body.reopen}
    if body.stages is not None:
        wrong = check_stages(tuple(body.stages), "/stages")
        if wrong:
            raise Problem("invalid", f"/stages: {wrong[0][1]}.", errors=wrong)
        arguments["stages"] = body.stages
    event = await parts.asker.ask(app, "rollout.start", {**arguments, **_why(body)}, actor)
    response.headers["Location"] = f"/api/v1/loop-apps/{app}/rollouts/current"
    return await _rollout(parts, event)


@router.get(
    "",
    operation_id="rollouts_list",
    summary="List rollouts",
    response_model=PageAnswer[RolloutAnswer],
    responses=responses("not_found", "invalid"),
)
async def list_rollouts(app: AppId, parts: PartsOf, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Any:
    await parts.store.get_app(app)
    return Page(await parts.store.list_rollouts(app, limit))


@router.get(
    "/current",
    operation_id="rollouts_current",
    summary="Read the rollout under way",
    response_model=RolloutAnswer,
    responses=responses("not_found", "invalid"),
)
async def current(app: AppId, parts: PartsOf) -> Rollout:
    await parts.store.get_app(app)
    found = await parts.store.current_rollout(app)
    if found is None:
        raise NotFoundError(f"Loop app {app!r} has no rollout under way.")
    return found


@router.post(
    "/current/{verb}",
    operation_id="rollouts_act",
    summary="Promote, pause, resume or roll back",
    response_model=RolloutAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
)
async def act(app: AppId, verb: RolloutVerb, parts: PartsOf, actor: Actor, body: Because | None = None) -> Rollout:
    await parts.store.get_app(app)
    arguments = {} if body is None else _why(body)
    event = await parts.asker.ask(app, f"rollout.{verb.replace('-', '_')}", arguments, actor)
    return await _rollout(parts, event)


def _why(body: StartRollout | Because) -> dict[str, Any]:
    """What a person gave beside the verb: the reason, and the revision that was seen when deciding."""
    given = {"reason": body.reason or None, "revision": body.revision}
    return {name: value for name, value in given.items() if value is not None}


async def _rollout(parts: Parts, event: Event) -> Rollout:
    """The rollout that the answer is about: the one it names, else the newest."""
    named = event.data.get("rollout") or event.data.get("id")
    if isinstance(named, str):
        try:
            return await parts.store.get_rollout(named)
        except NotFoundError:
            pass
    newest = await parts.store.list_rollouts(event.app, 1)
    if not newest:
        raise UnavailableError("The controller accepted the command; the rollout is not to be seen yet.")
    return newest[0]
