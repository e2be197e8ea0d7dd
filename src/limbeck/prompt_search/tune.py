"""The flow of ``limbeck prompts tune``: rows, candidates, measurements that survive a kill, choice, report."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json, write_text
from limbeck.data.load import Fields, load_rows
from limbeck.data.prompts.label_prompt import LabelPrompt, check_prompt, save_prompt
from limbeck.data.prompts.sandbox import folded, slots_of
from limbeck.data.tasks import label_ids, labels_in
from limbeck.errors import ConfigError, DataError
from limbeck.intact import Damage, open_seal, seal
from limbeck.prompt_search.config import SearchSpace, TuneConfig
from limbeck.prompt_search.demonstrations import demonstration_sets, in_order
from limbeck.prompt_search.halving import Choice, Measured, Rung, choose, rung_sizes, successive_halving
from limbeck.prompt_search.objective import Score, score_prompt
from limbeck.prompt_search.paraphrases import paraphrase
from limbeck.prompt_search.report import as_markdown
from limbeck.prompt_search.scorers import Scorer, make_scorer, rows_hash
from limbeck.prompt_search.space import Candidate, PromptSpace
from limbeck.runs.folder import hold
from limbeck.tasks.classification.asked_labels import is_readable
from limbeck.tasks.classification.pilot import ONE_ANSWER
from limbeck.tasks.classification.prompted_teacher import Row, rows_for_prompts
from limbeck.tasks.run_config import Sources
from limbeck.teachers.labels.asked import CACHED_SAMPLES
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Progress, Rows, SilentProgress

__all__ = ["Tuned", "tune_prompt"]

_POOL_SHARE = 0.6
_FEWEST_DEV_ROWS = 8
_FEWEST_TO_CHOOSE_BY = 2


@dataclass(frozen=True)
class Tuned:
    """The result of a search."""

    choice: Choice
    file: Path
    """The frozen prompt."""
    order_mean: float | None
    """Mean objective of the chosen prompt over the orders of its demonstrations; ``None`` with fewer than two."""
    order_sd: float | None


def tune_prompt(config: TuneConfig, progress: Progress | None = None) -> Tuned:
    """Search for a prompt, freeze it, and write the report; a killed search resumes where it ended.

    Only development rows and pool are read.

    Raises:
        ConfigError: the prompt does not fit the task or the teacher.
        DataError: rows cannot be read, or too few are labelled.
        TeacherError: the API cannot be used.
        RunFolderError: another process works in the output folder.
    """
    progress = progress or SilentProgress()
    folder = Path(config.output)
    config = config.model_copy(update={"prompt": config.prompt.described(config.task.descriptions)})
    dev, pool, labels = _read_rows(config)
    check_prompt(config.prompt, labels, dev.rows[0].keys())
    with hold(folder):
        scorer = make_scorer(config.teacher, folder)
        config = config.model_copy(update={"prompt": scorer.dated(config.prompt, folder)})
        space, notes = _space(config, dev, pool, labels, scorer, folder)
        candidates = space.draw(config.search.configurations, config.search.seed)
        context = _Context(
            scorer, dev.rows, dev.gold, labels, folder, [used for _, used in rung_sizes(32, len(dev.rows))], progress
        )
        total = sum(count for count, _ in rung_sizes(len(candidates), len(dev.rows)))
        with progress.track("prompts", total) as update:

            def measure(candidate: Candidate, used: int) -> Score | None:
                score = context.measure(candidate.prompt, used)
                update(1, f"{candidate.what}: {score.objective:.3f}" if score else "too long")
                return score

            rungs = successive_halving(candidates, len(dev.rows), measure)
        if rungs[-1].measured[0].score is None:
            assert context.refused is not None
            raise context.refused
        choice = choose(rungs)
        by_order = _by_order(choice, context, config.search)
        file = folder / "prompt.json"
        save_prompt(choice.chosen.candidate.prompt, file)
        mean, sd = _mean_sd(by_order)
        if context.cached:
            notes.append(ONE_ANSWER)
        _write_report(folder, choice, rungs, by_order, notes, scorer.identity, len(pool.rows))
        return Tuned(choice, file, mean, sd)


@dataclass(frozen=True)
class _Labelled:
    rows: list[Row]
    names: list[str]
    gold: NDArray[np.int64]


def _read_rows(config: TuneConfig) -> tuple[_Labelled, _Labelled, list[str]]:
    """Return development rows with the labels spread evenly over their order, the pool, and the labels."""
    task = config.task
    fields = Fields(task.text, task.text_pair, task.label)
    dev = _labelled_part(load_rows(_sources(config.data.dev), fields, labels=task.labels, split="validation").rows)
    labels = task.labels or labels_in(dev)
    if config.data.pool is not None:
        pool = _labelled_part(load_rows(_sources(config.data.pool), fields, labels=labels).rows)
    else:
        order = _spread(dev, salt="pool")
        cut = round(_POOL_SHARE * len(order))
        pool, dev = dev.take(sorted(order[:cut])), dev.take(sorted(order[cut:]))
    if len(dev) < _FEWEST_DEV_ROWS:
        raise DataError(
            f"{len(dev)} labelled development rows are left to measure prompts on; expected {_FEWEST_DEV_ROWS} or "
            "more, ideally 100. Add labelled rows to data.dev, or name other rows as data.pool"
        )
    dev = dev.take(_spread(dev, salt="dev"))
    seen = {folded(text) for text in dev.text}
    pool = pool.take([i for i, text in enumerate(pool.text) if folded(text) not in seen])
    parts = [
        _Labelled(rows_for_prompts(part, task), [str(label) for label in part.label], label_ids(part, labels))
        for part in (dev, pool)
    ]
    return parts[0], parts[1], labels


def _sources(given: Sources) -> list[str | Path]:
    return [given] if isinstance(given, str) else list(given)


def _labelled_part(rows: Rows) -> Rows:
    return rows.take([i for i, label in enumerate(rows.label) if label is not None])


def _spread(rows: Rows, salt: str) -> list[int]:
    """Return row numbers in hash order, the labels taking turns in proportion."""
    hashes = [hashlib.sha256(f"{salt}\n{text}".encode("utf-8", "surrogatepass")).digest() for text in rows.text]
    of_label: dict[str | None, list[int]] = {}
    for i in sorted(range(len(rows)), key=hashes.__getitem__):
        of_label.setdefault(rows.label[i], []).append(i)
    placed = [
        ((rank + 0.5) / len(members), hashes[i], i) for members in of_label.values() for rank, i in enumerate(members)
    ]
    return [i for _, _, i in sorted(placed)]


def _space(
    config: TuneConfig, dev: _Labelled, pool: _Labelled, labels: list[str], scorer: Scorer, folder: Path
) -> tuple[PromptSpace, list[str]]:
    search, prompt = config.search, config.prompt
    notes: list[str] = []
    if isinstance(search.paraphrases, list):
        instructions = search.paraphrases
        for wording in instructions:
            LabelPrompt.model_validate({**prompt.model_dump(), "instruction": wording})
    else:
        instructions, left_out = _written(prompt, search, labels, scorer, folder)
        if len(instructions) < search.paraphrases:
            notes.append(
                f"The teacher wrote {len(instructions)} usable wordings of {search.paraphrases} wanted; "
                f"{left_out} of its answers lost the labels, copied the instruction or were too long."
            )
    slots = slots_of(prompt.input) - {"labels"}
    sets = []
    if prompt.format in ("none", "label"):
        shown = [{slot: row[slot] for slot in slots} for row in pool.rows]
        texts = [row[prompt.body] for row in dev.rows]
        sets = demonstration_sets(shown, pool.names, texts, labels, search.per_class, body=prompt.body)
    else:
        notes.append(
            f"Format {prompt.format} shows rationales, which rows do not have: demonstrations were not searched."
        )
    space = PromptSpace(prompt, tuple(labels), tuple(instructions), tuple(search.keywords), tuple(sets), search.orders)
    return space, notes


def _written(
    prompt: LabelPrompt, search: SearchSpace, labels: list[str], scorer: Scorer, folder: Path
) -> tuple[list[str], int]:
    """Return the teacher's wordings; they are kept on disk because sampling again might differ."""
    assert isinstance(search.paraphrases, int)
    key = _digest(prompt.instruction, search.paraphrases, search.seed, labels, scorer.identity)
    file = folder / "wordings.json"
    with contextlib.suppress(Damage, KeyError):  # missing or damaged: ask again
        if (known := open_seal(file, None))["key"] == key:
            return known["wordings"], known["left_out"]
    wordings, left_out = paraphrase(
        prompt.instruction, search.paraphrases, labels, lambda request, n: scorer.write(request, n, search.seed)
    )
    seal(file, {"key": key, "wordings": wordings, "left_out": left_out}, None)
    return wordings, left_out


class _Context:
    """Measures prompts on the first rows; answers are saved to disk before they are used."""

    def __init__(
        self,
        scorer: Scorer,
        rows: Sequence[Row],
        gold_N: NDArray[np.int64],
        labels: Sequence[str],
        folder: Path,
        sizes: Sequence[int],
        progress: Progress,
    ) -> None:
        self._progress = progress
        self._scorer, self._rows, self._gold_N, self._labels = scorer, rows, gold_N, labels
        self._folder = folder / "scores"
        self._folder.mkdir(exist_ok=True)
        self._borders = [0, *sorted(set(sizes))]
        self.refused: ConfigError | None = None
        """Why the teacher last failed to read a prompt."""
        self.cached = False
        """Whether all samples of some row gave the same answer."""

    def measure(self, prompt: LabelPrompt, used: int) -> Score | None:
        """Return a prompt's figures on the first `used` rows; ``None``: the teacher cannot read it."""
        parts = []
        try:
            for start, stop in zip(self._borders, self._borders[1:], strict=False):
                if stop <= used:
                    parts.append(self._answers(prompt, self._rows[start:stop]))
            tokens_N = np.array(self._scorer.tokens(prompt, self._rows[:used], self._labels), dtype=np.int64)
        except ConfigError as error:
            self.refused = error
            return None
        self.cached |= any(CACHED_SAMPLES in flags for part in parts for flags in part.flags)
        return score_prompt(_joined(parts), self._gold_N[:used], tokens_N)

    def _answers(self, prompt: LabelPrompt, rows: Sequence[Row]) -> LabelProbs:
        key = _digest(prompt.hash, rows_hash(rows), list(self._labels), self._scorer.identity)
        folder = self._folder / key[:32]
        if folder.exists() and is_readable(folder, self._progress):
            return LabelProbs.load(folder)
        found = self._scorer.answers(prompt, rows, self._labels, None)
        found.save(folder)
        return found


def _joined(parts: Sequence[LabelProbs]) -> LabelProbs:
    return replace(
        parts[0],
        probs_NC=np.concatenate([part.probs_NC for part in parts]),
        raw_NC=np.concatenate([part.raw_NC for part in parts]),
        kept_N=np.concatenate([part.kept_N for part in parts]),
        flags=tuple(flags for part in parts for flags in part.flags),
    )


def _by_order(choice: Choice, context: _Context, search: SearchSpace) -> list[float]:
    """Return the chosen prompt's objective in each order of its demonstrations, on all rows."""
    prompt, score = choice.chosen.candidate.prompt, choice.chosen.score
    if len(prompt.demonstrations) < 2 or search.orders < 2 or score is None:
        return []
    found = [score.objective]
    for order in range(1, search.orders):
        turned = prompt.model_copy(update={"demonstrations": in_order(prompt.demonstrations, order)})
        other = context.measure(turned, score.rows)
        assert other is not None, "a prompt in another order has the same tokens"
        found.append(other.objective)
    return found


def _mean_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    if len(values) < _FEWEST_TO_CHOOSE_BY:
        return None, None
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _write_report(
    folder: Path,
    choice: Choice,
    rungs: Sequence[Rung],
    by_order: Sequence[float],
    notes: Sequence[str],
    teacher: str,
    pool_rows: int,
) -> None:
    def plain(one: Measured) -> dict[str, Any]:
        return {
            "what": one.candidate.what,
            "hash": one.candidate.prompt.hash,
            "score": None if one.score is None else asdict(one.score),
        }

    mean, sd = _mean_sd(by_order)
    content = {
        "chosen": plain(choice.chosen),
        "default": plain(choice.default),
        "best_of_the_search": plain(choice.best),
        "why": choice.why,
        "demonstration_orders": {"objectives": list(by_order), "mean": mean, "sd": sd},
        "rungs": [{"rows": rung.rows, "measured": [plain(one) for one in rung.measured]} for rung in rungs],
        "pool_rows": pool_rows,
        "notes": list(notes),
        "teacher": teacher,
    }
    write_json(folder / "tuning.json", content)
    write_text(folder / "tuning.md", as_markdown(choice, rungs, mean, sd, notes))


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
