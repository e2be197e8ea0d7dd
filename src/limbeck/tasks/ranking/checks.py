"""Find the usual reasons for a bad cross-lingual run before the money is spent.

Each check answers one question about the run and returns findings; nothing is trained or written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from limbeck.data.candidates import CandidateEncoder, EncodedRecords, ScorerKind
from limbeck.data.instructions.make import digest
from limbeck.data.instructions.translation import ENGLISH
from limbeck.data.languages import script_of
from limbeck.data.look_alikes import look_alike_warnings
from limbeck.errors import LimbeckError
from limbeck.evaluation.predict import predict_scores
from limbeck.formatting import share_text
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import Paired
from limbeck.students.scorer import Scorer
from limbeck.tasks.dev_rows import search_notes
from limbeck.tasks.finding import Finding, InFolder, unreadable
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.context import SOURCE_MODEL, Context
from limbeck.tasks.ranking.rows import LanguageData, Pairs, pair_for, prompt_texts, read_language_data, script_shares
from limbeck.tasks.ranking.task_run import RankingRun, budgets_of
from limbeck.tasks.ranking.timing import seconds_per_row
from limbeck.tasks.task import PlannedStage, System
from limbeck.types import Instruction, Progress

__all__ = ["examine_languages"]

_SAMPLE = 128
"""Records of each task and language that lengths and tokens are looked up in."""
_MOST_UNKNOWN = 0.05
_FEW_IN_SCRIPT = 0.9
_MOST_CUT = 0.05
_MANY_TOKENS = 3.0
"""A language whose texts take this many times English's tokens is poorly covered by the tokenizer."""
_UNLIMITED = 1_000_000
_SCORED = 32
"""Records that scoring is timed with, with so many candidates each:"""
_SCORED_CANDIDATES = 4


def examine_languages(config: LanguageRunConfig, progress: Progress, in_folder: InFolder) -> list[Finding]:
    """Return the findings on a cross-lingual run: data, pairs, prompts, tokenizer, steps and expected time.

    Faults that make later checks impossible end the examination.
    """
    try:
        systems = [recipe.build() for recipe in config.recipes()]
        data = read_language_data(config)
    except LimbeckError as error:
        return [unreadable(error), *in_folder(config)]
    output = in_folder(config) or in_folder(config, data.fingerprints)
    findings = [*output, *_counts(data), *_target_labels(config, data), *_look_alikes(data), *_scripts(data)]
    findings += [Finding("warning", "data", warning) for warning in data.warnings]
    findings += search_notes(config, len(data.dev))
    pairs: dict[str, Pairs] = {}
    for recipe, system in zip(config.recipes(), systems, strict=True):
        if (paired := system.part(Paired)) is not None:
            try:
                pairs[recipe.key] = pair_for(data, paired.pairing)
            except LimbeckError as error:
                return [*findings, Finding("fault", "pairing", str(error))]
            findings += _pairing(recipe.key, paired, pairs[recipe.key], data)
    try:
        context = Context(config, Path(config.output), data, progress)
        sample = _sample([*data.english, *data.pool, *data.test])
        for _, system in context.recipes():
            context.encoder(system).encode(sample)
    except LimbeckError as error:
        return [*findings, Finding("fault", "models", str(error))]
    planned = _planned(context, pairs)
    findings += [*_prompts(context, systems[0], sample), *_tokens(context, sample), *_steps(context, planned)]
    try:
        findings += _models_and_time(context, planned, pairs)
    except LimbeckError as error:
        findings.append(Finding("fault", "models", str(error)))
    return findings


def _sample(records: Sequence[Instruction]) -> list[Instruction]:
    """Return up to `_SAMPLE` records of each task and language, the same ones in each language of a parallel set."""
    cells: dict[tuple[str, str], list[Instruction]] = {}
    for record in records:
        cells.setdefault((record.task, record.lang), []).append(record)
    return [r for cell in cells.values() for r in sorted(cell, key=lambda r: digest(r.parallel or r.id))[:_SAMPLE]]


def _counts(data: LanguageData) -> list[Finding]:
    train = Counter((r.source, r.task, r.lang) for r in (*data.source, *data.pool))
    test = Counter((r.source, r.task, r.lang) for r in data.test)
    findings = [
        Finding(
            "ok",
            "data",
            f"{len(data.english)} labelled source-language records, {len(data.pool)} target-language records to "
            f"learn from, {len(data.test)} test records",
        )
    ]
    for source, task in sorted({cell[:2] for cell in (*train, *test)}):
        langs = dict.fromkeys(cell[2] for cell in (*train, *test) if cell[:2] == (source, task))
        counted = ", ".join(f"{lang} {train[source, task, lang]}/{test[source, task, lang]}" for lang in langs)
        findings.append(Finding("ok", "data", f"{source}, {task} (training/test records): {counted}"))
        untested = [
            lang for lang in langs if not test[source, task, lang] and (task, lang) != ("translation", ENGLISH)
        ]
        if untested:
            words = f"{source}, {task}: no test records in {', '.join(untested)}; nothing is said about these"
            findings.append(Finding("note", "data", words))
    return findings


def _look_alikes(data: LanguageData) -> list[Finding]:
    """Find labels that look the same to a reader; records with their own candidates have no labels."""
    sets: dict[str, set[frozenset[str]]] = {}
    for record in (*data.source, *data.pool, *data.test):
        sets.setdefault(f"{record.source}, {record.task}, {record.lang}", set()).add(frozenset(record.candidates))
    return [
        Finding("warning", "labels", f"{name}: {words}")
        for name, found in sorted(sets.items())
        if len(found) == 1
        for words in look_alike_warnings(sorted(*found))
    ]


def _target_labels(config: LanguageRunConfig, data: LanguageData) -> list[Finding]:
    """Compare the labelled records of each task and target language with what stage 3 needs."""
    labelled = Counter((r.task, r.lang) for r in data.pool if r.gold or r.grades)
    cells = {(task, lang): labelled[task, lang] for task, lang in {(r.task, r.lang) for r in (*data.pool, *data.test)}
             if lang in config.task.languages}  # fmt: skip
    most = config.data.shots[-1]
    short = [f"{lang} ({task}) {count}" for (task, lang), count in sorted(cells.items()) if count < most]
    if short:
        words = f"fewer than shots {most} labelled training records: {', '.join(short)}"
        return [Finding("warning", "labels", f"{words}; larger budgets take what there is")]
    least = min(cells.values(), default=0)
    return [
        Finding("ok", "labels", f"at least {least} labelled records of each task and target language (shots {most})")
    ]


def _scripts(data: LanguageData) -> list[Finding]:
    shares = script_shares([*data.source, *data.pool, *data.test])
    low = [
        f"{lang} {share_text(share, digits=0)} {script_of(lang)}"
        for lang, share in shares.items()
        if share < _FEW_IN_SCRIPT
    ]
    if low:
        return [Finding("note", "script", f"share of letters in the language's own script: {', '.join(low)}")]
    lang = min(shares, key=lambda one: shares[one])
    least = f"{lang}, {share_text(shares[lang], digits=0)} of its letters"
    words = f"every language is written in its own script (least: {least})"
    return [Finding("ok", "script", words)]


def _pairing(name: str, source: Paired, pairs: Pairs, data: LanguageData) -> list[Finding]:
    with_pair = Counter({(r.task, r.lang, r.id): 1 for r in pairs.students})
    there, found = Counter(r.lang for r in data.pool), Counter(lang for _, lang, _ in with_pair)
    shares = ", ".join(f"{lang} {share_text(found[lang] / there[lang], digits=0)}" for lang in there)
    words = f"{name} ({source.pairing}): share of target-language records that are paired: {shares}"
    lonely = [lang for lang in there if not found[lang]]
    findings = [Finding("ok", "pairing", words)]
    if lonely:
        advice = "nothing is distilled there; pairing: same needs no translations"
        findings = [Finding("warning", "pairing", f"{words}. None in {', '.join(lonely)}: {advice}")]
    if source.confidence_threshold:
        passing = f"{name}: which share passes recipe.confidence_threshold {source.confidence_threshold:g}"
        words = f"{passing} is known once the English model is trained; the report has it for each language"
        findings.append(Finding("note", "gate", words))
    return findings


def _prompts(context: Context, system: Recipe, sample: list[Instruction]) -> list[Finding]:
    """Check how long prompts are, and how many inputs they truncate."""
    choice, limit = context.choice(system), context.max_length
    encoded = context.encoder(system).encode(sample)
    ids = encoded.encoder.ids
    hard = [sum(len(ids(text)) for text in prompts) for prompts in encoded.prompts]
    longest = int(np.argmax(hard))
    soft = len(encoded.encoder.soft_ids(sample[longest]))
    words = (
        f"at most {hard[longest]} tokens of text ({sample[longest].task}, {sample[longest].lang}) and {soft} vectors"
    )
    findings = [Finding("ok", "prompts", f"{choice.levels}, {choice.form}: {words}, of {limit} positions")]
    cut = _cut_inputs(context, system, encoded)
    share = sum(cut.values()) / len(sample)
    cut_words = f"{share_text(share, digits=0)} of the inputs are cut at {limit} positions"
    if share <= _MOST_CUT:
        return [*findings, Finding("ok", "length", cut_words)]
    worst = ", ".join(
        f"{lang} {share_text(count / sum(r.lang == lang for r in sample), digits=0)}"
        for lang, count in cut.most_common(5)
    )
    advice = "raise backbone.max_length if the model allows it, or use shorter prompts (prompts.form: soft)"
    return [*findings, Finding("warning", "length", f"{cut_words}, most in {worst}; {advice}")]


def _cut_inputs(context: Context, system: Recipe, encoded: EncodedRecords) -> Counter[str]:
    """Count the records whose input does not fit, by language."""
    roomy = CandidateEncoder(
        context.tokenizer,
        encoded.encoder.kind,
        hard_prompts=prompt_texts(context.choice(system), system.options.prompts),
        soft=encoded.encoder.soft,
        max_length=_UNLIMITED,
    )
    cut: Counter[str] = Counter()
    for record, length in zip(encoded.records, roomy.encode(encoded.records).lengths, strict=True):
        beside = 0
        if encoded.encoder.kind != "dual_encoder":
            beside = len(roomy.frame.middle) + max(len(roomy.ids(text)) for text in record.candidates)
        cut[record.lang] += int(length + beside > context.max_length)
    return cut


def _tokens(context: Context, sample: list[Instruction]) -> list[Finding]:
    """Check how well the tokenizer covers each language: unknown tokens, and tokens relative to English."""
    unknown_id = context.tokenizer.unk_token_id
    ids = {r.id: context.tokenizer(_own_text(r), add_special_tokens=False, verbose=False)["input_ids"] for r in sample}
    own: dict[str, list[Instruction]] = {}
    for record in sample:
        own.setdefault(record.lang, []).append(record)
    source = context.config.task.source_language
    unknown, ratios = {}, {}
    for lang, records in own.items():
        tokens = [token for record in records for token in ids[record.id]]
        unknown[lang] = sum(token == unknown_id for token in tokens) / max(len(tokens), 1)
        ratios[lang] = _tokens_beside(records, own.get(source, []), ids)
    findings = []
    poor = {lang: share for lang, share in unknown.items() if share > _MOST_UNKNOWN}
    if poor:
        words = ", ".join(f"{lang} {share_text(share, digits=0)}" for lang, share in poor.items())
        advice = "is this a multilingual tokenizer? Such texts say little to the model"
        findings.append(Finding("warning", "tokenizer", f"share of unknown tokens: {words}; {advice}"))
    else:
        worst = max(unknown, key=lambda lang: unknown[lang])
        findings.append(Finding("ok", "tokenizer", f"at most {share_text(unknown[worst])} unknown tokens ({worst})"))
    words = ", ".join(f"{lang} {ratio:.1f}" for lang, ratio in ratios.items() if lang != source)
    split = any(ratio > _MANY_TOKENS for ratio in ratios.values())
    advice = "; languages with many take longer and are cut sooner" if split else ""
    words = f"tokens for one of '{source}': {words}{advice}"
    findings.append(Finding("warning" if split else "ok", "tokenizer", words))
    return findings


def _own_text(record: Instruction) -> str:
    """Return the text in the record's language; for a translation record that is the answer, if it has one."""
    return record.candidates[record.gold[0]] if record.task == "translation" and record.gold else record.input


def _tokens_beside(records: list[Instruction], sources: list[Instruction], ids: dict[str, list[int]]) -> float:
    """Return the tokens of `records` per token of their translations, or per character without translations."""
    keyed = {r.parallel: r for r in sources if r.parallel is not None}
    pairs = [(r, keyed[r.parallel]) for r in records if r.parallel in keyed]
    if pairs:
        return sum(len(ids[r.id]) for r, _ in pairs) / max(sum(len(ids[s.id]) for _, s in pairs), 1)

    def per_character(some: list[Instruction]) -> float:
        return sum(len(ids[r.id]) for r in some) / max(sum(len(_own_text(r)) for r in some), 1)

    return per_character(records) / (per_character(sources) or 1)


def _planned(context: Context, pairs: dict[str, Pairs]) -> list[tuple[System, PlannedStage]]:
    """Return all stages that one seed trains; stages shared by several label budgets appear once."""
    systems = RankingRun(context, dict(pairs)).systems(context.config.seeds[0])
    return list({planned.folder: (system, planned) for system in systems for planned in system.stages}.values())


def _steps(context: Context, planned: list[tuple[System, PlannedStage]]) -> list[Finding]:
    findings = []
    for name, _ in context.recipes():
        words = [
            f"{one.stage.name}{_budget_text(system, one)} {one.steps:,} x {one.training.batch_size} records"
            for system, one in planned
            if system.name == name
        ]
        findings.append(Finding("ok", "steps", f"{name}: {', '.join(words) or 'nothing to train'}"))
    if idle := [(system, one) for system, one in planned if not one.steps]:
        names = ", ".join(f"{system.name} {one.stage.name}" for system, one in idle)
        findings.append(Finding("warning", "steps", f"no step in {names}: is there no record for it?"))
    return findings


def _budget_text(system: System, planned: PlannedStage) -> str:
    own = planned.folder.endswith(f"-n{system.budget}")
    return f" (shots {system.budget})" if own else ""


def _models_and_time(
    context: Context, planned: list[tuple[System, PlannedStage]], pairs: dict[str, Pairs]
) -> list[Finding]:
    """Build each kind of scorer, time a few training steps and forward passes, and count them."""
    from limbeck.formatting import duration_text, parameters_text

    findings: list[Finding] = []
    speeds: dict[tuple[ScorerKind, str], tuple[float, float]] = {}
    seconds, seeds = 0.0, len(context.config.seeds)
    learnt = _sample([*context.data.english, *context.data.pool])
    with context.progress.track("timing each kind of scorer", len(context.recipes())) as update:
        for name, recipe in context.recipes():
            key = (context.kind_of(recipe), recipe.options.prompts)
            if key not in speeds:
                scorer = context.new_scorer(recipe, context.config.seeds[0])
                training, forward = seconds_per_row(scorer, context.encoder(recipe).encode(learnt), key[0])
                if key[0] == "dual_encoder":
                    forward = _dual_encoder_seconds(scorer, context.encoder(recipe), context.data.test)
                else:  # which reads each candidate of each record
                    forward *= _mean_candidates(context.data.test) / _mean_candidates(learnt)
                speeds[key] = training, forward
                total, soft = (
                    sum(p.numel() for p in some) for some in (scorer.parameters(), scorer.prompt_parameters())
                )
                words = (
                    f"{key[0].replace('_', ' ')} of {parameters_text(total)} parameters, {soft:,} of them soft prompts"
                )
                findings.append(Finding("ok", "models", words))
            training, forward = speeds[key]
            budgets = [0] if name == SOURCE_MODEL else budgets_of(recipe, context.config.data.shots)
            steps = [p.steps * p.training.batch_size for system, p in planned if system.name == name]
            times = seeds if name == SOURCE_MODEL else context.config.trainings
            seconds += times * training * sum(steps)
            scored = len(context.data.test) * len(budgets) + (len(pairs[name].teachers) if name in pairs else 0)
            seconds += seeds * forward * scored
            update(1)
    words = f"about {duration_text(seconds)} on this machine for {seeds} seed{'s' if seeds > 1 else ''}"
    return [*findings, Finding("note", "time", f"{words}: all systems, the teacher's pass and the test records")]


def _mean_candidates(records: Sequence[Instruction]) -> float:
    return sum(len(record.candidates) for record in records) / len(records)


def _dual_encoder_seconds(scorer: Scorer, encoder: CandidateEncoder, tests: Sequence[Instruction]) -> float:
    """Return the seconds per test record; each distinct candidate is read once, so the cost is in tokens."""
    indices = np.random.default_rng(0).permutation(len(tests))[:_SCORED]
    few = encoder.encode(
        [replace(tests[i], candidates=tests[i].candidates[:_SCORED_CANDIDATES], gold=(), grades=None) for i in indices]
    )
    started = time.perf_counter()
    predict_scores(scorer, few, margin=False)
    spent = time.perf_counter() - started
    return spent / _read_tokens(few) * _read_tokens(encoder.encode(tests)) / len(tests)


def _read_tokens(encoded: EncodedRecords) -> int:
    sides = encoded.two_sides(range(len(encoded.records)))
    return int(sides.queries.lengths.sum() + sides.candidates.lengths.sum())
