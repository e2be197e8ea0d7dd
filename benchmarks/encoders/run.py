"""Every encoder method on the same fine-tuned teacher, rows and start: at equal steps, and at equal time.

    python benchmarks/data.py DATA --for encoders
    python benchmarks/encoders/run.py DATA --teacher mpnet=FOLDER            # all sets and sizes: many hours on a CPU
    python benchmarks/encoders/run.py DATA --teacher minilm --sets trec --students half --seeds 1
    python benchmarks/encoders/tables.py runs/encoders/figures.jsonl

For every set there is a teacher, fine-tuned at the best of three learning rates by development rows. For every size of
student there is a run in which each method of methods.yaml begins as the same layers of this teacher, and has the same
steps, rates to try, development rows and seeds. Then each method is trained again, at its best rate, for as many steps
as fit in the CPU time that ``kd`` took. Only students are timed: the teacher's outputs are computed once, for all
methods.
Figures of runs that are done are added to ``runs/encoders/figures.jsonl``; a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sets import SETS, split

from limbeck.atomic import write_text
from limbeck.demo.setting import minilm_folder
from limbeck.results.read import read_results
from limbeck.results.record import Results
from limbeck.results.sections import Search

FOLDER = Path("runs/encoders")
METHODS = Path(__file__).with_name("methods.yaml")
REFERENCE = "kd"
DEPTHS = {"half": 2, "third": 3}
"""The teacher's layers are divided by this."""
TEACHER_RATES = [2e-5, 5e-5, 1e-4]
STUDENT_RATES = [5e-5, 1.5e-4, 5e-4]
LEAST_STEPS = 10

Line = dict[str, Any]


class Setting:
    """A set, a pretrained encoder, and the options of the command line."""

    def __init__(self, name: str, teacher: str, encoder: Path, options: argparse.Namespace) -> None:
        self.name, self.teacher, self.encoder, self.options = name, teacher, encoder, options
        self.folder = FOLDER / f"{name}-{teacher}"

    def write_rows(self) -> None:
        """Write a file for each part of the rows."""
        rows = split(self.options.data, self.name, self.options.rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in ("train", "dev", "test"):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in getattr(rows, part))
            write_text(self.folder / f"{part}.jsonl", lines)

    def run_file(self, sections: dict[str, Any], **training: Any) -> dict[str, Any]:
        """Return a run file with what all runs of the set share."""
        shared = {
            "max_length": SETS[self.name].max_length,
            "num_train_epochs": self.options.epochs,
            "batch_size": 32,
            "freeze_word_embeddings": True,
            "checkpoints": 2,
        }
        return {
            "task": SETS[self.name].task,
            "data": {part: str(self.folder / f"{part}.jsonl") for part in ("train", "dev", "test")},
            "training": {**shared, **training},
            "simple_baselines": False,
            "speed": False,
            "baselines": [],
            **sections,
        }

    def distill(self, name: str, run: dict[str, Any]) -> Results:
        """Run a run file in a process of its own, unless it is done."""
        output = self.folder / name
        if not (output / "results.json").exists():
            output.parent.mkdir(parents=True, exist_ok=True)
            path = output.with_name(f"{output.name}.yaml")
            write_text(path, yaml.safe_dump({**run, "output": str(output)}, sort_keys=False))
            subprocess.run([sys.executable, "-m", "limbeck", "distill", str(path)], check=True)
        return read_results(output)


def fine_tuned_teacher(setting: Setting) -> Path:
    """Fine-tune the encoder: a run whose student is the whole of it, and that reads labels alone."""
    run = setting.run_file(
        {
            "teacher": {"labels_from": "label"},  # a run has a teacher; this recipe does not read it
            "student": {"model": str(setting.encoder)},
            "recipe": "fine_tune",
            "search": {"learning_rate": TEACHER_RATES},
        }
    )
    results = setting.distill("teacher", run)
    accuracy = results.figure("distilled", "accuracy")
    assert accuracy is not None
    _add([_line(setting, "teacher", "steps", "teacher", results, ("distilled", seed)) for seed in accuracy.seeds])
    return setting.folder / "teacher" / "student"


def student_section(teacher: Path, size: str) -> dict[str, Any]:
    """Return which of the teacher's layers a student of this size begins as."""
    config = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    return {"from_teacher": {"layers": "uniform", "keep": config["num_hidden_layers"] // DEPTHS[size]}}


def at_equal_steps(setting: Setting, teacher: Path, size: str, methods: dict[str, dict[str, Any]]) -> Results:
    """Train all methods in one run."""
    first, *others = [{"name": name, **arguments} for name, arguments in methods.items()]
    assert first["name"] == REFERENCE
    run = setting.run_file(
        {
            "teacher": {"model": str(teacher)},
            "student": student_section(teacher, size),
            "recipe": first,
            "baselines": others,
            "simple_baselines": True,
            "search": {"learning_rate": STUDENT_RATES},
            "seeds": list(range(setting.options.seeds)),
        }
    )
    results = setting.distill(f"{size}/steps", run)
    systems = {name: "distilled" if name == REFERENCE else name for name in methods}
    systems |= {name: name for name in ("student_init", "tfidf")}
    found = []
    for name, system in systems.items():
        accuracy = results.figure(system, "accuracy")
        for seed in accuracy.seeds if accuracy is not None else ():
            found.append(_line(setting, size, "steps", name, results, (system, seed)))
    _add(found)
    return results


def steps_in_equal_time(results: Results, methods: list[str]) -> dict[str, int]:
    """Return the steps of each method that take as long as all of those of `REFERENCE`, and at least `LEAST_STEPS`."""
    spent: dict[str, tuple[float, int]] = {}
    for name in methods:
        system = "distilled" if name == REFERENCE else name
        costs = [cost for cost in results.costs if cost.system == system and cost.steps]
        spent[name] = sum(cost.cpu_seconds or cost.seconds for cost in costs), sum(cost.steps for cost in costs)
    each = spent[REFERENCE][0] / len(results.run.seeds)
    return {name: max(LEAST_STEPS, round(each * steps / took)) for name, (took, steps) in spent.items()}


def at_equal_time(setting: Setting, teacher: Path, size: str, methods: dict[str, dict[str, Any]]) -> None:
    """Train each method again, for the time that the reference took, at the rate that was best for it."""
    equal = read_results(setting.folder / size / "steps")
    steps, searched = steps_in_equal_time(equal, list(methods)), equal.section(Search)
    assert searched is not None
    for name, arguments in methods.items():
        if name == REFERENCE:
            continue
        (rate,) = [t.settings["learning_rate"] for t in searched.trials if t.chosen and t.system == name]
        run = setting.run_file(
            {
                "teacher": {"model": str(teacher)},
                "student": student_section(teacher, size),
                "recipe": {"name": name, **arguments},
                "seeds": list(range(setting.options.seeds)),
            },
            max_steps=steps[name],
            learning_rate=rate,
        )
        results = setting.distill(f"{size}/time-{name}", run)
        accuracy = results.figure("distilled", "accuracy")
        assert accuracy is not None
        _add([_line(setting, size, "time", name, results, ("distilled", seed)) for seed in accuracy.seeds])


def _line(setting: Setting, size: str, budget: str, method: str, results: Results, of: tuple[str, int | str]) -> Line:
    """Return the figures of one system and seed; ``right`` has a bit for each held-out row."""
    system, seed = of[0], int(of[1])
    figure = results.figure(system, "accuracy")
    assert figure is not None
    output = setting.folder / ("teacher" if method == "teacher" else f"{size}/{budget}")
    output = output if budget == "steps" else setting.folder / size / f"time-{method}"
    gold = [json.loads(line)["label"] for line in (setting.folder / "test.jsonl").read_text("utf-8").splitlines()]
    simple = output / "simple_baselines" / f"{system}.npy"
    logits_NC = np.load(
        simple if simple.exists() else output / "predictions" / f"{system}-seed{seed}.npy", allow_pickle=False
    )
    labels = sorted(set(gold))
    right_N = logits_NC.argmax(axis=-1) == [labels.index(label) for label in gold]
    costs = [cost for cost in results.costs if (cost.system, cost.seed) == (system, seed)]
    return {
        "set": setting.name,
        "teacher": setting.teacher,
        "student": size,
        "budget": budget,
        "method": method,
        "seed": seed,
        "accuracy": float(right_N.mean()),
        "steps": sum(cost.steps for cost in costs),
        "cpu_seconds": round(sum(cost.cpu_seconds or cost.seconds for cost in costs), 1),
        "rows": len(gold),
        "right": base64.b64encode(np.packbits(right_N).tobytes()).decode("ascii"),
    }


def _add(found: list[Line]) -> None:
    """Put figures into the file, in place of those of the same systems and seeds."""
    path = FOLDER / "figures.jsonl"
    kept = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    lines = {tuple(list(one.values())[:6]): one for one in [*kept, *found]}
    write_text(path, "".join(json.dumps(one) + "\n" for one in lines.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the sets")
    parser.add_argument("--teacher", default="minilm", help="minilm, or NAME=FOLDER of another pretrained encoder")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--students", nargs="+", choices=DEPTHS, default=list(DEPTHS))
    parser.add_argument("--methods", nargs="+", help="some of methods.yaml, kd among them; default: all")
    parser.add_argument("--rows", type=int, default=12_000, help="most training and development rows")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    methods = yaml.safe_load(METHODS.read_text(encoding="utf-8"))
    methods = {name: methods[name] for name in methods if options.methods is None or name in options.methods}
    teacher, _, folder = options.teacher.partition("=")
    for name in options.sets:
        setting = Setting(name, teacher, Path(folder) if folder else minilm_folder(), options)
        setting.write_rows()
        fine_tuned = fine_tuned_teacher(setting)
        for size in options.students:
            at_equal_steps(setting, fine_tuned, size, methods)
            at_equal_time(setting, fine_tuned, size, methods)


if __name__ == "__main__":
    main()
