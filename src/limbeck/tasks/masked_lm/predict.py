"""A saved masked language model: tokens for the masks of new texts, and its evaluation on held-out ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.encode import Encoded, encode_rows, token_limit
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Example
from limbeck.data.generation.task import Generation
from limbeck.data.masked.encode import encode_texts, require_maskable
from limbeck.data.masked.task import MaskedLM
from limbeck.errors import DataError
from limbeck.evaluation.masked import masked_sums, measure_masked
from limbeck.evaluation.speed import measure_speed
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.language_model import head_of, token_logits
from limbeck.models.layers import depth
from limbeck.models.load import load_masked_lm, load_tokenizer
from limbeck.models.vocabulary import align_vocabularies
from limbeck.ranks import device
from limbeck.results.record import Results, Role, System
from limbeck.students.adapters import all_parameters
from limbeck.tasks.batches import batches
from limbeck.tasks.record import Facts, assemble
from limbeck.tasks.task import predicting
from limbeck.tasks.task_file import read_task, student_max_length
from limbeck.types import LazyLogits, Progress, Rows

__all__ = ["Filler", "evaluate_masked"]

_ROWS = 16
_INSTEAD = "Losses of masked tokens can only be compared between models with the same tokens; name another model."


class Filler:
    """A masked language model, which says what could be behind the masks of a text.

    Args:
        folder: the student folder that `limbeck distill` wrote.
        task: what its texts are; ``None``: as in the folder's ``task.json``, which must then exist.

    Raises:
        ModelError: cannot be loaded, or its ``task.json`` is missing, damaged or of another kind.
    """

    def __init__(self, folder: str | Path, task: MaskedLM | None = None) -> None:
        self.task = task or read_task(folder, MaskedLM, without="max_length")
        wanted = student_max_length(folder)
        self.tokenizer = load_tokenizer(str(folder))
        require_maskable(self.tokenizer)
        self.model = load_masked_lm(str(folder))
        self.max_length = token_limit(self.tokenizer, self.model, wanted)
        self.tokens = 1 + max(self.tokenizer.get_vocab().values())
        self.model.to(device())
        self._head = head_of(self.model)

    def fill(self, texts: Iterator[Example], top: int) -> Iterator[dict[str, Any]]:
        """Yield each text with the `top` most likely tokens for each of its masks, a batch at a time.

        Raises:
            DataError: a text has no mask token, or is too long.
        """
        for batch in batches(texts, _ROWS):
            encoded = self._encoded(batch)
            for row, masks in zip(batch, self._best(encoded, top), strict=True):
                yield {"text": row.text, "masks": masks}

    def _encoded(self, texts: Sequence[Example]) -> Encoded:
        rows = Rows([row.text or "" for row in texts], None, [None] * len(texts), [row.origin for row in texts])
        encoded = encode_rows(rows, self.tokenizer, self.max_length + 1)
        for row, length in enumerate(encoded.lengths.tolist()):
            where, ids = texts[row].origin, encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]]
            if length > self.max_length:
                raise DataError(f"{where}: the text has more than the {self.max_length} tokens this student reads")
            if self.tokenizer.mask_token_id not in ids:
                raise DataError(
                    f"{where}: the text has no {self.tokenizer.mask_token}, so there is nothing to fill in. Write it "
                    "in the place of each word to predict"
                )
        return encoded

    def _best(self, encoded: Encoded, top: int) -> list[list[list[dict[str, Any]]]]:
        """Return tokens with their probabilities, best first, for each mask of each row."""
        import torch

        inputs = {
            name: tensor.to(self.model.device) for name, tensor in encoded.batch(range(len(encoded.lengths))).items()
        }
        masks_BT = inputs["input_ids"] == self.tokenizer.mask_token_id
        self.model.eval()
        with torch.no_grad():
            found = token_logits(self.model, inputs, masks_BT, self._head, self.tokens)
            logits_SV = _dense(found)
        probs_SK, ids_SK = logits_SV.float().softmax(dim=-1).topk(min(top, self.tokens), dim=-1)
        each = [
            [{"token": self.tokenizer.decode([i]).strip(), "probability": p} for i, p in zip(ids, probs, strict=True)]
            for ids, probs in zip(ids_SK.tolist(), probs_SK.tolist(), strict=True)
        ]
        remaining = iter(each)
        return [[next(remaining) for _ in range(count)] for count in masks_BT.sum(dim=1).tolist()]


def _dense(found: Any) -> Any:
    """Return logits ``[S, V]`` of a few positions."""
    if not isinstance(found, LazyLogits):
        return found.logits_SV
    logits_SV = found.hidden_SD @ found.weight_VD.T
    return logits_SV if found.bias_V is None else logits_SV + found.bias_V


def evaluate_masked(student: str, data: str, *, against: str | None, progress: Progress) -> Results:
    """Return the figures of a student on held-out texts, and of an optional second model with the same tokens.

    The masks are those of a run's report: of the same seed, in the share that the student was trained with.

    Args:
        student: the folder that `limbeck distill` wrote.
        data: texts.
        against: a masked language model, such as the teacher; then KL to it and agreement are measured too.
        progress: shows the progress.

    Raises:
        ModelError: a model cannot be loaded, or the two have other tokens.
        DataError: the texts cannot be used.
    """
    models = {"distilled": Filler(student)}
    ours = models["distilled"]
    if against is not None:
        models["teacher"] = Filler(against, ours.task)
        align_vocabularies(
            models["teacher"].tokenizer, ours.tokenizer, instead=_INSTEAD,
            teacher_rows=_rows_of_logits(models["teacher"]), student_rows=_rows_of_logits(ours),
        )  # fmt: skip
    limit = min(model.max_length for model in models.values())
    texts = load_examples(data, Generation(text=ours.task.text), split="test")
    # Weights by frequency are those of the training texts, which are not here: these texts' own come closest.
    encoded = encode_texts(texts, ours.task, ours.tokenizer, limit)
    systems, outputs = [], {}
    for name, one in models.items():
        teacher = models["teacher"].model if name == "distilled" and against is not None else None
        title = student if name == "distilled" else str(against)
        role: Role = "main" if name == "distilled" else "teacher"
        detail = f"{layers_text(depth(one.model))}, {parameters_text(all_parameters(one.model))} parameters"
        systems.append(System(name=name, title=title, role=role, detail=detail))
        with progress.track(predicting(title), len(encoded)) as update:
            sums = masked_sums(one.model, encoded, teacher=teacher, vocabulary=ours.tokens, update=update)
        outputs[name] = {0: sums}
    facts = Facts(kind=ours.task.kind, name=student, recipe="", seeds=[0], rows={"test": len(encoded.texts_read)})
    speeds = measure_speed({name: one.model for name, one in models.items()}, {}, timed=False)
    return assemble(facts, measure_masked(systems, outputs), sections=[speeds])


def _rows_of_logits(model: Filler) -> int:
    return int(model.model.get_output_embeddings().weight.shape[0])
