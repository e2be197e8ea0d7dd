"""A student's memory in a run: the teacher's embeddings and answers of training rows, and how they are looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.scored import encode_for
from limbeck.evaluation.retrieval import best_retrieval
from limbeck.models.layers import depth
from limbeck.models.retrieval_memory import Memory, Retrieval
from limbeck.results.sections import RetrievalMemory
from limbeck.stages.memory_entries import memory_entries
from limbeck.tasks.baselines import MAIN
from limbeck.tasks.classification.calibrate import dev_labels
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.kept import kept, kept_array
from limbeck.tasks.task import System
from limbeck.types import Teacher

__all__ = ["give_memory", "memory_section"]


def give_memory(context: Context, system: System, seed: int, model: Any, signals: Teacher) -> None:
    """Let a trained student look up training rows when it answers, if its recipe says so.

    Entries and settings are kept in the run folder.

    Args:
        context: of the run.
        system: that the student is of.
        seed: of its training.
        model: the student.
        signals: the teacher's logits and [CLS] states of the training rows.

    Raises:
        ConfigError: no stage of the recipe has trained the map of the teacher's embeddings.
    """
    retrieval = context.config.recipes()[system.name].build().retrieval
    if retrieval is None:
        return
    teacher, name = context.teacher, f"predictions/{system.name}-seed{seed}-memory"
    assert isinstance(teacher, ModelTeacher), "see capabilities"

    def entries() -> NDArray[np.float32]:
        return memory_entries(
            signals,
            layer=depth(teacher.model),
            stages=[context.folder / "stages" / planned.folder for planned in system.stages],
            rows=len(context.rows.train),
            make_batch=context.batch_maker(context.train, teacher.train),
            progress=context.progress,
        )

    found = kept_array(context.folder, f"{name}.npy", entries, context.progress)
    memory = Memory.of(found, len(context.rows.labels), retrieval)
    if context.rows.dev is not None:
        settings = kept(
            context.folder,
            f"{name}.json",
            make=lambda: _chosen(context, memory, model).model_dump_json().encode(),
            read=lambda path: Retrieval.model_validate_json(path.read_bytes()),
            progress=context.progress,
        )
        memory = Memory.of(found, len(context.rows.labels), settings)
    model.retrieval_memory = context.memories[system.name, seed] = memory


def _chosen(context: Context, memory: Memory, model: Any) -> Retrieval:
    """Return the settings that do best on the development rows."""
    dev = context.rows.dev
    assert dev is not None
    encoded = encode_for(model, dev, context.tokenizer, context.max_length)
    return best_retrieval(model, memory, encoded, dev_labels(dev, context.rows.labels)[0])


def memory_section(context: Context) -> RetrievalMemory | None:
    """Return what the exported student looks up; ``None`` if it does not."""
    memory = context.memories.get((MAIN, context.config.seeds[0]))
    if memory is None:
        return None
    dev = 0 if context.rows.dev is None else int((dev_labels(context.rows.dev, context.rows.labels)[0] >= 0).sum())
    return RetrievalMemory(rows=len(memory.keys_ND), chosen_on=dev, **memory.settings.model_dump())
