"""Run every method of methods.yaml as a run of its own.

    python benchmarks/generation/run.py --models MODELS --output RUNS

All use the same teacher, student before training, rows, steps, batches and seeds. Killed at any moment, the same
command goes on. Then: python benchmarks/generation/tables.py RUNS
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="what models.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--methods", nargs="+", help="some of them; default: all")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    text = (Path(__file__).parent / "methods.yaml").read_text(encoding="utf-8")
    plan = yaml.safe_load(text.replace("MODELS", str(args.models.resolve())))
    for name, recipe in plan["methods"].items():
        if args.methods and name not in args.methods:
            continue
        folder = args.output / name
        run_file = args.output / f"{name}.yaml"
        run_file.write_text(yaml.safe_dump({**plan["run"], "recipe": recipe, "output": str(folder)}), encoding="utf-8")
        command = [sys.executable, "-m", "limbeck", "distill", str(run_file)]
        for setting in args.settings:
            command += ["--set", setting]
        print(name, flush=True)
        with (args.output / f"{name}.log").open("a", encoding="utf-8") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env=environment)


if __name__ == "__main__":
    main()
