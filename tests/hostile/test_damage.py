"""Files of run folders deleted, emptied, halved, with flipped bits, swapped: the same command mends it, or says so.

Several files that have nothing to do with each other are damaged at a time. Weights, predictions and figures must then
be those of an undisturbed run, or the file must be named.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from tests.hostile.commands import Command, Maker, Material, classification, instructions, texts
from tests.hostile.tally import Tally
from tests.runs.forge import Forge
from tests.runs.outcomes import differences
from tests.runs.paid_server import paid_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KINDS = ("deleted", "emptied", "halved", "flipped")
CHECKPOINTS = {
    classification: "stages/02-*/checkpoints", texts: "stages/distilled-02-*/checkpoints",
    instructions: "stages/seed0/*distillation/checkpoints",
}  # fmt: skip
"""Of a stage that has others before it."""


def damage(path: Path, kind: str) -> None:
    if kind == "deleted":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    if kind == "flipped":
        for place in random.Random(path.name).sample(range(len(content)), min(3, len(content))):
            content[place] ^= 0b100
    path.write_bytes(content[: {"emptied": 0, "halved": len(content) // 2, "flipped": None}[kind]])


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


@dataclass(frozen=True)
class Folders:
    command: Command
    half: Path
    """Of a run that was killed in a stage, when it had two checkpoints."""
    whole: Path


@pytest.fixture(scope="module", params=CHECKPOINTS, ids=lambda maker: maker.__name__)
def folders(
    request: pytest.FixtureRequest,
    forge: Forge,
    encoder_folder: Path,
    tickets: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Folders:
    maker: Maker = request.param
    folder = tmp_path_factory.mktemp(maker.__name__)
    with paid_server() as server:
        command = maker(folder, server, Material(encoder_folder, tickets))
    whole, half = folder / "whole", folder / "half"
    assert forge.run(*command.words(whole)) == 0, forge.output
    wanted = f"{CHECKPOINTS[maker]}/*/limbeck.json"

    def has_two() -> bool:
        return len(list(half.glob(wanted))) == 2

    assert forge.run(*command.words(half), kill_after=0, since=has_two) == -signal.SIGKILL, forge.output
    for checkpoint in half.glob(f"{CHECKPOINTS[maker]}/*"):
        if not (checkpoint / "limbeck.json").exists():
            shutil.rmtree(checkpoint)
    return Folders(command, half, whole)


def files_of(run: Path) -> dict[str, list[str]]:
    """Return the files of a run folder, by what they are of; files of one group are damaged one at a time.

    Checksums are of one group with the files that nothing else guards: a flipped bit in both cannot be found.
    """
    groups: dict[str, list[str]] = {}
    newest = max((int(path.name.split("-")[1]) for path in run.glob("stages/**/checkpoint-*")), default=0)
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = str(path.relative_to(run))
        if f"checkpoint-{newest}/" in name:
            group = "checkpoint"
        elif name == "checksums.json" or name.startswith("simple_baselines/"):
            group = "predictions"
        else:
            group = "done stage" if name.startswith("stages/") else name.split("/")[0]
        if "checkpoint" not in name or group == "checkpoint":
            groups.setdefault(group, []).append(name)
    return groups


def test_damage_within_a_stage_ends_as_without(folders: Folders, forge: Forge, tally: Tally, tmp_path: Path) -> None:
    groups = files_of(folders.half)
    assert {"checkpoint", "done stage", "predictions"} <= groups.keys()
    independent = [
        [(name, KINDS[(i + turn) % 4]) for turn in range(4) for i, name in enumerate(names)]
        for group, names in groups.items()
        if group not in ("run.yaml", "log.jsonl", ".lock")
    ]
    rounds = list(zip_longest(*independent))
    expected = folders.command.outcome(folders.whole)
    for number, damages in enumerate(rounds if "signals" in groups else rounds[::2]):
        run = Path(shutil.copytree(folders.half, tmp_path / f"{number}"))
        for name, kind in filter(None, damages):
            damage(run / name, kind)
        code = forge.run(*folders.command.words(run))
        tally.ended(code, forge.output)
        assert code == 0, forge.output
        assert differences(folders.command.outcome(run), expected) == [], f"{damages}\n{forge.output}"
        for _, kind in filter(None, damages):
            tally.add(f"{kind}, then as without")
        shutil.rmtree(run)


def test_damage_of_a_finished_run_is_mended_or_told(
    folders: Folders, forge: Forge, tally: Tally, tmp_path: Path
) -> None:
    groups = files_of(folders.whole)

    def outcome(run: Path) -> dict[str, Any]:
        """A cross-lingual run that has come to its end needs its stages no more, and does not look at them."""
        found = folders.command.outcome(run)
        at_end = any(name.startswith("stages/seed") for name in found)
        return {name: found[name] for name in found if not (at_end and name.startswith("stages/"))}

    expected = outcome(folders.whole)
    alone = [(name, KINDS[i % 4]) for names in groups.values() for i, name in enumerate(names) if name != ".lock"]
    for number, (name, kind) in enumerate(alone if "signals" in groups else alone[::2]):
        run = Path(shutil.copytree(folders.whole, tmp_path / f"{number}"))
        damage(run / name, kind)
        code = forge.run(*folders.command.words(run))
        tally.ended(code, forge.output)
        told = str(run / name) in forge.output or str((run / name).parent) in forge.output
        same = code == 0 and differences(outcome(run), expected) == []
        assert same or told, f"{name} {kind}:\n{forge.output}"
        tally.add(f"{kind}, then as without" if same else f"{kind}, then told")
        shutil.rmtree(run)


def test_folders_of_before_there_were_checksums_go_on(
    folders: Folders, forge: Forge, tally: Tally, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(folders.half, tmp_path / "run"))
    (run / "checksums.json").unlink()
    for file in [*run.rglob("limbeck.json"), *run.rglob("done.json"), *run.rglob("state.json")]:
        values = json.loads(file.read_text(encoding="utf-8"))
        new = ("files", "checksum", "checksums", "log")
        file.write_text(json.dumps({name: values[name] for name in values if name not in new}), encoding="utf-8")
    assert forge.run(*folders.command.words(run)) == 0, forge.output
    assert "damaged" not in forge.output
    assert differences(folders.command.outcome(run), folders.command.outcome(folders.whole)) == []
    tally.add("without checksums, then as without")


def test_swapped_predictions_are_made_again(folders: Folders, forge: Forge, tally: Tally, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folders.half, tmp_path / "run"))
    first, second, *_ = sorted((run / "predictions").iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert forge.run(*folders.command.words(run)) == 0, forge.output
    assert "is not what was written" in forge.output
    assert differences(folders.command.outcome(run), folders.command.outcome(folders.whole)) == []
    tally.add("swapped, then as without")
