"""Programs over HTTP: generate one as a run that can be watched, list them, look into one."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from gateway.http.answers import PageAnswer, ProgramAnswer, RunAnswer, WholeProgramAnswer
from gateway.http.asked import Actor, AppId, PartsOf, Version
from gateway.http.problems import responses
from gateway.http.schemas import Generate
from loopai.clock import iso
from loopai.errors import NotFoundError
from loopai.records import Run
from programs.store import Page

router = APIRouter(tags=["Programs"])


@router.post(
    "/loop-apps/{app}/programs",
    operation_id="programs_generate",
    summary="Generate a program",
    status_code=202,
    response_model=RunAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
)
async def generate(app: AppId, parts: PartsOf, actor: Actor, response: Response, body: Generate | None = None) -> Run:
    wanted = body or Generate()
    await parts.store.get_app(app)
    at = iso(parts.clock.now())
    run = Run(
        id=str(uuid.uuid4()), app=app, what="generate", step="Waiting for a controller", created_at=at, updated_at=at
    )
    await parts.store.put_run(run)
    arguments: dict[str, Any] = {"run": run.id, "seed": wanted.seed, "rollout": wanted.rollout}
    if wanted.strategy is not None:
        arguments["strategy"] = wanted.strategy
    await parts.asker.tell(app, "program.generate", arguments, actor)
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return run


@router.get(
    "/loop-apps/{app}/programs",
    operation_id="programs_list",
    summary="List the versions of a loop app",
    response_model=PageAnswer[ProgramAnswer],
    responses=responses("not_found", "invalid"),
)
async def list_programs(app: AppId, parts: PartsOf) -> Any:
    await parts.store.get_app(app)
    return Page(await parts.store.list_programs(app))


@router.get(
    "/loop-apps/{app}/programs/{version}",
    operation_id="programs_get",
    summary="Look into a version",
    response_model=WholeProgramAnswer,
    responses=responses("not_found", "invalid"),
)
async def get(app: AppId, version: Version, parts: PartsOf) -> Any:
    program = await parts.store.get_program(app, version)
    stored = next((one for one in await parts.store.list_programs(app) if one.version == version), None)
    if stored is None:
        raise NotFoundError(f"Loop app {app!r} has no program version {version}.")
    return {
        "version": version,
        "id": program.id,
        "kind": program.kind,
        "strategy": program.strategy,
        "created_at": stored.created_at,
        "waiver": stored.waiver,
        "manifest": program.manifest,
        "source": program.source,
        "data_bytes": len(program.data),
        "input_schema": program.input_schema,
        "output_schema": program.output_schema,
    }


@router.get(
    "/loop-apps/{app}/runs",
    operation_id="runs_list",
    summary="List the runs of a loop app",
    response_model=PageAnswer[RunAnswer],
    responses=responses("not_found", "invalid"),
)
async def list_runs(app: AppId, parts: PartsOf, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Any:
    await parts.store.get_app(app)
    return Page(await parts.store.list_runs(app, limit))


@router.get(
    "/runs/{run}",
    operation_id="runs_get",
    summary="Watch a run",
    response_model=RunAnswer,
    responses=responses("not_found", "invalid"),
)
async def get_run(run: Annotated[str, Path(max_length=100)], parts: PartsOf) -> Run:
    return await parts.store.get_run(run)
