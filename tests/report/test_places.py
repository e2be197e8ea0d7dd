"""Pages and cards are passed on: they name no folder of this machine and no server of its network."""

from __future__ import annotations

import re
import time

import pytest
from tests.report.conftest import KINDS, card_of, changed

from limbeck.report import render_report
from limbeck.report.alert_page import render_alert_page
from limbeck.report.places import without_places
from limbeck.results.alerts import AlertRun
from limbeck.results.record import Results
from limbeck.results.sections import Classes, Disagreements

ADDRESSES = [
    "http://localhost:8000/v1", "http://127.0.0.1:8000/v1", "https://[::1]:8000/v1", "http://192.168.1.5/v1/",
    "http://10.0.0.7:1234/s3cret", "http://172.20.0.2/v1", "http://gpu-box:8000/v1", "http://llm.corp/v1",
    "http://nas.local/v1", "http://0.0.0.0:80", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.1.5",
    "http://[fd00::1]/v1", "http://169.254.0.1/v1", "http://[broken/v1",
]  # fmt: skip
PATHS = {
    "/home/anna/tickets.csv": "tickets.csv",
    "/Users/anna/models/small": "small",
    "/srv/data/a.jsonl": "a.jsonl",
    "~/data/b.jsonl": "b.jsonl",
    "~anna/data/c.jsonl": "c.jsonl",
    "C:\\Users\\anna\\d.csv": "d.csv",
    "D:/anna/e.csv": "e.csv",
    "\\\\server\\anna\\f.csv": "f.csv",
    "file:///home/anna/g.csv": "g.csv",
    "/home/anna": "~",
    "/home/anna/runs/tickets/data/h.jsonl": "data/h.jsonl",
}
KEPT = [
    "https://api.example.com/v1", "org/model", "hub:org/name", "runs/tickets", "and/or", "1/2", "</s>", "/think </s>",
    "a / b", "83 /s", "torch 2.13.0.1", "KL(T / S)", "http://8.8.8.8/v1", "./data/x.csv", "/", "//", "yes/no/maybe",
]  # fmt: skip


def shown(results: Results, text: str) -> str:
    record = changed(results, warnings=[text], resolved="output: /home/anna/runs/tickets\n")
    return without_places(record)[0].warnings[0]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_server_of_this_machine_or_its_network_has_no_address(bare: dict[str, Results], address: str) -> None:
    assert shown(bare["classification"], f"asked at {address}, twice") == "asked at a local server, twice"
    assert shown(bare["classification"], f"base_url: {address}") == "base_url: a local server"


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_a_path_is_known_by_its_last_part_or_from_the_run_folder_on(
    bare: dict[str, Results], path: str, name: str
) -> None:
    assert shown(bare["classification"], f"read {path}. Then") == f"read {name}. Then"
    assert (
        shown(bare["classification"], f"--set 'data.train={path}' (as '{path}')")
        == f"--set 'data.train={name}' (as '{name}')"
    )


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_place_of_this_machine_stays(bare: dict[str, Results], text: str) -> None:
    assert shown(bare["classification"], f"see {text} here: {text}") == f"see {text} here: {text}"


def test_two_files_of_one_name_stay_two(bare: dict[str, Results]) -> None:
    assert (
        shown(bare["classification"], "/srv/a/x.csv /srv/b/x.csv /srv/a/x.csv /srv/c/x.csv")
        == "x.csv x.csv (2) x.csv x.csv (3)"
    )


def test_a_path_with_blanks_is_one_path(bare: dict[str, Results]) -> None:
    first = "# Takes this file as it is.\n"
    run = (
        first
        + "data:\n  train:\n  - /home/anna/my own\n    files/x.csv\n  test: '/home/anna/it is/y.csv'\nseeds: [0]\n"
    )
    record = changed(bare["classification"], resolved=run, command="limbeck distill '/home/anna/a b/run.yaml'")
    found, shortened = without_places(record)
    assert shortened
    assert found.run.command == "limbeck distill 'run.yaml'"
    assert found.run.resolved == "data:\n  train:\n  - x.csv\n  test: 'y.csv'\nseeds: [0]\n"


def test_a_label_that_looks_like_a_path_is_a_label(bare: dict[str, Results]) -> None:
    record = changed(bare["classification"], sections=[Classes(labels=["/m/09x0r", "/m/04rlf"])])
    assert shown(record, "no row is '/m/09x0r'; see /m/other") == "no row is '/m/09x0r'; see other"


def test_long_texts_take_no_time(bare: dict[str, Results]) -> None:
    started = time.process_time()
    for text in (
        "a." * 50_000,
        "/" * 100_000,
        "'" * 50_000,
        "/a" * 50_000,
        "\n ".join(["- /a/b"] * 20_000),
        "x:" * 50_000,
        "'/a/b " * 40_000,
        " ".join(f"/d{number}/x.csv" for number in range(20_000)),
    ):
        shown(bare["classification"], text)
        without_places(changed(bare["classification"], resolved=text))
    assert time.process_time() - started < 20


SECRET = re.compile(r"anna|localhost|127\.0\.0|192\.168|gpu-box")
PLACES = "from /home/anna/x.csv by http://localhost:1/v1, 127.0.0.1:8000, http://gpu-box:8 and 192.168.0.9"


def _marked(text: str) -> str:
    return f"{text} {PLACES}"


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", KINDS)
def test_no_place_is_on_any_page_or_card(kind: str, bare: dict[str, Results]) -> None:
    systems = [s.model_copy(update={"detail": _marked(s.detail)}) for s in bare[kind].systems]
    record = changed(
        bare[kind],
        command=_marked("limbeck distill"),
        warnings=[PLACES],
        verdict=[PLACES],
        resolved=f"output: /home/anna/runs/x\nnote: {PLACES}\n",
        environment={PLACES: PLACES},
        data_fingerprints={"/home/anna/x.csv": "0"},
        facts={"Teacher": "/home/anna/teacher", "Scorer": _marked("dual encoder")},
        systems=systems,
    )
    page, card = render_report(record), card_of(record)
    for text in (page, card):
        assert not SECRET.search(text), SECRET.findall(text)
        assert "x.csv by a local server" in text
    assert "Absolute paths are shortened" in page
    assert "Absolute paths are shortened" not in render_report(bare[kind])


def test_rows_of_the_user_are_shown_as_they_are(records: dict[str, Results], bare: dict[str, Results]) -> None:
    found = records["classification"].section(Disagreements)
    assert found
    first = found.rows[0].model_copy(update={"text": "see /home/anna/x at http://localhost/"})
    record = changed(bare["classification"], sections=[Disagreements(rows=[first])])
    assert "see /home/anna/x at http://localhost/" in render_report(record)


def test_the_page_of_alerts_names_student_and_articles_alone() -> None:
    run = AlertRun(
        name="alerts", model="/home/anna/runs/x/student", limbeck_version="0", created="2026-01-01T00:00:00+00:00",
        alerts=[], notes=[PLACES],
    )  # fmt: skip
    page = render_alert_page(run)
    assert not SECRET.search(page)
    assert "Student student" in page
