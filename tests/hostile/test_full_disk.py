"""A run folder on a disk that is really full: a clear error at every size, and with room the same end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hostile.commands import Material, classification
from tests.hostile.tally import Tally
from tests.runs.forge import Forge
from tests.runs.outcomes import differences
from tests.runs.paid_server import paid_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILOBYTES = (8, 64, 150, 230, 255, 300, 400, 426, 596, 700)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def resize(disk: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)


def test_full_disks(disk: Path, encoder_folder: Path, tickets: dict[str, Path], tally: Tally, tmp_path: Path) -> None:
    forge = Forge("until_killed.py")
    with paid_server() as server:
        command = classification(tmp_path, server, Material(encoder_folder, tickets))
    assert forge.run(*command.words(tmp_path / "whole")) == 0
    full = 0
    for number, kilobytes in enumerate(KILOBYTES):
        run = disk / f"{number}"
        resize(disk, kilobytes)
        code = forge.run(*command.words(run))
        tally.ended(code, forge.output)
        if code == 2:
            assert "could not be written" in forge.output
            assert "Free some space" in forge.output
            full += 1
        resize(disk, 64_000)
        assert forge.run(*command.words(run)) == 0, forge.output
        assert differences(command.outcome(run), command.outcome(tmp_path / "whole")) == []
        tally.add("with room as without")
        subprocess.run(["rm", "-r", str(run)], check=True)
    forge.end()
    assert full > len(KILOBYTES) / 2
