"""Few labels, many texts: ``recipe: auto`` against what a sensible person tries first.

    python benchmarks/data.py DATA --for few_labels                             # the four sets
    python benchmarks/few_labels/run.py DATA                                    # four sets, three draws, MiniLM
    python benchmarks/few_labels/run.py DATA --sets trec --draws 0 --seeds 3
    python benchmarks/few_labels/run.py DATA --teacher mpnet=path/to/mpnet --labels 50
    python benchmarks/few_labels/tables.py runs/few_labels/figures.jsonl

There are two runs for every draw of the labelled rows. In one, ``recipe: auto`` with nothing else, and the simple
baselines. In the other, SetFit of the whole encoder as the teacher, and the student's layers fine-tuned on labelled
rows alone. Its settings are the best of four by cross-validation on the labelled rows of draw 0. Nothing is chosen for
the others. The figures of a run that is done are added to ``runs/few_labels/figures.jsonl``; a run that was cut off
goes on.
"""

from __future__ import annotations

import argparse
import base64
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from split import SETS, read_set, split

from limbeck.atomic import write_text
from limbeck.demo.setting import minilm_folder
from limbeck.results.read import read_results
from limbeck.results.record import Results
from limbeck.results.sections import Ensemble, SimpleBaselines

FOLDER = Path("runs/few_labels")
SETFIT = {"name": "setfit", "spread_labels": False}
SETFIT_TRAINING = {"max_steps": 80, "batch_size": 32, "learning_rate": 5e-5, "freeze_word_embeddings": True}
"""As the member of ``recipe: auto``."""
TRIALS = [(rate, passes) for rate in (5e-5, 2e-4) for passes in (4, 12)]
"""Learning rates and passes over the labelled rows of the fine-tuned student; at least 30 steps of 16 rows for 4."""
BATCH_SIZE = 16
NAMES = {name: name for name in ("teacher", "distilled", "tfidf", "frozen_embeddings")}


class Setting:
    """One set with one encoder and one draw of so many labels of each class."""

    def __init__(self, name: str, teacher: str, encoder: Path, labels: int, draw: int) -> None:
        self.name, self.teacher, self.encoder, self.labels, self.draw = name, teacher, encoder, labels, draw
        self.folder = FOLDER / f"{name}-{teacher}-{labels}-draw{draw}"

    def write_rows(self, data: Path) -> None:
        """Write the rows of the draw."""
        rows = split(self.name, *read_set(data, self.name), labels=self.labels, draw=self.draw)
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in ("labelled", "unlabelled", "test"):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in getattr(rows, part))
            (self.folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")

    def data(self) -> dict[str, Any]:
        """Return the section of a run file."""
        train = [str(self.folder / f"{part}.jsonl") for part in ("labelled", "unlabelled")]
        return {"train": train, "test": str(self.folder / "test.jsonl")}

    def distill(self, name: str, sections: dict[str, Any]) -> tuple[Results, float]:
        """Run a run file in a process of its own, unless it is done; return its results and its CPU seconds."""
        path, output = self.folder / f"{name}.yaml", self.folder / name
        spent = self.folder / f"{name}-cpu-seconds.json"
        seconds = json.loads(spent.read_text(encoding="utf-8")) if spent.exists() else 0.0
        path.write_text(yaml.safe_dump({**sections, "speed": False, "output": str(output)}), encoding="utf-8")
        done = (output / "results.json").exists() and read_results(output).run.seeds == sections.get("seeds", [0])
        if not done:
            before = _cpu_seconds()
            subprocess.run([sys.executable, "-m", "limbeck", "distill", str(path)], check=True)
            seconds += _cpu_seconds() - before
            write_text(spent, json.dumps(seconds))
        return read_results(output), seconds


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cut_encoder(encoder: Path, folder: Path) -> Path:
    """Write the encoder with the layers of the student: what the fine-tuned student begins as."""
    from transformers import AutoModel

    from limbeck.numerics.layer_maps import choose_layers

    if (folder / "config.json").exists():
        return folder
    model = AutoModel.from_pretrained(encoder)
    whole = model.encoder.layer
    kept = choose_layers("uniform", teacher_layers=len(whole), keep="half")
    model.encoder.layer = type(whole)([whole[layer - 1] for layer in kept])
    model.config.num_hidden_layers = len(kept)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(encoder, part, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.onnx"))
    model.save_pretrained(part)
    part.rename(folder)
    return folder


def tuned(first: Setting, data: Path) -> tuple[float, int]:
    """Return rate and steps of the fine-tuned student: the best out of fold on the labelled rows of draw 0."""
    known = first.folder / "trials.json"
    if not known.exists():
        first.write_rows(data)
        labelled = (first.folder / "labelled.jsonl").read_text(encoding="utf-8").splitlines()
        student = cut_encoder(first.encoder, FOLDER / f"{first.teacher}-half")
        training = [{"max_steps": _steps(passes, len(labelled)), "learning_rate": rate} for rate, passes in TRIALS]
        members = [
            {"model": str(student), "recipe": "fine_tune", "training": {**one, "batch_size": BATCH_SIZE}}
            for one in training
        ]
        texts = first.folder / "some.jsonl"
        some = (first.folder / "unlabelled.jsonl").read_text(encoding="utf-8").splitlines()[:32]
        texts.write_text("\n".join(some) + "\n", encoding="utf-8")
        run = {
            "data": {"train": str(first.folder / "labelled.jsonl"), "test": str(texts)},
            "teacher": {"ensemble": {"members": members, "folds": 3}},
            "student": {"model": str(student)},
            "recipe": {"name": "kd", "label_weight": 0},
            "training": {"max_steps": 1},
            "simple_baselines": False,
            "baselines": [],
        }
        results, seconds = first.distill("trials", run)
        (told,) = [section for section in results.sections if isinstance(section, Ensemble)]
        right = [member.right_out_of_fold or 0.0 for member in told.members]
        known.write_text(json.dumps({"trials": training, "right": right, "cpu_seconds": seconds}), encoding="utf-8")
    found = json.loads(known.read_text(encoding="utf-8"))
    best = found["trials"][int(np.argmax(found["right"]))]
    return best["learning_rate"], best["max_steps"]


def _steps(passes: int, rows: int) -> int:
    return max(passes * 30 // 4, passes * rows // BATCH_SIZE)


def auto(setting: Setting, seeds: list[int]) -> list[dict[str, Any]]:
    """Train ``recipe: auto``; return the figures of its systems."""
    teacher = {"model": str(setting.encoder)}
    run = {"data": setting.data(), "teacher": teacher, "recipe": "auto", "baselines": [], "seeds": seeds}
    return figures(setting, "auto", run, NAMES)


def controls(setting: Setting, seeds: list[int], rate: float, steps: int) -> list[dict[str, Any]]:
    """Train SetFit and the fine-tuned student; return their figures."""
    run = {
        "data": setting.data(),
        "teacher": {"model": str(setting.encoder), "recipe": SETFIT, "fine_tune": SETFIT_TRAINING},
        "student": {"model": str(setting.encoder), "layers": "uniform", "keep": "half"},
        "recipe": "fine_tune",
        "training": {"max_steps": steps, "batch_size": BATCH_SIZE, "learning_rate": rate},
        "baselines": [],
        "simple_baselines": False,
        "seeds": seeds,
    }
    return figures(setting, "controls", run, {"teacher": "setfit", "distilled": "fine_tuned"})


def figures(setting: Setting, name: str, run: dict[str, Any], names: dict[str, str]) -> list[dict[str, Any]]:
    """Run, and return a line for each system and seed.

    ``cpu_seconds`` are those of the run, shared by the systems that are trained in proportion to the time of their
    trainings; ``right`` has a bit for each held-out row, or is null for a teacher without weights.
    """
    results, seconds = setting.distill(name, run)
    simple = [fit for section in results.sections if isinstance(section, SimpleBaselines) for fit in section.fits]
    spent = {fit.system: fit.cpu_seconds for fit in simple}
    whole = sum(cost.seconds for cost in results.costs)
    found = []
    for system, called in names.items():
        accuracy = results.figure(system, "accuracy")
        assert accuracy is not None
        for seed, value in accuracy.seeds.items():
            trained = sum(cost.seconds for cost in results.costs if (cost.system, cost.seed) == (system, seed))
            found.append(
                {
                    "set": setting.name,
                    "teacher": setting.teacher,
                    "labels": setting.labels,
                    "draw": setting.draw,
                    "seed": int(seed),
                    "system": called,
                    "accuracy": value,
                    "cpu_seconds": round(spent.get(system, seconds * trained / whole), 1),
                    **_right(setting, name, system, int(seed)),
                }
            )
    return found


def _right(setting: Setting, name: str, system: str, seed: int) -> dict[str, Any]:
    """Return the number of held-out rows, and which of them a system gets right, packed."""
    output = setting.folder / name
    gold = [json.loads(line)["label"] for line in (setting.folder / "test.jsonl").read_text("utf-8").splitlines()]
    path = output / "simple_baselines" / f"{system}.npy"
    path = path if path.exists() else output / "predictions" / f"{system}-seed{seed}.npy"
    if not path.exists():
        return {"rows": len(gold), "right": None}
    labels = sorted(set(gold))
    right_N = np.load(path, allow_pickle=False).argmax(axis=-1) == [labels.index(label) for label in gold]
    return {"rows": len(gold), "right": base64.b64encode(np.packbits(right_N).tobytes()).decode("ascii")}


def add(found: list[dict[str, Any]]) -> None:
    """Put figures into the file, in place of those of the same systems and seeds."""
    path = FOLDER / "figures.jsonl"
    kept = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    lines = {_key(one): one for one in [*kept, *found]}
    write_text(path, "".join(json.dumps(lines[key]) + "\n" for key in sorted(lines)))


def _key(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("set", "teacher", "labels", "draw", "system", "seed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--teacher", default="minilm", help="minilm, or NAME=FOLDER of another sentence encoder")
    parser.add_argument("--labels", type=int, default=10, help="labelled rows of each class")
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, default=1, help="students for each draw")
    options = parser.parse_args()
    teacher, _, folder = options.teacher.partition("=")
    encoder = Path(folder) if folder else minilm_folder()
    seeds = list(range(options.seeds))
    for draw in options.draws:
        for name in options.sets:
            setting, first = (Setting(name, teacher, encoder, options.labels, number) for number in (draw, 0))
            setting.write_rows(options.data)
            add(auto(setting, seeds))
            add(controls(setting, seeds, *tuned(first, options.data)))


if __name__ == "__main__":
    main()
