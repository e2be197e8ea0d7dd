"""Run files, settings and their kin as nobody means them: a clear error or a run that is examined, soon.

Each is given to a real command. Its exit code is 0 or 2, it shows no traceback, and it does not hang.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from tests.conftest import write_rows
from tests.hostile.run_file_texts import SETTINGS, SYNTAX, VALUES
from tests.hostile.tally import Tally
from tests.runs.forge import Forge
from tests.tasks.generation.text_models import text_sections

from limbeck.filter.config import FilterConfig
from limbeck.prompt_search.config import TuneConfig
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.ranking.config import LanguageRunConfig

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SECONDS, BATCH = 90, 20
"""A batch of commands that takes longer hangs, however busy the machine is."""


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge(Path(__file__).with_name("run_files_program.py"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def good(folder: Path, encoder_folder: Path, multilingual_folder: Path) -> dict[str, dict[str, Any]]:
    """A small run of each kind, a filter and a search: what the hostile values are put into."""
    rows = [{"text": f"the cat {i} is lost", "label": str(i % 2), "said": str(i % 2)} for i in range(24)]
    data = str(write_rows(folder / "rows.jsonl", rows))
    (folder / "set").mkdir()
    for split in ("train", "test"):
        lines = [
            {"lang": lang, "key": i, "text": f"a {split} b {i} {lang}", "label": str(i % 2)}
            for lang in ("en", "bg")
            for i in range(12)
        ]
        write_rows(folder / "set" / f"{split}.jsonl", lines)
    return {
        "classification": {
            "data": {"train": data},
            "teacher": {"model": str(encoder_folder), "fine_tune": {"max_steps": 2}},
            "student": {"from_teacher": {"layers": "first", "keep": 1}},
            "recipe": {"name": "kd"},
            "training": {"max_steps": 2},
            "output": str(folder / "run"),
        },
        "ranking": {
            "task": {"kind": "ranking", "languages": ["bg"]},
            "data": {
                "sets": [
                    {
                        "layout": "rows",
                        "folder": str(folder / "set"),
                        "task": "topic",
                        "key": "key",
                        "labels": ["0", "1"],
                    }
                ],
                "shots": [0],
            },
            "backbone": {"model": str(multilingual_folder), "max_length": 64},
            "recipe": {"name": "ml_ipd"},
            "baselines": [],
            "output": str(folder / "run"),
        },
        "generation": text_sections(folder) | {"output": str(folder / "run")},
        "filter": {
            "sets": {"energy": {"files": data, "crisis": "an energy crisis", "keywords": ["cat"]}},
            "output": str(folder / "filtered"),
        },
        "tune": {
            "data": {"dev": data},
            "teacher": {"model": str(encoder_folder)},
            "output": str(folder / "tuned"),
        },
    }


class Commands:
    """Carries out commands in batches, each in a process that is killed if it hangs, and counts how they end."""

    def __init__(self, forge: Forge, tally: Tally, folder: Path) -> None:
        self._forge, self._tally, self._folder = forge, tally, folder
        self._waiting: list[dict[str, Any]] = []
        self._wrong: list[str] = []

    def add(self, *words: str, stdin: str = "", code: int | None = None) -> None:
        """Have a command carried out; `code`: how it must end, where one knows."""
        self._waiting.append({"words": words, "stdin": stdin, "code": code})
        if len(self._waiting) == BATCH:
            self._carry_out()

    def require_right(self) -> None:
        """Fail if any command ended otherwise than it should have, with all that did."""
        self._carry_out()
        assert not self._wrong, f"{len(self._wrong)} ended otherwise:\n" + "\n----\n".join(self._wrong[:12])

    def _carry_out(self) -> None:
        while self._waiting:
            batch, ended = self._folder / "batch.json", self._folder / "batch.ended"
            batch.write_text(json.dumps(self._waiting), encoding="utf-8")
            self._forge.run(str(batch), kill_after=SECONDS)
            ends = [json.loads(line) for line in ended.read_text(encoding="utf-8").splitlines()]
            for command, (code, output) in zip(self._waiting, ends, strict=False):
                self._judge(command, code, output)
            if len(ends) < len(self._waiting):
                self._wrong.append(f"{_shown(self._waiting[len(ends)])}: did not end in {SECONDS} seconds, or crashed")
            self._waiting = self._waiting[len(ends) + 1 :]

    def _judge(self, command: dict[str, Any], code: int, output: str) -> None:
        if code not in (0, 2) or "Traceback" in output or command["code"] not in (None, code):
            self._wrong.append(f"{_shown(command)}: exit code {code}: {output[-1500:]}")
        else:
            self._tally.ended(code, output)


def _shown(command: dict[str, Any]) -> str:
    return ascii([word[:200] for word in command["words"]])


@pytest.fixture
def commands(forge: Forge, tally: Tally, folder: Path) -> Commands:
    return Commands(forge, tally, folder)


# Text that is no run file, or more than one


_NUMBERS = itertools.count()


def write(folder: Path, content: bytes) -> str:
    path = folder / f"hostile-{next(_NUMBERS)}.yaml"
    path.write_bytes(content)
    return str(path)


def test_text_that_is_no_run_file(commands: Commands, folder: Path) -> None:
    for number, content in enumerate(SYNTAX):
        commands.add(("doctor", "plan", "distill")[number % 3], write(folder, content), code=2)
    commands.require_right()


def test_hostile_text_beside_a_good_run(commands: Commands, folder: Path, good: dict[str, dict[str, Any]]) -> None:
    """What no key reads must be sound too: `provenance` takes anything."""
    sections = good["classification"] | {"data": {"train": "nowhere.jsonl"}}
    whole = b"".join(f"{name}: {json.dumps(values)}\n".encode() for name, values in sections.items())
    for content in [text for text in SYNTAX if text[:2] in (b"a:", b"<<", b"l0", b"!!")][::2]:
        indented = b"".join(b" " + line + b"\n" for line in content.split(b"\n"))
        commands.add("doctor", write(folder, whole + b"provenance:\n" + indented), code=2)
    commands.require_right()


# Values of every key


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the names of all values of a file, as in ``--set``."""
    for name, field in model.model_fields.items():
        inner = [
            a
            for a in (field.annotation, *get_args(field.annotation))
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        yield prefix + name
        for one in inner:
            yield from keys_of(one, f"{prefix}{name}.")


NOWHERE = {
    "classification": "data.train=nowhere.jsonl",
    "ranking": "data.sets=[{layout: rows, folder: nowhere, task: topic, labels: [a, b]}]",
    "generation": "data.train=nowhere.jsonl",
}


@pytest.mark.parametrize(
    ("kind", "model", "step"),
    [("classification", RunConfig, 29), ("ranking", LanguageRunConfig, 29), ("generation", TextRunConfig, 29)],
)
def test_values_of_every_key(
    kind: str, model: type[BaseModel], step: int, commands: Commands, folder: Path, good: dict[str, dict[str, Any]]
) -> None:
    """Each key gets some of the values, all of them in turn; the run is examined where it can be one."""
    path = write(folder, json.dumps(good[kind]).encode())
    settings = list(itertools.product(keys_of(model), VALUES))[::step]
    for number, (key, value) in enumerate(settings):
        # Most end with the check of the file; loading models takes far longer.
        elsewhere = ["--set", NOWHERE[kind]] if number % 10 else []
        commands.add("doctor", path, *elsewhere, "--set", f"{key}={value}")
    commands.require_right()


def test_settings_that_are_none(commands: Commands, folder: Path, good: dict[str, dict[str, Any]]) -> None:
    path = write(folder, json.dumps(good["classification"]).encode())
    commands.add("doctor", path, code=0)
    for setting in SETTINGS:
        own = ["--set", "student.from_teacher=null"] if setting.startswith("student.config") else []
        commands.add("doctor", path, *own, "--set", setting)
    commands.require_right()


@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [("filter", FilterConfig, ["filter"]), ("tune", TuneConfig, ["prompts", "tune"])],
)
def test_files_of_other_commands(
    kind: str,
    model: type[BaseModel],
    words: list[str],
    commands: Commands,
    folder: Path,
    good: dict[str, dict[str, Any]],
) -> None:
    for content in SYNTAX[::6]:
        commands.add(*words, write(folder, content), code=2)
    for key, value in list(itertools.product(keys_of(model), VALUES))[::41]:
        section, _, last = key.partition(".")
        inner = "".join(f" {k}: {json.dumps(v)}\n" for k, v in good[kind].get(section, {}).items()) if last else ""
        others = "".join(f"{k}: {json.dumps(v)}\n" for k, v in good[kind].items() if k != section)
        text = f"{section}:\n{inner} {last}: {value}\n" if last and "." not in last else f"{section}: {value}\n"
        commands.add(*words, write(folder, (others + text).encode()))
    commands.require_right()


def test_alert_rules(commands: Commands, folder: Path, risk_student: Path) -> None:
    keys = ("severities", "bands", "confidence", "near_duplicate", "fields", "articles_for_high")
    lines = [f"{key}: {value}".encode() for key in keys for value in VALUES][::11]
    for content in [*SYNTAX[::10], *lines]:
        rules = write(folder, content)
        commands.add("alerts", "predict", str(risk_student), "--rules", rules, stdin="the cat is lost\n")
    commands.require_right()
