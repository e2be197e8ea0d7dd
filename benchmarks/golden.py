"""The golden runs (`tests/golden/`) at two revisions on this machine, compared bit by bit.

    python benchmarks/golden.py REV_A [REV_B] [--only NAME ...]

Each revision carries out its own golden runs with its own sources, in one process of one thread. Compared are the
weights of the students and of all stages, and log.jsonl without times. Without REV_B, REV_A is compared with the
working tree. The exit code is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
RENAMED: dict[str, str] = {
    "sft": "fine_tune",
    "fine_tuned": "fine_tune",
    "random_order": "anon",
    "english_model": "source_model",
    "english": "source",
    "teacher_share": "teacher_fraction",
    "term/reasons": "term/rationales",
}
"""Systems, stages and terms that have another name in the later revision: the old name, and the new one."""
_TIMES = {"seconds", "tokens_per_second", "memory_bytes"}
_LABELS = ("system", "stage", "seed")

Found = dict[tuple[str, ...], Any]
"""Bits by what they belong to."""


@contextmanager
def checkout(revision: str | None, folder: Path) -> Iterator[Path]:
    """Yield a working tree of `revision`; this one for ``None``."""
    if revision is None:
        yield ROOT
        return
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", folder, revision], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", folder], check=True)


def carry_out(revision: str | None, folder: Path, only: Sequence[str]) -> dict[str, Path]:
    """Carry out a revision's golden runs, and return their folders by name."""
    runs = folder / "work"
    with checkout(revision, folder / "tree") as tree:
        command = [sys.executable, "-W", "ignore", tree / "tests" / "golden" / "carry_out.py", runs]
        command += ["--only", *only] if only else []
        environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        answer = subprocess.run(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if answer.returncode:
        sys.exit(f"golden runs of {revision or 'the working tree'} failed:\n{answer.stderr[-2000:]}")
    return {path.name: path for path in sorted((runs / "runs").iterdir())}


def weights(run: Path) -> Found:
    """Return the tensors of the student and of every stage; a stage is known by what its costs say of it."""
    models = {("student",): run / "student"}
    for done in run.glob("stages/**/done.json"):
        values = json.loads(done.read_text(encoding="utf-8"))
        models[_labels(values)] = done.parent / "model"
    found: Found = {}
    for whose, model in models.items():
        for file in model.glob("*.safetensors"):
            for name, tensor in load_file(file).items():
                found[*whose, name] = str(tensor.dtype), tensor.shape, tensor.numpy().tobytes()
    return found


def log(run: Path) -> Found:
    """Return the lines of the log without times."""
    found: Found = {}
    for text in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        values = {_renamed(name): value for name, value in line.items() if name not in {*_TIMES, *_LABELS}}
        found[*_labels(line), f"step {line['step']}"] = values
    return found


def _labels(values: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_renamed(str(values[label])) for label in _LABELS)


def _renamed(name: str) -> str:
    return RENAMED.get(name, name)


def difference(a: Found, b: Found) -> str:
    """Say how many of two findings differ, and which is the first; nothing where they are identical."""
    differ = [key for key in {**a, **b} if a.get(key) != b.get(key)]
    return f"{len(differ)} of {len({**a, **b})}: {' / '.join(differ[0])}" if differ else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rev_a", metavar="REV_A")
    parser.add_argument("rev_b", metavar="REV_B", nargs="?", help="default: the working tree")
    parser.add_argument("--only", metavar="NAME", nargs="+", default=[], help="these runs alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        a = carry_out(arguments.rev_a, Path(folder) / "a", arguments.only)
        b = carry_out(arguments.rev_b, Path(folder) / "b", arguments.only)
        differs = False
        print(f"{'run':28} {'weights':>10} {'log':>10}")
        for name in sorted({*a, *b}):
            if name not in a or name not in b:
                print(f"{name:28} only in {arguments.rev_a if name in a else arguments.rev_b or 'the working tree'}")
                continue
            found = [difference(read(a[name]), read(b[name])) for read in (weights, log)]
            print(f"{name:28} " + " ".join(f"{'different' if words else 'identical':>10}" for words in found))
            for words in filter(None, found):
                print(f"    {words}")
            differs |= any(found)
    sys.exit(int(differs))


if __name__ == "__main__":
    main()
