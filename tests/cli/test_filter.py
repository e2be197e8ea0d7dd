"""`limbeck filter` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from limbeck.cli.app import main
from limbeck.filter.config import load_filter_file


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_a_collection_is_filtered_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw.csv").write_text(
        "text,lang\nA blackout in the harbour,en\nFine weather,en\nEin Blackout im Norden,de\n,de\n", encoding="utf-8"
    )
    file = tmp_path / "filter.yaml"
    file.write_text(
        f"sets: {{energy: {{files: {tmp_path / 'raw.csv'}, crisis: a blackout, keywords: [blackout]}}}}\n"
        f"on_bad_row: leave_out\noutput: {tmp_path / 'out'}\n",
        encoding="utf-8",
    )
    code, _, errors = run(monkeypatch, capsys, "filter", str(file))
    assert code == 0, errors
    assert [line.split()[:5] for line in errors.splitlines() if line.strip().startswith(("energy", "all"))] == [
        ["energy", "3", "2", "2", "66.7"],
        ["all", "3", "2", "2", "66.7"],
    ]
    assert "1 rows are not articles" in errors
    kept = (tmp_path / "out" / "kept.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["lang"] for line in kept] == ["en", "de"]


def test_a_fault_in_the_file_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = run(monkeypatch, capsys, "filter", str(tmp_path / "filter.yaml"))
    assert code == 2
    assert "there is no filter file" in errors


def test_the_file_in_the_documentation_is_accepted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "filter.md").read_text(encoding="utf-8")
    file = tmp_path / "filter.yaml"
    file.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    config = load_filter_file(file)
    assert list(config.sets) == ["energy", "recession"]
    assert config.judge is not None
    assert config.judge.threshold == config.screen.threshold == 0.5
    assert config.screen.threshold_with_keyword == 0.3
