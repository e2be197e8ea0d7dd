"""The memory plan of a classification run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.data.encode import token_limit
from limbeck.data.prompts.scored import encode_for
from limbeck.errors import ConfigError
from limbeck.models.load import load_tokenizer
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.config import Member
from limbeck.tasks.classification.ensemble.members import only_probes
from limbeck.tasks.classification.outer import outer_of
from limbeck.tasks.classification.rows import RunRows, read_rows, require_labels
from limbeck.tasks.classification.signals import teacher_runs_along
from limbeck.tasks.classification.simple_baselines import pretrained_encoder
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.new_student import student_tokenizer
from limbeck.tasks.step_plan import PlannedMember, PlannedRun, plan_steps

__all__ = ["plan_memory"]

_PROMPTED = "The prompted teacher labels the rows before the student is trained; its memory is not included."


def plan_memory(config: RunConfig, *, available: float | None = None) -> MemoryPlan:
    """Return the memory that each part of a run needs on its device, and what to change.

    Args:
        config: the run.
        available: available bytes; ``None``: those of the device.

    Raises:
        LimbeckError: rows, tokenizers or configurations cannot be used.
    """
    if config.student.head == "verbaliser":
        raise ConfigError("limbeck plan is for students with a linear head; one that answers in words needs more")
    for named in config.recipes().values():
        if outer_of(named.build().stages) is not None:
            raise ConfigError(
                f"limbeck plan traces a step of the student, and recipe '{named.name}' goes through its gradient as "
                "well: count on four times the memory of pkd, and on a second teacher with gradients and AdamW"
            )
    rows, section = read_rows(config), config.teacher
    require_labels(config, rows)
    encoder, of_teacher = pretrained_encoder(config), None
    if section.is_classifier:
        assert section.model is not None
        of_teacher = load_tokenizer(section.model, trust_remote_code=section.trust_remote_code)
    tokenizer = student_tokenizer(config.student, of_teacher)

    def longest(teacher: Any, student: Any) -> tuple[int, int]:
        wanted = config.training.max_length
        limits = [token_limit(tokenizer, student, wanted)]
        limits += [token_limit(of_teacher, teacher, wanted)] if of_teacher is not None else []
        train, test = (encode_for(student, part, tokenizer, min(limits)) for part in (rows.train, rows.test))
        return int(train.lengths.max()), int(test.lengths.max())

    sizes = {"rows": len(rows.train), "classes": len(rows.labels)}
    run = PlannedRun(
        config,
        rows.labels,
        teacher=section.model if section.is_classifier else None,
        held_out=len(rows.test),
        tokenizer=tokenizer,
        longest=longest,
        runs_along=lambda pair: teacher_runs_along(all_stages(config.recipes()), pair, **sizes),
        members=tuple(_members(config, rows)),
        frozen=None if not config.simple_baselines or isinstance(encoder, str) else encoder,
        notes=(_PROMPTED,) if section.asked is not None and section.asked.model is not None else (),
    )
    return plan_steps(run, available)


def _members(config: RunConfig, rows: RunRows) -> Iterator[PlannedMember]:
    """Yield the models of an ensemble teacher; equal ones need the same memory and are planned once."""
    ensemble = config.teacher.ensemble
    found = [] if ensemble is None else [member for member in ensemble.members if member.training is not None]
    for member in {member.model_dump_json(): member for member in found}.values():
        yield _planned(config, member, rows)


def _planned(config: RunConfig, member: Member, rows: RunRows) -> PlannedMember:
    assert member.training is not None
    wanted = member.training.max_length or config.training.max_length

    def longest(model: Any) -> int:
        tokenizer = load_tokenizer(str(member.model), trust_remote_code=member.trust_remote_code)
        encoded = encode_for(model, rows.train, tokenizer, token_limit(tokenizer, model, wanted))
        return int(encoded.lengths.max())

    return PlannedMember(member, longest, trains=not only_probes(member))
