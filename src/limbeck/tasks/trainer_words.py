"""Our names for settings of the Hugging Face trainer and its example scripts, and for what else others call a key."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

__all__ = ["word_here"]

_BATCH = "training.batch_size, the rows of an optimiser step over all devices"
_MICRO = "training.micro_batch_size, the rows of one forward pass on one device, into which a step's rows are split"
_STEPS = "training.max_steps"
_LENGTH = "training.max_length"
_SCHEDULE = "training.schedule: linear, cosine or constant"
_WARMUP = "training.warmup_ratio, a share of the steps"
_CHECKPOINTS = "training.checkpoints, the number of them in a stage"
_STOPPING = "training.early_stopping"
_GOES_ON = "nothing: the same command resumes an interrupted run"
_COLUMN = "teacher.labels_from, the field of the rows with the teacher's labels"
_TRAIN, _TEST = "data.train: files, folders of them, or hub:org/name", "data.test, the held-out rows"
_WORDS = {
    "per_device_train_batch_size": f"{_MICRO}; and {_BATCH}",
    "per_gpu_train_batch_size": f"{_MICRO}; and {_BATCH}",
    "train_batch_size": _BATCH,
    "gradient_accumulation_steps": _MICRO,
    "num_train_epochs": "training.num_train_epochs",
    "epochs": "training.num_train_epochs",
    "num_epochs": "training.num_train_epochs",
    "steps": _STEPS,
    "max_steps": _STEPS,
    "max_train_steps": _STEPS,
    "lr": "training.learning_rate",
    "lr_scheduler_type": _SCHEDULE,
    "lr_scheduler": _SCHEDULE,
    "scheduler": _SCHEDULE,
    "warmup_ratio": _WARMUP,
    "warmup_proportion": _WARMUP,
    "warmup_steps": _WARMUP,
    "num_warmup_steps": _WARMUP,
    "fp16": "training.precision: fp16",
    "bf16": "training.precision: bf16",
    "mixed_precision": "training.precision: float32, bf16 or fp16",
    "torch_dtype": "training.precision: float32, bf16 or fp16",
    "optim": "training.optim: adamw or sgd",
    "optimizer": "training.optim: adamw or sgd",
    "optimiser": "training.optim: adamw or sgd",
    "max_seq_length": _LENGTH,
    "max_seq_len": _LENGTH,
    "model_max_length": _LENGTH,
    "cutoff_len": _LENGTH,
    "block_size": _LENGTH,
    "logging_steps": "training.log_every",
    "save_steps": _CHECKPOINTS,
    "save_total_limit": _CHECKPOINTS,
    "eval_steps": f"{_STOPPING}.eval_steps",
    "early_stopping_patience": f"{_STOPPING}.early_stopping_patience",
    "load_best_model_at_end": f"{_STOPPING}: every stage then ends with its best weights",
    "metric_for_best_model": f"{_STOPPING}.metric_for_best_model: loss or accuracy, for classifiers",
    "output_dir": "output",
    "overwrite_output_dir": "nothing: give another folder as output",
    "resume_from_checkpoint": _GOES_ON,
    "seed": "seeds, a list",
    "train_file": _TRAIN,
    "train_data": _TRAIN,
    "train_dataset": _TRAIN,
    "dataset": _TRAIN,
    "dataset_name": _TRAIN,
    "test_file": _TEST,
    "test_data": _TEST,
    "validation_file": _TEST,
    "eval_file": _TEST,
    "eval_dataset": _TEST,
    "text_column": "task.text, the field with the text",
    "text_column_name": "task.text, the field with the text",
    "label_column": "task.label, the field with the label",
    "label_column_name": "task.label, the field with the label",
    "model_name": "student.model (the large model is teacher.model)",
    "model_name_or_path": "student.model (the large model is teacher.model)",
    "student_model": "student.model",
    "student_name_or_path": "student.model",
    "student_model_name_or_path": "student.model",
    "column": _COLUMN,
    "label_from": _COLUMN,
    "teacher_column": _COLUMN,
    "teacher_label": _COLUMN,
    "teacher_label_column": _COLUMN,
    "soft_label_column": _COLUMN,
    "teacher_model": "teacher.model",
    "teacher_name_or_path": "teacher.model",
    "teacher_model_name_or_path": "teacher.model",
}  # fmt: skip


def word_here(word: str, model: type[BaseModel]) -> str:
    """Return what to write instead of `word` in a file of shape `model`; empty without advice.

    A setting that belongs to other sections is named with these.
    """
    fields = model.model_fields
    if "training" not in fields:  # not a run file
        return ""
    if (instead := _WORDS.get(word)) is not None:
        if instead.startswith(_STOPPING) and not _stops_by(instead, fields["training"].annotation):
            return ""
        teacher = fields.get("teacher")
        if instead == _COLUMN and (teacher is None or "labels_from" not in _fields_of(teacher.annotation)):
            return ""
        return f"the word here is {_in_this_file(instead, model)}"
    places = [f"{section}.{word}" for section, field in fields.items() if word in _fields_of(field.annotation)]
    return f"did you mean {' or '.join(places)}?" if places else ""


def _stops_by(setting: str, training: object) -> bool:
    """Whether the training of a kind of run has a setting of early stopping."""
    for one in (training, *get_args(training)):
        if isinstance(one, type) and issubclass(one, BaseModel) and "early_stopping" in one.model_fields:
            known = _fields_of(one.model_fields["early_stopping"].annotation)
            name = setting.removeprefix(_STOPPING).lstrip(".").partition(":")[0]
            return not name or name in known
    return False


def _in_this_file(instead: str, model: type[BaseModel]) -> str:
    """Return the words for a run of this kind: those above are a classification run's."""
    if instead.startswith("task.") and "prompt" in _fields_of(model.model_fields["task"].annotation):
        return "task.prompt and task.completion, or task.messages, or task.text: fields of the rows"
    if "backbone" not in model.model_fields:
        return instead
    if instead.startswith("student.model") or instead == "teacher.model":
        return "backbone.model, which teacher and student start from"
    if instead == _LENGTH:
        return "backbone.max_length"
    if instead.startswith(("data.", "task.")):
        return "data.sets, each with layout and folder"
    again = " (and so for distillation and target)" if instead.startswith("training.") else ""
    return instead.replace("training.", "training.source.") + again


def _fields_of(annotation: object) -> set[str]:
    """Return the fields of a section, or of one that may be left out."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return set(one.model_fields)
    return set()
