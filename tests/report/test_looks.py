"""Looks of systems: told apart, and known to the page."""

from __future__ import annotations

import re
from pathlib import Path

from limbeck.report import looks
from limbeck.report.looks import look_of

LANGUAGE_SYSTEMS = ["english_model", "ml_ipd", "ml_dft", "pl_bl", "rl_ia", "transfer"]


def test_systems_of_one_run_differ_in_colour_and_in_marker() -> None:
    found = [look_of(name) for name in LANGUAGE_SYSTEMS]
    assert len({look.colour for look in found}) == len({look.marker for look in found}) == len(found)


def test_the_page_knows_every_mark() -> None:
    folder = Path(looks.__file__).parent
    style = "".join((folder / name).read_text("utf-8") for name in ("base.html.j2", "language_page.html.j2"))
    for name in LANGUAGE_SYSTEMS:
        assert re.search(rf"\.mark\.{look_of(name).mark} {{", style)


def test_an_unknown_name_does_not_reach_the_page() -> None:
    assert look_of('"><script>').mark == "other"
