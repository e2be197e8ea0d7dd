"""A jinja2 sandbox in which a template can neither run long nor produce a long text.

Templates are the user's own, or a stranger's ``prompt.json``. Everything that a template does is paid for out of a
budget of characters: what it writes, reads, compares and builds, and the iterations of its loops. Operations that make
much out of little (``'a' * 10**9``, ``center``, ``replace``) are estimated before they run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from string import Formatter
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateAssertionError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

__all__ = ["FAULTS", "BoundedEnvironment", "TooMuch", "budget_of", "rendered"]

FAULTS = (
    TemplateError,
    RecursionError,
    SyntaxError,  # from Python's compiler, which has its own limits
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    LookupError,
    MemoryError,
)
"""Errors that a faulty template can raise when compiled or filled, besides `TooMuch`."""

_ROOM = 1_000_000
"""Characters that a template may produce besides those of its slots."""
_TIMES_SLOTS = 16
"""How often it may process the content of its slots."""
_MOST_DIGITS = 4
"""Maximum digits of a width in a format (``%1000000000d``)."""
_MOST_BITS = 4096

_LEFT: ContextVar[list[int] | None] = ContextVar("left", default=None)


class TooMuch(Exception):
    """A template has exceeded its budget."""


def budget_of(slots: Mapping[str, Any]) -> int:
    """Return the budget of characters for a template filled from `slots`."""
    return _ROOM + _TIMES_SLOTS * sum(len(value) for value in slots.values() if isinstance(value, str))


def rendered(template: Any, slots: Mapping[str, Any]) -> str:
    """Fill a template of a `BoundedEnvironment`. Raises `TooMuch`, and anything a template can raise."""
    token = _LEFT.set([budget_of(slots)])
    try:
        return str(template.render(slots))
    finally:
        _LEFT.reset(token)


def _left() -> list[int]:
    """Return the remaining budget; zero outside `rendered`: compiling must not evaluate anything."""
    left = _LEFT.get()
    return [0] if left is None else left


def _spend(size: int) -> None:
    left = _left()
    left[0] -= 1 + size
    if left[0] < 0:
        raise TooMuch


def _reckon(size: int) -> None:
    """Refuse a size that would not fit, without paying for it yet."""
    if size > _left()[0]:
        raise TooMuch


def _size(*values: Any) -> int:
    """Return roughly how many characters values have as text; counting stops if there are too many."""
    most, size, waiting = _left()[0], 0, list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, int):
            size += value.bit_length() // 3
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        size += 1
        if size > most:
            raise TooMuch
    return size


def _whole(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 0


def _lines(text: Any, width: Any = 4, *_: Any, **__: Any) -> int:
    return (str(text).count("\n") + 1) * (len(width) if isinstance(width, str) else _whole(width))


def _replaced(text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> int:
    return str(text).count(str(old)) * _size(new)


def _joined(values: Any, separator: Any = "", *_: Any, **__: Any) -> int:
    return _size(values) + (len(values) if hasattr(values, "__len__") else 0) * _size(separator)


def _translated(text: Any, table: Any = None, *_: Any, **__: Any) -> int:
    longest = max(map(_size, table.values()), default=0) if isinstance(table, Mapping) else 0
    return len(str(text)) * longest


def _formatted(text: Any, *values: Any, **named: Any) -> int:
    """Estimate ``format``: each field may hold the longest value, at the largest width."""
    widest = max((int(digits) for digits in re.findall(r"\d+", str(text)) if len(digits) <= _MOST_DIGITS), default=0)
    if re.search(rf"\d{{{_MOST_DIGITS + 1}}}", str(text)) or re.search(r"%[^a-zA-Z%]*\*", str(text)):
        raise TooMuch
    fields = str(text).count("%")
    try:
        parts = list(Formatter().parse(str(text)))
    except ValueError:
        parts = []
    if any("{" in (spec or "") for _, _, spec, _ in parts):
        raise TooMuch  # a width taken from another value
    fields = max(fields, sum(name is not None for _, name, _, _ in parts))
    return fields * (widest + _size(*values, *named.values()))


_GROWTH: dict[str, Callable[..., int]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), lambda text, width=80, *_, **__: _whole(width)),
    "expandtabs": lambda text, tabsize=8: str(text).count("\t") * _whole(tabsize),
    "indent": _lines,
    "replace": _replaced,
    "join": _joined,
    "translate": _translated,
    "format": _formatted,
    "wordwrap": lambda text, *args, **named: _size(text) * (1 + _size(*args[2:], *named.values())),
    **dict.fromkeys(("batch", "slice"), lambda values, count=0, fill=None: _whole(count) * (1 + _size(fill))),
    "round": lambda number, precision=0, *_, **__: 10 ** min(_whole(precision), 9),
    "tojson": lambda value, indent=None: _size(value) * (6 + _whole(indent)),
    "truncate": lambda text, *args, **named: _size(*args, *named.values()),
    "sum": lambda values, attribute=None, start=0: _size(values) ** 2 if isinstance(start, list | tuple) else 0,
}
"""Bounds on the results of filters and methods that make much out of little."""

_OF_TEXTS = (
    "capitalize casefold center count endswith expandtabs find format format_map index isalnum isalpha isascii "
    "isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip "
    "partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
    "startswith strip swapcase title translate upper zfill"
)
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(_OF_TEXTS.split()),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
}
_LEFT_OUT = ("pprint", "urlize", "xmlattr")
"""Filters for HTML pages and debugging, not for prompts."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The environment that compiles templates for `rendered`."""

    intercepted_binops = frozenset(("*", "**", "%", "+", "-", "/", "//"))

    def __init__(self) -> None:
        # Prompts are plain text: nothing is escaped as HTML. Constants are not evaluated while compiling.
        super().__init__(
            autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True, optimized=False, finalize=_written
        )
        kept: dict[str, Any] = {name: made for name, made in self.filters.items() if name not in _LEFT_OUT}
        self.filters = {name: _checked(function, _GROWTH.get(name)) for name, function in kept.items()}
        self.filters |= {"_read": _read, "_turns": _turns, "_concat": _concat}
        self.tests = {name: _checked(made, None) for name, made in dict[str, Any](self.tests).items()}
        del self.globals["lipsum"]

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> Any:
        metered: nodes.Template = _Metered().visit(source)
        metered.set_environment(self)
        return super()._generate(metered, *args, **kwargs)

    def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Make a template's call, unless its result might be too large."""
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        methods = next((known for kind, known in _METHODS.items() if isinstance(owner, kind)), None)
        if methods is None and isinstance(owner, int | float | complex | bytes | type):
            methods = frozenset()
        if methods is not None:
            if name not in methods:
                raise SecurityError(f"{type(owner).__name__}.{name} is not allowed in templates")
            if name == "join":
                args = (_at_hand(args[0]), *args[1:]) if args else args
                _reckon(_joined(args[0] if args else (), owner))
            elif name in _GROWTH:
                _reckon(_GROWTH[name](owner, *args, **kwargs))
            _spend(_size(owner))
        _spend(_size(*args, *kwargs.values()))
        result = super().call(context, function, *args, **kwargs)
        _spend(_size(result))
        return result

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Estimate the result before two operands are joined, repeated or raised to a power."""
        if operator == "*":
            values, times = (right, left) if isinstance(left, int) else (left, right)
            _reckon(_size(values) * _whole(times) if not isinstance(values, int | float) else _size(values, times))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > _MOST_BITS:
                raise TooMuch
        elif operator == "%" and isinstance(left, str):
            _reckon(_formatted(left, right))
        _spend(_size(left, right))
        result = super().call_binop(context, operator, left, right)
        _spend(_size(result))
        return result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return ``str.format`` in jinja2's sandbox, for results that fit."""
        inner = super().wrap_str_format(value)
        if inner is None:
            return None

        @wraps(inner)
        def checked(*args: Any, **kwargs: Any) -> str:
            _reckon(_formatted(value.__self__, *args, **kwargs))
            return inner(*args, **kwargs)

        return checked


class _Metered(NodeTransformer):
    """Inserts calls of the meter where jinja2 compiles a template to plain Python."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        return nodes.Const(node.data, lineno=node.lineno)  # written through `_written`, as values are

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        if node.recursive:
            raise TemplateAssertionError("a recursive loop is not allowed in templates", node.lineno)
        node.iter = _through("_turns", node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _through("_concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _through("_read", node.expr)
        for operand in node.ops:
            operand.expr = _through("_read", operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _through("_read", node.node)
        return node


def _through(name: str, value: Any) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)


def _checked(function: Callable[..., Any], growth: Callable[..., int] | None) -> Callable[..., Any]:
    """Return a metered filter or test, refused beforehand if its result is too large."""
    own = 0 if getattr(function, "jinja_pass_arg", None) is None else 1  # context or environment come first

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if growth is not None and len(args) > own:
            args = (*args[:own], _at_hand(args[own]), *args[own + 1 :])
            _reckon(growth(*args[own:], **kwargs))
        _spend(_size(*args[own:], *kwargs.values()))
        result = function(*args, **kwargs)
        _spend(_size(result))
        return result

    return checked


def _at_hand(values: Any) -> Any:
    return list(_turns(values)) if isinstance(values, Iterator) else values


@pass_context
def _written(context: Any, value: Any) -> Any:
    _spend(_size(value))
    return value


def _read(value: Any) -> Any:
    _spend(_size(value) if isinstance(value, str | list | tuple | dict) else 0)
    return value


def _turns(values: Any) -> Any:
    if hasattr(values, "__len__"):
        _spend(len(values))
        return values
    return _one_by_one(values)


def _one_by_one(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _spend(0)
        yield value


def _concat(values: list[Any]) -> str:
    _spend(_size(values))
    return "".join(map(str, values))
