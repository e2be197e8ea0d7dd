"""A run folder that somebody changes while the run works in it; outputs of commands that are killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hostile.commands import Command, Material, classification
from tests.hostile.tally import Tally
from tests.runs.forge import Forge
from tests.runs.outcomes import differences
from tests.runs.paid_server import paid_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


@pytest.fixture(scope="module")
def command(encoder_folder: Path, tickets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Command:
    folder = tmp_path_factory.mktemp("taken")
    with paid_server() as server:
        return classification(folder, server, Material(encoder_folder, tickets))


@pytest.fixture(scope="module")
def whole(forge: Forge, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert forge.run(*command.words(run)) == 0
    return run


def a_folder_for_the_log(run: Path) -> None:
    while not (run / "log.jsonl").is_dir():  # the run may write it again in between
        (run / "log.jsonl").unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            (run / "log.jsonl").mkdir()


def a_file_for_the_stages(run: Path) -> None:
    while not (run / "stages").is_file():
        shutil.rmtree(run / "stages", ignore_errors=True)
        with contextlib.suppress(IsADirectoryError):
            (run / "stages").write_text("")


AWAY: dict[str, Callable[[Path], object]] = {
    "moved": lambda run: run.rename(run.with_name("moved")),
    "deleted": lambda run: shutil.rmtree(run, ignore_errors=True),
    "log replaced": a_folder_for_the_log,
    "stages replaced": a_file_for_the_stages,
    "stages deleted": lambda run: shutil.rmtree(run / "stages", ignore_errors=True),
}


@pytest.mark.parametrize("take", AWAY.values(), ids=AWAY.keys())
def test_a_folder_that_is_changed_under_the_run(
    take: Callable[[Path], object], forge: Forge, command: Command, whole: Path, tally: Tally, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def in_a_stage() -> bool:
        if not list(run.glob("stages/02-*/checkpoints/*/limbeck.json")):
            return False
        take(run)
        return True

    code = forge.run(*command.words(run), kill_after=600, since=in_a_stage)
    tally.ended(code, forge.output)
    if code == 0:  # what was deleted between two writes was not needed any more
        ours, theirs = (
            {name: value for name, value in command.outcome(one).items() if not name.startswith("stages/")}
            for one in (run, whole)
        )
        assert differences(ours, theirs) == []
        return
    assert str(run) in forge.output.splitlines()[-1]
    if (tmp_path / "moved").exists():
        assert "was moved or deleted" in forge.output
        assert forge.run(*command.words(tmp_path / "moved")) == 0
        assert differences(command.outcome(tmp_path / "moved"), command.outcome(whole)) == []
        tally.add("gone on with where it was moved")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("words", ["predict", "evaluate"])
def test_a_killed_command_leaves_no_output(
    words: str, sent: signal.Signals, forge: Forge, whole: Path, tickets: dict[str, Path], tally: Tally, tmp_path: Path
) -> None:
    output = tmp_path / "output.jsonl"
    rows = tmp_path / "rows.jsonl"
    rows.write_text(tickets["test"].read_text() * 50)

    def begun() -> bool:
        return words == "evaluate" or (tmp_path / "output.jsonl.part").exists()

    moment = 0.0 if words == "predict" else 0.3
    asked = (words, str(whole / "student"), str(rows), "--output", str(output))
    code = forge.run(*asked, kill_with=sent, kill_after=moment, since=begun)
    assert code == (-signal.SIGKILL if sent == signal.SIGKILL else 130), forge.output
    left = {path.name for path in tmp_path.iterdir()} - {"rows.jsonl"}
    assert left <= ({"output.jsonl.part"} if sent == signal.SIGKILL else set())
    tally.add(sent.name)
