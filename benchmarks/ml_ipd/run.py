"""Run one of this folder's experiments, its seeds side by side, and join them into one report.

    python benchmarks/ml_ipd/run.py topics --data DATA --backbone FOLDER --output RUNS --processes 2

Each seed is a run of its own (``limbeck distill`` with one seed, in a process of one thread), so they can
share a machine's cores. At the end the stages and scores of all seeds are put into one run folder, where
``limbeck distill`` with all seeds finds them done and compares the systems. Killed at any moment, the same
command goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", help="name of a .yaml file beside this one")
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--backbone", type=Path, required=True, help="what backbone.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    joint = args.output / args.experiment
    run_file = args.output / f"{args.experiment}.yaml"
    text = (HERE / f"{args.experiment}.yaml").read_text(encoding="utf-8")
    for name, value in (("DATA", args.data), ("BACKBONE", args.backbone), ("OUTPUT", joint)):
        text = text.replace(name, str(value.resolve()))
    run_file.write_text(text, encoding="utf-8")

    def distill(seeds: list[int], folder: Path) -> None:
        settings = [f"seeds={seeds}", f"output={folder}", *args.settings]
        command = [sys.executable, "-m", "limbeck", "distill", str(run_file)]
        for setting in settings:
            command += ["--set", setting]
        with (args.output / f"{folder.name}.log").open("a", encoding="utf-8") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT, env=environment)

    parts = {seed: args.output / f"{args.experiment}-seed{seed}" for seed in args.seeds}
    with ThreadPoolExecutor(args.processes) as pool:
        for done in [pool.submit(distill, [seed], folder) for seed, folder in parts.items()]:
            done.result()
    for folder in parts.values():
        for kind in ("stages", "predictions"):
            shutil.copytree(folder / kind, joint / kind, dirs_exist_ok=True)
    logs = [(folder / "log.jsonl").read_text(encoding="utf-8") for folder in parts.values()]
    (joint / "log.jsonl").write_text("".join(logs), encoding="utf-8")
    distill(args.seeds, joint)


if __name__ == "__main__":
    main()
