"""Train one student in one process and again on two ranks: ``python train_on_ranks.py FOLDER``.

A program of its own, because a rank is a process. Writes ``ranks-N-rank-R.pt`` for every rank: weights,
logged losses, and the rows of each micro-batch in the order they were served.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from conftest import tiny_classifier, tiny_task, tiny_trainer
from limbeck.losses.attribution import AttributionDistance
from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.objective import Objective
from limbeck.losses.term import WeightedTerm, bind_terms, needs_of
from limbeck.models.layers import shapes
from limbeck.recipes.distilbert import distilbert
from limbeck.recipes.kinds import for_kind
from limbeck.recipes.mixkd import mixkd
from limbeck.recipes.pkd import pkd
from limbeck.sequences.mixing import mixing_for
from limbeck.teachers.local import LocalTeacher

STEPS, BATCH_SIZE, MICRO = 6, 8, 2


class NotingTeacher(LocalTeacher):
    """Notes the rows it is asked for: those of every micro-batch, in order."""

    def signal(self, batch, needs):  # type: ignore[no-untyped-def]
        self.asked = [*getattr(self, "asked", []), batch["rows_B"].tolist()]
        return super().signal(batch, needs)


def train(folder: Path, rank: int, ranks: int, port: int) -> None:
    """Train as `rank` of `ranks` and save what came of it."""
    if ranks > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    teacher = NotingTeacher(tiny_classifier(layers=4, seed=2, scale=12.0))
    student = tiny_classifier(layers=2, seed=1)
    terms = for_kind(distilbert(), "classification").stages[0].terms + pkd(hint_weight=10.0).stages[0].terms[2:]
    mapped = HiddenStates("nearest", layer_norm=True, projected=True)  # with parameters of its own
    terms += (WeightedTerm("states", mapped), WeightedTerm("attention", AttentionMSE()))
    terms += (*mixkd().stages[0].terms[2:], WeightedTerm("attribution", AttributionDistance(2)))
    trainer = tiny_trainer(
        Objective(student, bind_terms(terms, shapes(teacher.model, student))),
        tiny_task(20, labelled=0.5),
        teacher,
        folder / f"{ranks}-{rank}",
        steps=STEPS,
        batch_size=BATCH_SIZE,
        micro=MICRO,
        ranks=ranks,
        writer=mixing_for(needs_of(terms), 0),
        ddp_backend="gloo" if ranks > 1 else None,
    )
    trainer.train()
    assert trainer.args.world_size == ranks
    logged = [
        {k: v for k, v in line.items() if k == "loss" or k.startswith("term/")} for line in trainer.state.log_history
    ]
    outcome = {"weights": student.state_dict(), "logged": [line for line in logged if line], "rows": teacher.asked}
    torch.save(outcome, folder / f"ranks-{ranks}-rank-{rank}.pt")


def main() -> None:
    folder = Path(sys.argv[1])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    # A fork has what is imported by now, which saves most of the time.
    importlib.import_module("limbeck.stages.callbacks")
    tiny_classifier()
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    processes = []
    for rank, ranks in [(0, 1), (0, 2), (1, 2)]:
        (folder / f"{ranks}-{rank}").mkdir()
        processes.append(context.Process(target=train, args=(folder, rank, ranks, port)))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
