"""Source of a program in; nothing out, or `Refused` with a line and a sentence that its writer can act on.

A linter, never the wall: allow-lists of Python syntax have been walked around every year (`match` class patterns,
`operator.attrgetter`, format strings), and what is not seen here meets the operating system's wall in the jail. It
exists so that a model, or a person, that wrote `import os` is told so before anything runs. Ordinary Python passes.

It parses, so call it on code of strangers only in a process that may die: a parser is attack surface too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, Final

from loopai.errors import ProgramError

MAX_BYTES: Final = 100_000
MAX_NODES: Final = 20_000

# What a program may import. All of it is preloaded in the jail, where no file can be opened.
MODULES: Final = frozenset(
    """
    __future__ abc array base64 binascii bisect calendar cmath collections collections.abc colorsys contextlib copy csv
    dataclasses datetime decimal difflib enum fnmatch fractions functools graphlib hashlib heapq hmac html html.entities
    html.parser io ipaddress itertools json keyword math numbers operator pprint random re shlex statistics string
    stringprep struct textwrap time types typing unicodedata urllib.parse uuid weakref zlib
    """.split()  # noqa: SIM905
)
RUNTIME: Final = "programs.runtime"  # our own trusted evaluators of models as data

_NAMES: Final = frozenset(
    """
    exec eval compile open input breakpoint globals locals vars dir memoryview help exit quit copyright credits license
    __import__ __builtins__ __loader__ __spec__ __build_class__
    """.split()  # noqa: SIM905
)
_ATTRIBUTES: Final = frozenset(
    """
    gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await f_back f_globals
    f_locals f_builtins f_code f_trace tb_frame tb_next func_globals func_code co_code co_consts co_names mro
    FunctionType CodeType LambdaType ModuleType
    """.split()  # noqa: SIM905
)
# Dunders that classes define and that programs read; every other one is a way up the object tree.
_DUNDERS: Final = frozenset(
    f"__{name}__"
    for name in """
    init new repr str eq ne lt le gt ge len iter next contains getitem setitem delitem call hash post_init enter exit
    bool int float index add sub mul truediv floordiv mod neg pos abs radd rsub rmul iadd isub imul and or xor not
    invert lshift rshift pow round reversed missing format name doc slots match_args version_info annotations
    members set_name class_getitem init_subclass dataclass_fields get set delete
    """.split()  # noqa: SIM905
)
_LOOKUPS: Final = frozenset({"getattr", "setattr", "delattr", "hasattr", "attrgetter", "methodcaller"})
_PATTERN_FUNCTIONS: Final = frozenset(
    {"compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn"}
)
# A field of a format string that reaches for an attribute or an index beginning with an underscore, or for a frame.
_FORMAT_REACH: Final = re.compile(r"\{[^{}]*(?:[.\[]_|\.(?:gi|cr|ag|f|tb|co)_)")
_PERCENT_SAFE: Final = 60


class Refused(ProgramError):
    """The gate says no. `line` is 1-based; 0 means the whole program."""

    code = "program_refused"

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


def check(source: str) -> None:
    """Raise `Refused` for the first thing, from the top, that a program may not do."""
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise Refused(0, f"the source has {size:,} bytes; {MAX_BYTES:,} are allowed. Put tables into the data.")
    tree = _parse(source)
    nodes = list(ast.walk(tree))
    if len(nodes) > MAX_NODES:
        raise Refused(0, f"the program has {len(nodes):,} syntax nodes; {MAX_NODES:,} are allowed.")
    found: list[Refused] = []
    modules = _imported_modules(nodes)
    for node in nodes:
        rule = _RULES.get(type(node))
        if rule is not None:
            try:
                rule(node)
                if modules:
                    _leave_modules_alone(node, modules)
            except Refused as refusal:
                found.append(refusal)
    if found:
        raise min(found, key=lambda refusal: refusal.line)
    _check_contract(tree)


def _parse(source: str) -> ast.Module:
    try:
        return ast.parse(source, "<program>")
    except SyntaxError as error:
        raise Refused(error.lineno or 0, f"syntax: {error.msg}") from None
    except (ValueError, UnicodeError) as error:
        raise Refused(0, f"syntax: {error}") from None
    except (RecursionError, MemoryError):
        raise Refused(0, "syntax: nested too deeply to be parsed") from None


def _check_contract(tree: ast.Module) -> None:
    """The module binds `run`, and `run` can take one record."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name in ("run", "run_batch"):
            a = statement.args
            positional = len(a.posonlyargs) + len(a.args)
            needed = positional - len(a.defaults)
            if needed > 1 or (positional == 0 and a.vararg is None) or any(d is None for d in a.kw_defaults):
                what = "record" if statement.name == "run" else "list of records"
                raise Refused(statement.lineno, f"{statement.name} takes exactly one argument, the {what}")
    if "run" not in _bound_names(tree):
        raise Refused(0, "the program does not define run(record)")


def _bound_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


def allowed_module(name: str) -> bool:
    """Whether a program may import `name`."""
    return name in MODULES or name == RUNTIME or name.startswith(RUNTIME + ".")


def _import(node: ast.Import) -> None:
    for alias in node.names:
        if not allowed_module(alias.name):
            raise Refused(node.lineno, f"import {alias.name} is not allowed")


def _import_from(node: ast.ImportFrom) -> None:
    if node.level:
        raise Refused(node.lineno, "relative imports are not allowed: a program is one module")
    module = node.module or ""
    for alias in node.names:
        if not (allowed_module(module) or allowed_module(f"{module}.{alias.name}")):
            raise Refused(node.lineno, f"import from {module} is not allowed")
        if alias.name == "*":
            raise Refused(node.lineno, f"import * is not allowed: name what you need of {module}")
        if alias.name.startswith("_") or alias.name in _ATTRIBUTES:
            raise Refused(node.lineno, f"import of {alias.name} from {module} is not allowed")


def _reachable(name: str) -> bool:
    return name not in _ATTRIBUTES and not (name.startswith("__") and name.endswith("__") and name not in _DUNDERS)


def _attribute(node: ast.Attribute) -> None:
    if not _reachable(node.attr):
        raise Refused(node.lineno, f"attribute {node.attr} is not allowed")


def _name(node: ast.Name) -> None:
    name = node.id
    if name in _NAMES:
        raise Refused(node.lineno, f"{name} is not allowed")
    if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__", "__annotations__"):
        raise Refused(node.lineno, f"name {name} is not allowed")


def _match_class(node: ast.MatchClass) -> None:
    for name in node.kwd_attrs:
        if not _reachable(name):
            raise Refused(node.lineno, f"attribute {name} in a pattern is not allowed")


def _constant(node: ast.Constant) -> None:
    if type(node.value) is str and "{" in node.value and _FORMAT_REACH.search(node.value):
        raise Refused(node.lineno, "a format string may not reach for private attributes")


def _asynchronous(node: ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith) -> None:
    raise Refused(node.lineno, "async is not allowed: run(record) is called and must return")


def _call(node: ast.Call) -> None:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _LOOKUPS:
        _lookup(node, name)
    elif name in _PATTERN_FUNCTIONS and isinstance(function, ast.Attribute):
        owner = function.value
        if isinstance(owner, ast.Name) and owner.id == "re" and node.args:
            pattern = node.args[0]
            if isinstance(pattern, ast.Constant) and type(pattern.value) is str:
                _pattern(pattern.lineno, pattern.value)


def _lookup(node: ast.Call, name: str) -> None:
    operator = name in ("attrgetter", "methodcaller")
    for argument in node.args[:1] if name == "methodcaller" else node.args if operator else node.args[1:2]:
        if not isinstance(argument, ast.Constant):
            if operator:
                raise Refused(node.lineno, f"{name} takes a literal name here")
            continue
        if type(argument.value) is str and not all(_reachable(part) for part in argument.value.split(".")):
            raise Refused(node.lineno, f"{name} of {argument.value} is not allowed")


def _pattern(line: int, pattern: str) -> None:
    """Refuse what does not compile and the classic exponential forms: a repeat of a group that repeats."""
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except re.error as error:
        raise Refused(line, f"the regular expression is wrong: {error}") from None
    except (RecursionError, OverflowError):
        raise Refused(line, "the regular expression is too large") from None
    if _explodes(parsed, False):
        raise Refused(
            line, "the regular expression repeats a group that itself repeats, such as (a+)+: it can take forever"
        )


def _explodes(parsed: Any, repeated: bool) -> bool:
    """Whether an unbounded repeat holds, as its only content, another unbounded repeat (or an optional of one)."""
    for operation, argument in parsed:
        kind = str(operation)
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            _, most, inner = argument
            unbounded = most > _PERCENT_SAFE
            if unbounded and repeated and len(parsed) == 1:
                return True
            if _explodes(inner, unbounded or (repeated and len(parsed) == 1)):
                return True
        elif kind == "SUBPATTERN":
            if _explodes(argument[-1], repeated and len(parsed) == 1):
                return True
        elif kind == "BRANCH":
            if any(_explodes(branch, repeated and len(parsed) == 1) for branch in argument[1]):
                return True
        elif kind in ("ASSERT", "ASSERT_NOT") and _explodes(argument[1], False):
            return True
    return False


def _imported_modules(nodes: list[ast.AST]) -> set[str]:
    return {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }


def _leave_modules_alone(node: ast.AST, modules: set[str]) -> None:
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
        owner = node.value
        while isinstance(owner, ast.Attribute):
            owner = owner.value
        if isinstance(owner, ast.Name) and owner.id in modules:
            raise Refused(node.lineno, f"module {owner.id} may not be changed")


_RULES: Final[dict[type[ast.AST], Callable[[Any], None]]] = {
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Attribute: _attribute,
    ast.Name: _name,
    ast.MatchClass: _match_class,
    ast.Constant: _constant,
    ast.Call: _call,
    ast.AsyncFunctionDef: _asynchronous,
    ast.Await: _asynchronous,
    ast.AsyncFor: _asynchronous,
    ast.AsyncWith: _asynchronous,
}
