"""Markdown that stays intact with any foreign text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.formatting import count_text, printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["fenced", "markdown_environment", "markdown_table", "plain"]


def markdown_environment() -> Environment:
    """Return the environment of this folder's Markdown templates, with filters for foreign text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        # Markdown has its own escapes; `plain` and `fenced` add them to foreign text.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    environment.globals.update(count=count_text, plain=plain, fenced=fenced)
    return environment


def plain(text: str) -> str:
    r"""Escape foreign text so that Markdown shows it as it is, on one line.

    >>> plain("a|b\n<i> *x*")
    'a\\|b &lt;i&gt; \\*x\\*'
    """
    line = " ".join(printable(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_`\[\]$~#])", r"\\\1", line)


def fenced(text: str, language: str = "") -> str:
    """Put text into a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text).rstrip()}\n{fence}"


def markdown_table(rows: list[list[str]]) -> str:
    """Format a table, header first, with the first column left-aligned and the others right-aligned."""
    header, *body = [[plain(cell) for cell in row] for row in rows]
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])
