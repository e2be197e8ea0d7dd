"""Situations from public bug reports of other tools: each folder behaves as its `expected.md` says.

A folder holds a run file or a script, and what it reads: rows, and a server on loopback for a teacher behind an API.
`LIMBECK_CASES=DIR pytest -m hostile tests/cases` runs the folders of DIR instead. Folders named in `EXPECTED` are
checked against what their `expected.md` says; others must end with exit code 0 or 2, without a traceback.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.hostile.tally import Tally
from tests.runs.forge import Forge

pytestmark = [
    pytest.mark.hostile,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

HERE = Path(__file__).parent
CASES = Path(os.environ.get("LIMBECK_CASES", HERE)).absolute()
PORT = 8765
"""Where `common/serve.py` listens."""


class Case:
    """A case's folder, copied to where it may be written to, and how the last command in it ended."""

    def __init__(self, folder: Path, forge: Forge, tally: Tally) -> None:
        self.folder, self._forge, self._tally = folder, forge, tally
        self.code, self.output = 0, ""

    def run(self, *words: str) -> None:
        """Carry out a command; it must end with a code that says what it means, without a traceback."""
        self.code = self._forge.run(*words, cwd=self.folder)
        self.output = " ".join(self._forge.output.split())
        self._tally.ended(self.code, self._forge.output)

    def distill(self, *settings: str) -> None:
        """Carry out the run file, with these settings in it."""
        self.run("distill", "run.yaml", *(word for setting in settings for word in ("--set", setting)))

    def results(self) -> Any:
        return json.loads((self.folder / "run" / "results.json").read_text(encoding="utf-8"))

    def right_probabilities(self) -> NDArray[np.float64]:
        """Return the teacher's probability of the right label, for each held-out row."""
        lines = (self.folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
        right = [("risk", "caution", "safe").index(json.loads(line)["label"]) for line in lines]
        labels = np.load(next((self.folder / "run" / "teacher_labels" / "test").rglob("*.npz")))
        probs: NDArray[np.float64] = labels["probs"][np.arange(len(right)), right]
        return probs

    def journal(self, query: str) -> Any:
        """Return the first row of a query of the journal."""
        with contextlib.closing(sqlite3.connect(self.folder / "run" / "journal.sqlite")) as base:
            return base.execute(query).fetchone()

    def largest_difference(self) -> float:
        """Return the number that the script prints behind the word "difference"."""
        found = re.search(r"difference\D+([\d.]+(?:e-?\d+)?)", self.output)
        assert found, self.output
        return float(found[1])


def finish_reason_error(case: Case) -> None:
    case.distill()
    assert case.code == 2
    assert case.journal("SELECT count(*) FROM answers") == (0,)


def duplicate_top_logprobs(case: Case) -> None:
    case.distill()
    right = math.exp(-0.0002) + math.exp(-8.4)
    np.testing.assert_allclose(case.right_probabilities(), right / (right + math.exp(-9.5) + math.exp(-10)), atol=1e-5)


def raw_bpe_tokens(case: Case) -> None:
    case.distill()
    right = math.exp(-0.01) + math.exp(-7)
    np.testing.assert_allclose(
        case.right_probabilities(), right / (right + math.exp(-6.5) + math.exp(-7.5)), atol=1e-5
    )


def reasoning_first_token(case: Case) -> None:
    case.distill()
    assert case.code == 2
    assert "letter" in case.output


def think_in_content(case: Case) -> None:
    case.distill()
    assert case.code == 0
    assert case.right_probabilities().min() > 0.5
    assert case.results()["systems"]


def temperature_refused(case: Case) -> None:
    case.distill()
    assert case.code == 2
    assert "teacher.api.temperature" in case.output
    case.distill("teacher.api.temperature=null", "teacher.api.max_tokens=300")
    assert case.code == 0
    assert case.right_probabilities().min() > 0.8


def error_in_200(case: Case) -> None:
    case.distill()
    assert case.code == 2
    assert "Insufficient credits" in case.output
    assert case.journal("SELECT count(*) FROM attempts")[0] <= 16, "the calls that were under way"
    assert case.journal("SELECT tokens FROM spent") == (0,)


def cached_samples(case: Case) -> None:
    case.distill()
    assert "cache" in case.output or "cache" in json.dumps(case.results()["warnings"])


def tsv_quotes(case: Case) -> None:
    from limbeck.data.load import Fields, load_rows

    rows = load_rows(str(case.folder / "train.tsv"), Fields(text="text", label="label")).rows
    assert rows.label == ["pos", "pos", "neg", "neg", "neg", "pos"]
    assert rows.text[1] == '"Gripping from the start'


def label_order(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert "caution, safe, risk, zeal" in case.output


def multi_label(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert "multi_label_classification" in case.output
    assert "ModelError" in case.output


def no_pad_id(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert case.largest_difference() < 1e-5


def base_model_end_token(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    settings = json.loads((case.folder / "run" / "student" / "generation_config.json").read_text(encoding="utf-8"))
    assert sorted(settings["eos_token_id"]) == [0, 2]
    assert "'blue blue<|im_end|>'" in case.output


def dated_template(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert re.findall(r"day (\d): (\w+): exit code (\d)", case.output) == [
        ("1", "store", "0"), ("2", "distill", "0"), ("1", "distill", "0"),
    ]  # fmt: skip


def positions(case: Case) -> None:
    """The script prints what a run ends in, if not well: two steps of training may leave a useless teacher."""
    case.run("script", str(case.folder / "reproduce.py"))
    assert not re.findall(r"(?:IBert|Luke|XLMRoberta) (?!limbeck\.errors)\S+", case.output)


def same_as_in_teacher(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert "ModelError" in case.output or case.largest_difference() == 0


def mixed_expert_layers(case: Case) -> None:
    case.run("script", str(case.folder / "reproduce.py"))
    assert case.code == 0 or "ModelError" in case.output


def labels_that_look_alike(case: Case) -> None:
    case.run("doctor", "run.yaml")
    assert "risk\\u200b" in case.output
    assert "'Caution'" in case.output


def ends_well(case: Case) -> None:
    """What any case must do: the run file is looked at and carried out, or the script is."""
    if (case.folder / "run.yaml").exists():
        case.run("doctor", "run.yaml")
        case.distill()
    else:
        case.run("script", str(case.folder / "reproduce.py"))


EXPECTED: dict[str, Callable[[Case], None]] = {
    "01-finish-reason-error": finish_reason_error,
    "03-duplicate-top-logprobs": duplicate_top_logprobs,
    "04-raw-bpe-tokens": raw_bpe_tokens,
    "05-reasoning-first-token": reasoning_first_token,
    "06-think-in-content": think_in_content,
    "08-temperature-refused": temperature_refused,
    "10-error-in-200": error_in_200,
    "14-cached-samples": cached_samples,
    "18-tsv-quotes": tsv_quotes,
    "22-label-order": label_order,
    "23-no-pad-id": no_pad_id,
    "25-multi-label": multi_label,
    "26-base-model-end-token": base_model_end_token,
    "30-dated-template": dated_template,
    "32-positions": positions,
    "33-smollm3-layers": same_as_in_teacher,
    "34-modernbert-first-norm": same_as_in_teacher,
    "36-mixed-expert-layers": mixed_expert_layers,
    "38-labels-that-look-alike": labels_that_look_alike,
}


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge(HERE / "case_program.py")
    yield made
    made.end()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[None]:
    """Have the case's server listen meanwhile, if it has one."""
    if not (folder / "server.py").exists():
        yield
        return
    server = subprocess.Popen([sys.executable, "server.py"], cwd=folder)
    try:
        until = time.monotonic() + 30
        while server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", PORT)).close()
                break
            time.sleep(0.05)
        assert server.poll() is None, "the server did not start; is its port taken?"
        yield
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    "name", sorted(folder.name for folder in CASES.iterdir() if (folder / "expected.md").exists())
)
def test_case(name: str, forge: Forge, tally: Tally, tmp_path: Path) -> None:
    common, folder = tmp_path / "common", tmp_path / name
    shutil.copytree(CASES / "common", common)
    shutil.copytree(CASES / name, folder)
    if (folder / "run.yaml").exists():
        for rows in ("train.jsonl", "test.jsonl"):
            if not (folder / rows).exists():
                shutil.copy(common / rows, folder)
        if "tiny-encoder" in (folder / "run.yaml").read_text(encoding="utf-8"):
            assert forge.run("script", str(common / "make_tiny.py"), "encoder", "tiny-encoder", cwd=folder) == 0
    with served(folder):
        EXPECTED.get(name, ends_well)(Case(folder, forge, tally))
