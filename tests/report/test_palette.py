"""Looks of systems: by role, told apart, and known to the page."""

from __future__ import annotations

import re
from pathlib import Path

from tests.report.conftest import changed
from tests.report.simple import with_simple

from limbeck.report import palette
from limbeck.report.palette import OTHER, looks
from limbeck.results.record import Results, System


def with_all_roles(records: dict[str, Results]) -> list[Results]:
    return [*records.values(), with_simple(records["classification"])]


def test_systems_of_one_run_differ_in_colour_and_in_marker(records: dict[str, Results]) -> None:
    for results in with_all_roles(records):
        found = [looks(results)[system.name] for system in results.systems]
        assert len({look.colour for look in found}) == len({look.marker for look in found}) == len(found)


def test_four_baselines_differ_and_more_share_a_look(records: dict[str, Results]) -> None:
    baselines = [System(name=f"b{n}", title=f"B {n}", role="baseline") for n in range(6)]
    ranking = [system for system in records["ranking"].systems if system.role != "baseline"]
    found = looks(changed(records["ranking"], systems=[*ranking, *baselines]))
    assert len({found[f"b{n}"].marker for n in range(4)}) == 4
    assert found["b4"] == found["b5"] == OTHER


def test_looks_follow_the_role_and_not_the_name(records: dict[str, Results]) -> None:
    main = System(name='"><script>', title="x", role="main")
    found = looks(changed(records["ranking"], systems=[main]))
    assert found[main.name].mark == "main"


def test_the_page_knows_every_mark_in_both_schemes(records: dict[str, Results]) -> None:
    style = (Path(palette.__file__).parent / "base.html.j2").read_text("utf-8")
    for results in with_all_roles(records):
        for look in looks(results).values():
            assert re.search(rf"\.mark\.{look.mark} {{", style)
            assert look == OTHER or style.count(f"--{look.mark}: #") == 3, "light, dark, print"
