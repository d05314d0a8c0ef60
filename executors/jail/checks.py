"""A JSON Schema in, a function out that says what is wrong with a value: None, or a sentence without the value in it.

jsonschema-rs decides. In front of it stands a filter for the common cases, an expression made from the schema that is
true only for values that are valid: it may say "do not know", never "valid" wrongly. Measured: 135 ns against 290 for
an object with one string, 60 against 170 for a choice of labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs

Check = Callable[[Any], str | None]

# Keywords that say nothing about validity.
_NOTES = {"$schema", "$id", "title", "description", "default", "examples", "$comment"}
_TYPES = {
    "string": "type({v}) is str",
    "boolean": "type({v}) is bool",
    "null": "{v} is None",
    "integer": "type({v}) is int",
    # NaN and the infinities are not JSON: their difference with themselves is not 0.
    "number": "(type({v}) is int or type({v}) is float and {v} - {v} == 0)",
}
_DEEPEST = 4


class _Unknown(Exception):
    """A keyword that the filter does not understand: leave the whole schema to jsonschema-rs."""


def compile_check(schema: dict[str, Any]) -> Check | None:
    """None for a schema that allows everything. Raises ValueError when the schema is not one."""
    if not set(schema) - _NOTES:
        return None
    try:
        validator = jsonschema_rs.validator_for(schema, mask="value", offline=True)
    except Exception as error:
        raise ValueError(str(error).splitlines()[0]) from None
    first_error = validator.iter_errors

    def say(value: Any) -> str | None:
        for error in first_error(value):
            where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
            return f"${where}: {error.message}"
        return None

    made = _compiled(schema, "None if {} else say(v)", {"say": say})
    if made is not None:
        return made
    is_valid = validator.is_valid
    return lambda value: None if is_valid(value) else say(value)


def quick_filter(schema: dict[str, Any]) -> Callable[[Any], bool] | None:
    """The filter alone, or None where it would know nothing."""
    return _compiled(schema, "{}", {})


def _compiled(schema: dict[str, Any], form: str, names: dict[str, Any]) -> Callable[[Any], Any] | None:
    names["MISSING"] = object()
    try:
        expression = _expression(schema, "v", names, 0)
    except _Unknown:
        return None
    # The expression holds keywords of ours and string literals by repr; constants are passed by name.
    made: Callable[[Any], Any] = eval(f"lambda v: {form.format(expression)}", names)  # noqa: S307
    return made


def _expression(schema: Any, value: str, names: dict[str, Any], depth: int) -> str:
    if schema is True or schema == {}:
        return "True"
    if type(schema) is not dict or depth > _DEEPEST:
        raise _Unknown
    keys = set(schema) - _NOTES
    kind = schema.get("type")
    if "enum" in keys:
        choices = schema["enum"]
        if keys - {"enum", "type"} or kind not in (None, "string") or not all(type(c) is str for c in choices):
            raise _Unknown
        name = f"c{len(names)}"
        names[name] = frozenset(choices)
        return f"(type({value}) is str and {value} in {name})"
    if kind == "object":
        return _object(schema, keys, value, names, depth)
    if kind == "array" and keys <= {"type", "items"}:
        return _array(schema, value, names, depth)
    if type(kind) is not str or kind not in _TYPES:
        raise _Unknown
    tests = [_TYPES[kind].format(v=value)]
    if kind == "string":
        for keyword, sign in (("minLength", ">="), ("maxLength", "<=")):
            if keyword in keys:
                tests.append(f"len({value}) {sign} {_number(schema[keyword])}")
                keys.discard(keyword)
    if kind in ("integer", "number"):
        for keyword, sign in (("minimum", ">="), ("maximum", "<=")):
            if keyword in keys:
                tests.append(f"{value} {sign} {_number(schema[keyword])}")
                keys.discard(keyword)
    if keys - {"type"}:
        raise _Unknown
    return "(" + " and ".join(tests) + ")"


def _number(bound: Any) -> str:
    if type(bound) is not int:
        raise _Unknown
    return repr(bound)


def _array(schema: dict[str, Any], value: str, names: dict[str, Any], depth: int) -> str:
    inner = f"i{depth}"
    items = _expression(schema.get("items", True), inner, names, depth + 1)
    if items == "True":
        return f"type({value}) is list"
    return f"(type({value}) is list and all([{items} for {inner} in {value}]))"


def _object(schema: dict[str, Any], keys: set[str], value: str, names: dict[str, Any], depth: int) -> str:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    extra = schema.get("additionalProperties", True)
    if keys - {"type", "properties", "required", "additionalProperties"} or extra not in (True, False):
        raise _Unknown
    if type(properties) is not dict or not all(type(name) is str for name in [*properties, *required]):
        raise _Unknown
    tests = [f"type({value}) is dict"]
    if extra is False:
        name = f"c{len(names)}"
        names[name] = frozenset(properties)
        tests.append(f"{value}.keys() <= {name}")
    tests += [f"{key!r} in {value}" for key in required if key not in properties]
    for number, (key, inner) in enumerate(properties.items()):
        local = f"{value}_{number}"
        test = _expression(inner, local, names, depth + 1)
        if test == "True":
            tests += [f"{key!r} in {value}"] * (key in required)
            continue
        # The first mention binds the local, so the value is looked up once; no test is true of the missing one.
        found = f"({local} := {value}.get({key!r}, MISSING))"
        tests.append(f"{found} is not MISSING and {test}" if key in required else f"({found} is MISSING or {test})")
    return "(" + " and ".join(tests) + ")"
