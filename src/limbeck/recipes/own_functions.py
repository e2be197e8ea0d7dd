"""Users' own functions, named in run files as ``my_module:my_function``: installed, or next to the run file."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from limbeck.errors import ConfigError, LimbeckError, near_misses

__all__ = ["look_beside", "own_function", "told"]

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_beside: list[Path] = []
_found_in: dict[str, Path] = {}
"""Folders of modules that are not installed, by the first part of their names."""


def look_beside(run_file: Path | None) -> None:
    """Look for modules next to this run file from now on, then in the current folder; ``None``: only in the latter."""
    _beside[:] = [] if run_file is None else [run_file.resolve().parent]


def own_function(name: str, what: str) -> Callable[..., Any]:
    """Import a function given as ``my_module:my_function``.

    A module that Python finds anyway (installed, or its own) takes precedence over a file of the same name: no file
    can replace another module. Nothing is left in Python's search path.

    Args:
        name: the name as the user wrote it.
        what: what the name stands for, for messages: ``recipe``.

    Raises:
        ConfigError: no such module or function, or the module cannot be run.
    """
    module, colon, function = name.partition(":")
    wrong = f"cannot import {what} '{name}'"
    if not colon or not _NAME.fullmatch(module) or not _NAME.fullmatch(function) or "." in function:
        raise ConfigError(f"{wrong}: expected my_module:my_function, the module without folders")
    if module.endswith(".py"):
        raise ConfigError(f"{wrong}: give the module without its suffix: {module.removesuffix('.py')}:{function}")
    loaded = _import(module, wrong)
    found = getattr(loaded, function, None)
    if not callable(found):
        where = getattr(loaded, "__file__", None) or "part of Python"
        own = [key for key, value in vars(loaded).items() if getattr(value, "__module__", None) == module]
        hint = near_misses(function, own) if own else "it defines none"
        raise ConfigError(f"{wrong}: {module} ({where}) has no function '{function}'; {hint}")
    return found  # type: ignore[no-any-return]


def _import(module: str, wrong: str) -> Any:
    first = module.partition(".")[0]
    if first in _found_in or (first not in sys.modules and find_spec(first) is None):
        folder = _folder_of(first, wrong)
        if (before := _found_in.get(first, folder)) != folder:
            _forget(before)
        known = set(sys.modules)
        _found_in[first] = folder
        with _at_the_end_of_the_path(folder):
            loaded = _run(module, wrong)
        for name in set(sys.modules) - known:  # its imports from its own folder are dropped with it
            if str(getattr(sys.modules[name], "__file__", None)).startswith(f"{folder}{os.sep}"):
                _found_in[name.partition(".")[0]] = folder
        return loaded
    return _run(module, wrong)


def _folder_of(first: str, wrong: str) -> Path:
    places = list(dict.fromkeys([*_beside, Path.cwd()]))
    for place in places:
        if (place / f"{first}.py").is_file() or (place / first).is_dir():
            return place
    if first in _found_in and first in sys.modules:
        return _found_in[first]
    looked = " and ".join(map(str, places))
    raise ConfigError(f"{wrong}: there is no module '{first}': it is not installed, and {first}.py is not in {looked}")


def _forget(folder: Path) -> None:
    """Drop the modules of a folder, so that another run file gets its own modules of the same names."""
    for first in [first for first, where in _found_in.items() if where == folder]:
        del _found_in[first]
        for name in [name for name in sys.modules if name.partition(".")[0] == first]:
            del sys.modules[name]


@contextmanager
def _at_the_end_of_the_path(folder: Path) -> Iterator[None]:
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for place in reversed(range(len(sys.path))):
            if sys.path[place] == str(folder):
                del sys.path[place]
                break


def _run(module: str, wrong: str) -> Any:
    try:
        return importlib.import_module(module)
    except LimbeckError as error:
        raise ConfigError(f"{wrong}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise ConfigError(f"{wrong}: {told(error)}") from error


def told(error: BaseException) -> str:
    """Return an error's message, and the line of code that raised it."""
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    text = str(error).strip().splitlines()
    place = f" ({os.fspath(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' + text[0] if text else ''}{place}"
