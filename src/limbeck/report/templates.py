"""The environment of HTML templates: everything is escaped unless marked otherwise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from limbeck.formatting import count_text, printable, share_text, shorten

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["html_environment"]

_LOOSE = re.compile(r"(?<=\d) (?=(?:%|[a-zA-Z]?B|n?k?m?s|min|h)(?![\w]))|(?<=\bp) (?=[=<])|(?<=[=<]) (?=\d)")


def html_environment() -> Environment:
    """Return the environment of this folder's templates, with autoescape and common filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable_only,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["unbroken"] = _unbroken
    # SVG comes from an XML writer, which has escaped all its text.
    environment.globals.update(count=count_text, share=share_text, shorten=shorten, inline=Markup)
    return environment


def _printable_only(value: object) -> object:
    # Markup is a str too, and must stay Markup, or it would be escaped.
    return printable(value) if type(value) is str else value


def _breakable(label: str) -> Markup:
    """Allow line breaks after underscores of a long label, without characters that would be copied."""
    return escape(printable(label)).replace("_", Markup("_<wbr>"))


def _unbroken(sentence: str) -> str:
    """Keep a number and its unit, or the sign before it, on one line."""
    return _LOOSE.sub("\N{NO-BREAK SPACE}", sentence)
