"""Tiny models, a tiny tokenizer and a tiny task, all made here: no test needs a network or a download."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors are slower on many threads

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from limbeck.data.encode import Encoded
    from limbeck.losses.objective import Objective
    from limbeck.stages.outer_loop import OuterLoop
    from limbeck.stages.trainer import DistillTrainer
    from limbeck.types import Batch, Instruction, Teacher, Writer

hypothesis.settings.register_profile("any_machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.register_profile("fast", hypothesis.settings.get_profile("any_machine"), max_examples=15)

ONLY_SLOW = ("cases", "golden", "hostile")
"""Folders of tests that are all slow."""


def is_fast_tier(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "not slow")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer random inputs in the fast tier; a test that names its own number tries so many in both."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: programs under test inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("fast" if is_fast_tier(config) else "any_machine")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import tests that the fast tier leaves out."""
    left_out = collection_path.parent == Path(__file__).parent and collection_path.name in ONLY_SLOW
    return True if left_out and is_fast_tier(config) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow all cases of a test but as many as its mark `fast_cases` names, taken evenly from first to last."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("fast_cases"):
            cases.setdefault(item.nodeid.split("[")[0], []).append(item)
    for of_one in cases.values():
        (fast,) = of_one[0].get_closest_marker("fast_cases").args  # type: ignore[union-attr]
        kept = {i * len(of_one) // fast for i in range(fast)}
        for i, item in enumerate(of_one):
            if i not in kept:
                item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt modules and tests from garbage collection: it ends every training, and takes half a second on so many."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


@pytest.fixture(scope="session", autouse=True)
def _without_waiting_for_the_disk() -> Generator[None, None, None]:
    """Sync nothing: no test cuts the power, and a busy disk takes seconds. What counts syncs puts its own in place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _seeds_of_this_processor_alone() -> Generator[None, None, None]:
    """Seed no accelerator where there is none: torch notes the whole stack each time, to seed one that may come."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        for accelerator in (torch.cuda, torch.xpu):
            if not accelerator.is_available():
                patch.setattr(accelerator, "manual_seed_all", lambda seed: None)
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` where there is none."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many inputs, kills and servers each driver tried (`tests/hostile/tally.py`), and how they ended."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    tallies: dict[str, Counter[str]] = {}
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == "tried" and report.when == "call":
                tallies.setdefault(report.location[0], Counter()).update(value)
    if tallies:
        terminalreporter.section("tried")
    for file, counts in sorted(tallies.items()):
        ends = ", ".join(f"{times:,} {end}" for end, times in sorted(counts.items()))
        terminalreporter.write_line(f"{file}: {counts.total():,} ({ends})")


VOCABULARY = 40
CLASSES = 3
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "a",
    "cat",
    "dog",
    "##s",
    "run",
    "##ning",
    "is",
    ".",
    "?",
]


def tiny_classifier(
    kind: str = "bert",
    *,
    layers: int = 2,
    width: int = 16,
    classes: int = CLASSES,
    dropout: float = 0.0,
    seed: int = 0,
    scale: float = 1.0,
) -> Any:
    """Return a random BERT, DistilBERT or ALBERT classifier in train mode.

    Weights `scale` times as large as usual make a teacher whose logits differ visibly from row to row.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    fields: dict[str, Any] = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "num_labels": classes}
    if kind == "distilbert":
        fields |= {"dim": width, "n_layers": layers, "n_heads": 2, "hidden_dim": 2 * width}
        fields |= {"dropout": dropout, "attention_dropout": dropout, "seq_classif_dropout": dropout}
    else:
        fields |= {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
        fields |= {"intermediate_size": 2 * width, "embedding_size": width}
        fields |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        fields |= {"classifier_dropout": dropout} if kind == "bert" else {"classifier_dropout_prob": dropout}
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **fields)).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= scale
    return model


@dataclass(frozen=True)
class TinyTask:
    """Random rows of 3 to 12 tokens, about two in three of them labelled."""

    encoded: Encoded
    labels: NDArray[np.int64]

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the batch of `rows`; teacher and student read the same ids."""
        import torch

        picked = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        inputs = self.encoded.batch(np.asarray(rows))
        labels = torch.from_numpy(self.labels)[picked]
        return {"student": inputs, "teacher": dict(inputs), "labels_B": labels, "rows_B": picked}


def tiny_task(rows: int = 24, *, seed: int = 0, labelled: float = 0.67, pad_left: bool = False) -> TinyTask:
    """Return a random task; the first row is unlabelled and the second labelled, whatever the share."""
    from limbeck.data.encode import Encoded
    from limbeck.types import UNLABELLED

    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 13, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels = np.where(rng.random(rows) < labelled, rng.integers(0, CLASSES, rows), UNLABELLED)
    labels[:2] = UNLABELLED, 1
    return TinyTask(
        encoded=Encoded(
            ids=rng.integers(5, VOCABULARY, offsets[-1]).astype(np.int32),
            token_types=rng.integers(0, 2, offsets[-1]).astype(np.int8),
            offsets=offsets,
            pad_id=0,
            pad_left=pad_left,
            rows_at_limit=0,
        ),
        labels=labels,
    )


def tiny_trainer(
    objective: Objective,
    task: TinyTask,
    teacher: Teacher | None,
    folder: Path,
    *,
    steps: int = 6,
    batch_size: int = 8,
    micro: int = 8,
    ranks: int = 1,
    seed: int = 0,
    log_every: int = 1,
    prompt_learning_rate: float | None = None,
    momentum: float | None = None,
    writer: Writer | None = None,
    outer: OuterLoop | None = None,
    **options: Any,
) -> DistillTrainer:
    """Return a trainer of plain gradient descent that stops at a loss that is not finite.

    Adam would follow rounding errors where a gradient is 0, so two ways to the same gradient could part.
    """
    from transformers import TrainingArguments

    from limbeck.sequences.fixed import FixedSequences
    from limbeck.stages.callbacks import StageCallback
    from limbeck.stages.trainer import DistillTrainer

    lengths = task.encoded.lengths
    settings: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant"}
    settings |= {"use_cpu": True, "save_strategy": "no", "report_to": [], "disable_tqdm": True}
    callback = StageCallback(folder / "log.jsonl", {"stage": "tiny"}, lambda n, note="": None, writer, outer=outer)
    callback.trainer = DistillTrainer(
        objective=objective,
        sequences=FixedSequences(np.arange(len(lengths)), lengths, batch_size, steps, seed),
        make_batch=task.batch,
        teacher=teacher,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=batch_size // (micro * ranks),
            logging_steps=log_every,
            logging_nan_inf_filter=False,
            remove_unused_columns=False,
            **(settings | options),
        ),
        callbacks=[callback],
        prompt_learning_rate=prompt_learning_rate,
        momentum=momentum,
        writer=writer,
        outer=outer,
    )
    return callback.trainer


@pytest.fixture(scope="session")
def make_trainer() -> Callable[..., Any]:
    return tiny_trainer


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Any]:
    return tiny_classifier


@pytest.fixture(scope="session")
def make_task() -> Callable[..., TinyTask]:
    return tiny_task


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """Return the maker of tiny WordPiece tokenizers."""
    from transformers import BertTokenizer

    def make(words: Sequence[str] = WORDS, **options: Any) -> Any:
        return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, **options)

    return make


@pytest.fixture(scope="session")
def risk_student(tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., Any]) -> Path:
    """A student folder of random weights with the labels risk, caution and safe that leans towards caution."""
    import torch

    model = tiny_classifier(scale=4.0)
    model.config.id2label = dict(enumerate(["risk", "caution", "safe"]))
    model.config.label2id = {label: i for i, label in model.config.id2label.items()}
    with torch.no_grad():
        model.classifier.bias += torch.tensor([0.0, 1.0, 0.0])
    folder = tmp_path_factory.mktemp("risk") / "student"
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


# A tiny encoder and real customer questions: whole runs in seconds.

INTENTS = ("card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed")


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained-looking encoder folder: BERT, 4 layers x 32, random weights, words of the data as vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "encoder"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    from limbeck.demo.setting import read_banking77

    texts = [row["text"].lower() for row in read_banking77("train") if row["label"] in INTENTS]
    pre = pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in texts for word, _ in pre.pre_tokenize_str(text)})
    vocabulary = {word: i for i, word in enumerate(special + words)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def as_sentence_encoder(encoder: Path, folder: Path, mode: str = "mean_tokens") -> Path:
    """Copy an encoder's folder, and say in the copy how its states are pooled, as Sentence Transformers does."""
    shutil.copytree(encoder, folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, f"pooling_mode_{mode}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def sentence_encoder_folder(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as an encoder of sentences, trained to be read by the mean of its states."""
    return as_sentence_encoder(encoder_folder, tmp_path_factory.mktemp("models") / "sentences")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of real questions on four intents: some labelled, some not, and held-out ones."""
    from limbeck.demo.setting import read_banking77

    folder = tmp_path_factory.mktemp("tickets")
    train = [row for row in read_banking77("train") if row["label"] in INTENTS]
    train = [train[i] for i in range(0, len(train), 4)]
    test = [row for row in read_banking77("test") if row["label"] in INTENTS][::4]
    return {
        "labelled": write_rows(folder / "labelled.jsonl", train[::2]),
        "unlabelled": write_rows(folder / "unlabelled.jsonl", [{"text": row["text"]} for row in train[1::2]]),
        "test": write_rows(folder / "test.jsonl", test),
    }


@pytest.fixture
def sections(encoder_folder: Path, tickets: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """A small run as nested mappings; tests change what they are about."""
    return {
        "data": {"train": [str(tickets["labelled"]), str(tickets["unlabelled"])], "test": str(tickets["test"])},
        "teacher": {
            "model": str(encoder_folder),
            "fine_tune": {"num_train_epochs": 6, "learning_rate": 3e-3, "batch_size": 8},
        },
        "student": {"from_teacher": {"layers": "uniform", "keep": 2}},
        "recipe": {"name": "kd", "label_weight": 0.0},
        "training": {"max_steps": 12, "learning_rate": 1e-3, "batch_size": 16, "log_every": 3, "checkpoints": 4},
        "simple_baselines": False,
        "output": str(tmp_path / "run"),
    }


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without what takes most of its time where it is tiny: speed, memory, intervals and the report."""
    from limbeck.results.sections import Speed

    speed = Speed(parameters=1, size_bytes=1, tokens_per_second=None, batch_size=None, peak_memory_bytes=None)
    monkeypatch.setattr("limbeck.tasks.generation.measure.writing_speed", lambda *arguments: speed)
    monkeypatch.setattr("limbeck.evaluation.speed._measure_on_disk", lambda model, longest: (1, 1))
    monkeypatch.setattr("limbeck.evaluation.speed._LATENCY_ROWS", 2)
    monkeypatch.setattr("limbeck.evaluation.speed._THROUGHPUT_BATCHES", 1)
    monkeypatch.setattr("limbeck.evaluation.metrics.measure.RESAMPLES", 20)
    monkeypatch.setattr("limbeck.report.page.write_report", lambda results, path: path.touch())


@pytest.fixture
def run_file(sections: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a run file."""
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(sections, indent=1), encoding="utf-8")  # JSON is YAML
    return path


# A tiny multilingual encoder and parallel sentences: who, where and when, in four languages.

TOPICS = ("health", "politics", "sports")
MORE_TOPICS = ("entertainment", "geography", "science/technology", "travel")
"""Words that the vocabulary has beside those of the sentences."""
"""Three of SIB-200's."""
TOPIC_SUBJECTS = {
    "health": {
        "en": ("the doctor helps", "the patient sleeps"),
        "bg": ("лекарят помага", "пациентът спи"),
        "sk": ("lekár pomáha", "pacient spí"),
        "de": ("der Arzt hilft", "der Patient schläft"),
    },
    "politics": {
        "en": ("the minister speaks", "the parliament votes"),
        "bg": ("министърът говори", "парламентът гласува"),
        "sk": ("minister hovorí", "parlament hlasuje"),
        "de": ("der Minister spricht", "das Parlament stimmt ab"),
    },
    "sports": {
        "en": ("the team plays", "the runner wins"),
        "bg": ("отборът играе", "бегачът печели"),
        "sk": ("tím hrá", "bežec vyhráva"),
        "de": ("die Mannschaft spielt", "der Läufer gewinnt"),
    },
}
TOPIC_PLACES = {
    "en": ("in the city", "by the sea", "near the river"),
    "bg": ("в града", "край морето", "близо до реката"),
    "sk": ("v meste", "pri mori", "blízko rieky"),
    "de": ("in der Stadt", "am Meer", "nahe dem Fluss"),
}
TOPIC_TIMES = {
    "en": ("today", "at night"),
    "bg": ("днес", "през нощта"),
    "sk": ("dnes", "v noci"),
    "de": ("heute", "in der Nacht"),
}


def topic_sentences(lang: str) -> list[tuple[str, str]]:
    """Return 36 sentences and their topics; sentence i of one language is the translation of that of another.

    Topics take turns, so that any slice holds all of them.
    """
    return [
        (f"{TOPIC_SUBJECTS[topic][lang][who]} {place} {when}", topic)
        for who in range(2)
        for place in TOPIC_PLACES[lang]
        for when in TOPIC_TIMES[lang]
        for topic in TOPICS
    ]


def topic_records(lang: str, split: Literal["train", "dev", "test"] = "train") -> list[Instruction]:
    """Return the 36 sentences as instruction records with English candidates, in alphabetical order."""
    from limbeck.types import Instruction

    return [
        Instruction(
            id=f"toy/{split}/{lang}/{i}",
            source="toy",
            split=split,
            task="topic",
            lang=lang,
            input=text,
            input_pair=None,
            candidates=TOPICS,
            gold=(TOPICS.index(topic),),
            parallel=f"toy/{split}/{i}",
        )
        for i, (text, topic) in enumerate(topic_sentences(lang))
    ]


def multilingual_tokenizer(model_max_length: int = 128) -> Any:
    """Return a tokenizer of XLM-R's kind, marks and special ids.

    The words of the sentences above and of our prompts are one piece each; "finance" is two (``▁fin ance``),
    and any other word in Latin or Cyrillic letters falls apart into letters.
    """
    from transformers import XLMRobertaTokenizer

    from limbeck.data.prompts.registry import known_languages, known_tasks, language_prompt, task_prompt

    texts = [text for lang in TOPIC_PLACES for text, _ in topic_sentences(lang)]
    texts += [task_prompt(task).template for task in known_tasks()]
    texts += [language_prompt(lang) for lang in known_languages()]
    words = sorted({word for text in [*texts, *TOPICS, *MORE_TOPICS] for word in re.findall(r"\w+", text)})
    letters = [chr(code) for code in (*range(0x21, 0x7F), *range(0xC0, 0x180), *range(0x400, 0x460))]
    pieces = [("▁", -4.0), *((f"▁{word}", -5.0) for word in words)]
    pieces += [(word, -6.0) for word in words if len(word) > 1]  # as in "(Latin"
    pieces += [("▁fin", -5.0), ("ance", -5.0), *((letter, -9.0) for letter in letters)]
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    return XLMRobertaTokenizer(vocab=[*special, *pieces, ("<mask>", 0.0)], model_max_length=model_max_length)


@pytest.fixture(scope="session")
def multilingual_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained-looking masked-language model: XLM-R, 2 layers x 32, random weights, 128 positions."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    folder = tmp_path_factory.mktemp("models") / "multilingual"
    tokenizer = multilingual_tokenizer()
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=130, type_vocab_size=1, initializer_range=0.1,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_topic_records() -> Callable[..., list[Instruction]]:
    return topic_records


# A byte-level tokenizer as causal models have it, with and without a chat template.

CRISIS_SENTENCES = (
    "Classify the article into one of these categories 'risk and warning', 'caution and advice', and 'safe'.",
    "Energy shortages push up the bills of households. Input: Output: Classification: Reason: label",
    "The river floods the town; people leave their homes. A festival in the old city was a joy for all.",
    "Überschwemmung in der Stadt: die Menschen verlassen ihre Häuser. Наводнение в града.",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def make_causal_tokenizer() -> Callable[..., Any]:
    """Return the maker of byte-level BPE tokenizers; ids 0 to 4 are <pad> <s> </s> <|im_start|> <|im_end|>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    @cache
    def trained() -> str:
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
        trainer = trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(CRISIS_SENTENCES, trainer)
        return inner.to_str()

    def make(*, chat: bool = False, bos: bool = True) -> Any:
        inner = Tokenizer.from_str(trained())
        if bos:
            inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
            additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        )  # fmt: skip
        tokenizer.chat_template = CHAT_TEMPLATE if chat else None
        return tokenizer

    return make
