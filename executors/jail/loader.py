"""A `Load` in, the callables of a program out: gate, compile, run the module, compile its schemas. In the worker.

The trimmed builtins make the linter's answers agree with what happens at run time: a program that imports by a string
gets an ImportError that says so. They are no wall; gate and builtins go off together (`gate=False`), and the wall
stands.
"""

from __future__ import annotations

import builtins
import random
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from executors.jail.checks import Check, compile_check, quick_filter
from executors.jail.protocol import Load
from programs import gate

MODULE = "program"

_HIDDEN = frozenset(
    """
    exec eval compile open input breakpoint globals locals vars dir memoryview help exit quit copyright credits license
    __import__ __loader__ __spec__ __debug__
    """.split()  # noqa: SIM905
)

# C code of the standard library imports these on first use, through the builtins of whoever called it.
_INTERNAL = frozenset({"_strptime", "_io", "copyreg", "encodings", "locale", "warnings"})


class Loaded(msgspec.Struct, frozen=True):
    """A program ready to run; a check is None when its schema allows everything."""

    run: Callable[[Any], Any]
    run_batch: Callable[[list[Any]], Any] | None
    check_input: Check | None
    check_output: Check | None
    certain_output: Callable[[Any], bool] | None


class Unloadable(Exception):
    """The message says why the program cannot be run."""


def load(what: Load, data: bytes) -> Loaded:
    """Raises `Unloadable`, `gate.Refused`, or whatever the module's top level raises."""
    if what.gate:
        gate.check(what.source)
    module = ModuleType(MODULE)
    namespace = vars(module)
    namespace["DATA"] = data
    namespace["__builtins__"] = _trimmed() if what.gate else builtins
    sys.modules[MODULE] = module  # dataclasses and typing look their module up
    random.seed(0)  # a program answers alike in every worker
    exec(compile(what.source, "<program>", "exec", dont_inherit=True), namespace)  # noqa: S102
    run, run_batch = namespace.get("run"), namespace.get("run_batch")
    if not callable(run):
        raise Unloadable("the program does not define run(record)")
    if run_batch is not None and not callable(run_batch):
        raise Unloadable("run_batch is not a function")
    return Loaded(
        run=run,
        run_batch=run_batch,
        check_input=_check("input_schema", what.input_schema),
        check_output=_check("output_schema", what.output_schema),
        certain_output=quick_filter(what.output_schema),
    )


def _check(name: str, schema: dict[str, Any]) -> Check | None:
    try:
        return compile_check(schema)
    except ValueError as error:
        raise Unloadable(f"{name} is not a JSON Schema: {error}") from None


def _trimmed() -> dict[str, Any]:
    names = {name: value for name, value in vars(builtins).items() if name not in _HIDDEN}
    real = builtins.__import__

    def only_allowed(
        name: str,
        globals: dict[str, Any] | None = None,
        locals: dict[str, Any] | None = None,
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> Any:
        fits = (
            name in _INTERNAL
            or gate.allowed_module(name)
            or any(gate.allowed_module(f"{name}.{part}") for part in fromlist or ())
        )
        if level or not fits:
            raise ImportError(f"import {name} is not allowed")
        return real(name, globals, locals, fromlist, level)

    names["__import__"] = only_allowed
    return names


def rehearse() -> None:
    """Load a program that does nothing. A page that is touched for the first time after a fork costs a fault of up to
    5 us, and a load touches five hundred: a spare has them behind it before it is needed (3.4 ms, then 0.8)."""
    source = "import re\nP = re.compile('a|b')\ndef run(record):\n    return 'a' if P.search(record['a']) else None"
    text = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    loaded = load(Load(source, text, {"enum": ["a", "b"]}, True), b"")
    loaded.run({"a": "a"})
    del sys.modules[MODULE]
