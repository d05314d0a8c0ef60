"""Bodies about an app in, a `LoopApp` out, with what was left open filled in and its schemas checked."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs
import msgspec

from gateway.http.problems import Problem
from gateway.http.schemas import AppChange, NewApp
from loopai.apps import (
    Budget,
    Kind,
    LoopApp,
    OraclePolicy,
    RolloutPolicy,
    Sampling,
    label_output_schema,
    text_input_schema,
)

_MOST_LABELS: Final = 1_000
_PARTS: Final = {"sampling": Sampling, "oracle": OraclePolicy, "budget": Budget, "rollout": RolloutPolicy}


def new_app(body: NewApp) -> LoopApp:
    """The app at revision 1. A classification without labels takes them from its examples."""
    labels = tuple(body.labels)
    if body.kind == "classification" and not labels:
        named = {example.expected for example in body.examples if isinstance(example.expected, str)}
        labels = tuple(sorted(named)) if len(named) <= _MOST_LABELS else ()
    app = LoopApp(
        id=body.id,
        name=body.name or body.id,
        kind=body.kind,
        description=body.description,
        input_schema=_default_input(body.kind) if body.input_schema is None else body.input_schema,
        output_schema=_default_output(body.kind, labels) if body.output_schema is None else body.output_schema,
        labels=labels,
        sampling=_part("sampling", body.sampling.model_dump()),
        oracle=_part("oracle", body.oracle.model_dump()),
        budget=_part("budget", body.budget.model_dump()),
        rollout=_part("rollout", body.rollout.model_dump()),
        fallback=body.fallback,
        simulated=body.simulated,
    )
    _check(app)
    return app


def changed_app(app: LoopApp, body: AppChange) -> LoopApp:
    """The app at its next revision. An output schema that only listed the labels follows them."""
    given = body.model_dump(exclude_unset=True)
    nulls = [(f"/{name}", "null is not a value here") for name, value in given.items() if value is None]
    if nulls:
        raise Problem("invalid", f"{nulls[0][0]}: {nulls[0][1]}.", errors=nulls)
    changes: dict[str, Any] = {
        name: _part(name, {**msgspec.structs.asdict(getattr(app, name)), **value}) if name in _PARTS else value
        for name, value in _only_given(body, given).items()
    }
    if "labels" in changes:
        changes["labels"] = tuple(changes["labels"])
        if "output_schema" not in changes and app.output_schema == _default_output(app.kind, app.labels):
            changes["output_schema"] = _default_output(app.kind, changes["labels"])
    new = msgspec.structs.replace(app, **changes, revision=app.revision + 1)
    _check(new)
    return new


def _only_given(body: AppChange, given: dict[str, Any]) -> dict[str, Any]:
    """Of a nested part only the fields that were sent; the rest of it stays as it is."""
    return {
        name: {field: value[field] for field in getattr(body, name).model_fields_set} if name in _PARTS else value
        for name, value in given.items()
    }


def _part(name: str, values: dict[str, Any]) -> Any:
    if "stages" in values:
        values["stages"] = tuple(values["stages"])
    return _PARTS[name](**values)


def _default_input(kind: Kind) -> dict[str, Any]:
    return {"type": "object"} if kind == "validation" else text_input_schema()


def _default_output(kind: Kind, labels: tuple[str, ...]) -> dict[str, Any]:
    if kind == "classification":
        return label_output_schema(labels)
    return {"type": "array"} if kind == "validation" else {"type": "object"}


def _check(app: LoopApp) -> None:
    errors = []
    if len(set(app.labels)) != len(app.labels):
        errors.append(("/labels", "a label is there twice"))
    errors += check_stages(app.rollout.stages, "/rollout/stages")
    for name in ("input_schema", "output_schema"):
        wrong = _schema_error(getattr(app, name))
        if wrong:
            errors.append((f"/{name}", wrong))
    if errors:
        raise Problem("invalid", f"{errors[0][0]}: {errors[0][1]}.", errors=errors)


def check_stages(stages: tuple[int, ...], pointer: str) -> list[tuple[str, str]]:
    """What is wrong with the stages of a rollout. A last stage of 100 may be left out: the controller adds it."""
    return [] if list(stages) == sorted(set(stages)) else [(pointer, "growing percents are needed")]


def _schema_error(schema: dict[str, Any]) -> str:
    foreign = _foreign_reference(schema)
    if foreign:
        # Resolving it would let a caller make this server fetch any address.
        return f"the reference {foreign!r} leaves the schema; only #/... is possible"
    try:
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.validator_for(schema)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        return str(getattr(error, "message", error))
    return ""


def _foreign_reference(node: Any) -> str:
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            for name in ("$ref", "$dynamicRef", "$schema"):
                value = one.get(name)
                if isinstance(value, str) and not value.startswith("#") and "json-schema.org/" not in value:
                    return value
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
    return ""
