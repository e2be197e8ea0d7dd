"""`limbeck alerts predict` and `evaluate`, from the command line."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from limbeck.cli.app import main
from limbeck.results import Interval
from limbeck.results.alerts import Alert, AlertSweep, SweepPoint

ROWS = [
    {"text": "the cat is running .", "id": "a", "crisis": "cats", "lang": "en", "label": "risk"},
    {"text": "The cat is running!", "id": "b", "crisis": "cats", "lang": "en", "label": "safe"},
    {"text": "a dog runs ?", "id": "c", "crisis": "dogs", "lang": "de", "label": "caution"},
]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return file


def test_predict_writes_an_alert_for_each_row_and_a_page(
    risk_student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, output = tmp_path / "pages" / "alerts.html", tmp_path / "out" / "alerts.jsonl"
    rules = tmp_path / "rules.yaml"
    rules.write_text("confidence: 0.0\nreview_entropy: 1.0\n", encoding="utf-8")
    words = ("alerts", "predict", str(risk_student), str(rows), "--rules", str(rules))
    code, out, errors = run(monkeypatch, capsys, *words, "--html", str(page), "--output", str(output))
    assert (code, out) == (0, "")
    alerts = [Alert.model_validate_json(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [alert.article_id for alert in alerts] == ["a", "b", "c"]
    assert alerts[1].duplicate_of in (None, "a")
    assert "3 articles: " in errors
    assert "no calibration" in errors
    assert "The cat is running!" in page.read_text(encoding="utf-8")


def test_predict_reads_standard_input(
    risk_student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b'a dog\n\n{"text": "a cat", "id": 7}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, out, _ = run(monkeypatch, capsys, "alerts", "predict", str(risk_student))
    assert code == 0
    assert [json.loads(line)["article_id"] for line in out.splitlines()] == ["standard input:1", "7"]


@pytest.mark.slow
def test_evaluate_sweeps_the_threshold(
    risk_student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, page = tmp_path / "sweep.json", tmp_path / "sweep.html"
    words = ("alerts", "evaluate", str(risk_student), str(rows), "--output", str(figures), "--html", str(page))
    code, _, errors = run(monkeypatch, capsys, *words)
    assert code == 0, errors
    sweep = AlertSweep.model_validate_json(figures.read_text(encoding="utf-8"))
    assert (sweep.rows, sweep.risk_rows, len(sweep.points)) == (3, 1, 3)
    assert "Only 1 articles are risks" in errors
    assert "<svg" in page.read_text(encoding="utf-8")


def test_the_sweep_fits_eighty_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With figures as wide as they get: every row is on one line."""
    per_1000 = Interval(value=1000.0, low=1000.0, high=1000.0)
    wide = SweepPoint(
        sensitivity=0.95,
        reached_sensitivity=1.0,
        threshold=0.999,
        false_alarms_per_1000=per_1000,
        alarms_per_1000=1000.0,
    )
    sweep = AlertSweep(
        model="student", data="rows", limbeck_version="0", created="now", risk_labels=["risk"], rows=2, risk_rows=1,
        calibrated=True, points=[wide], curve_false_alarms_per_1000=[], curve_sensitivity=[], notes=[],
    )  # fmt: skip
    monkeypatch.setattr("limbeck.alerts.flow.sweep_alerts", lambda *_, **__: sweep)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr("limbeck.cli.terminal.console", terminal)
    assert run(monkeypatch, capsys, "alerts", "evaluate", "student", "rows")[0] == 0
    assert isinstance(terminal.file, io.StringIO)
    shown = [" ".join(line.split()) for line in terminal.file.getvalue().splitlines()]
    assert "95 % 100.0 % 0.999 1000.0 1000.0 to 1000.0 1000.0" in shown


def test_alerts_of_a_calibrated_student_say_so(
    risk_student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    student = shutil.copytree(risk_student, tmp_path / "student")
    (student / "calibration.json").write_text('{"temperature": 2.0}', encoding="utf-8")
    code, out, errors = run(monkeypatch, capsys, "alerts", "predict", str(student), str(rows))
    assert code == 0, errors
    assert {json.loads(line)["calibrated"] for line in out.splitlines()} == {True}
    assert "no calibration" not in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "MODEL", "ROWS", "--rules", "none.yaml"], "there is no file of alert rules"),
        (["predict", "MODEL", "--top", "1"], "No such option: --top"),
        (["predict", "MODEL", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["predict", "WRITER", "ROWS"], "is not a student of the kind classification: its task.json says generation"),
        (["evaluate", "WRITER", "ROWS"], "is not a student of the kind classification: its task.json says generation"),
        (["evaluate", "MODEL", "ROWS", "--label", "l"], "--text-pair and --label go with --text"),
    ],
)
def test_a_fault_in_the_input_exits_with_2(
    words: list[str], message: str, risk_student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    writer = tmp_path / "writer"
    writer.mkdir()
    (writer / "task.json").write_text('{"kind": "generation", "prompt": "question"}', encoding="utf-8")
    places = {"MODEL": str(risk_student), "ROWS": str(rows), "WRITER": str(writer)}
    code, _, errors = run(monkeypatch, capsys, "alerts", *(places.get(word, word) for word in words))
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
