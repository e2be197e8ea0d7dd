"""What papers report of the methods: quoted figures, each with its source and how far it was checked."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["PUBLISHED", "Evidence", "PublishedResult", "published_results"]


class Evidence(Enum):
    """How a figure is known; the value is what a reader is told."""

    PAPER = "read in the paper"
    CODE = "read in the authors' released code"
    OTHER_CODE = "measured by others, with an implementation of their own"
    SECOND_HAND = "second-hand"
    UNCHECKED = "not checked against the paper"


class PublishedResult(NamedTuple):
    """One figure of one method, as published. None was measured by limbeck, and none is a target."""

    recipe: str
    data: str
    """The set, and its part if known."""
    metric: str
    """``times ...`` for a factor, otherwise on a scale from 0 to 100."""
    figure: float
    student: str
    teacher: str
    """Empty for a method without a teacher."""
    source: str
    """Where it is printed."""
    evidence: Evidence
    of_teacher: float | None = None
    undistilled: float | None = None
    """The same student without this method: fine-tuned, or trained as the source says."""
    note: str = ""

    @property
    def is_factor(self) -> bool:
        """Whether the figure is a factor and not on a scale from 0 to 100."""
        return self.metric.startswith("times")

    def __str__(self) -> str:
        beside = {"without distillation": self.undistilled, "teacher": self.of_teacher}
        known = ", ".join(f"{what} {value}" for what, value in beside.items() if value is not None)
        models = f"{self.student}, teacher {self.teacher}" if self.teacher else self.student
        figure = f"{self.figure} {self.metric}" if self.is_factor else f"{self.metric} {self.figure}"
        said = f"{self.data}: {figure}{f' ({known})' if known else ''}; {models}; {self.source}, {self.evidence.value}"
        return f"{said}. {self.note}" if self.note else said


def published_results(recipe: str) -> tuple[PublishedResult, ...]:
    """Return the results of one recipe, in the order of the table."""
    return tuple(one for one in PUBLISHED if one.recipe == recipe)


_SURVEY = "survey by Yang et al. 2024 (ACM TIST)"
_MINILLM = "Gu et al. 2024, arXiv:2306.08543"
_PKD = "Sun et al. 2019, arXiv:1908.09355"
_GKD = "Agarwal et al. 2024, arXiv:2306.13649"
_F_DISTILL = "Wen et al. 2023, arXiv:2307.15190"
_ANON = "Saxena et al. 2025, table 2"
_ML_IPD = "Hughes et al. 2025"
_TANG, _BILSTM = "Tang et al. 2019, arXiv:1903.12136", "BiLSTM, 150 to 300 units a direction"
_TED = "cliang1453/task-aware-distillation"
_DEBERTA, _XSMALL = "DeBERTa-v3-base", "DeBERTa-v3-xsmall"
_DOLLY, _GPT_2, _SMALL_GPT_2 = "Dolly", "GPT-2 1.5B", "GPT-2 120M"
_BERT, _LARGE_BERT, _XLM_R = "BERT-base", "BERT-large", "XLM-R"
_SIX_LAYERS, _FIRST_SIX = "6 layers of width 768", "6 layers of BERT-base"
_ARTICLES = "news articles in three classes"
_NOT_319 = "No figure of the table is a share of the paper's 319 test articles"
_XGLUE = 'mean of "12 XGLUE languages"'
_NO_TABLE = "The paper prints no table by language, and XGLUE has 19 languages"

PUBLISHED = (
    PublishedResult("kd", _DOLLY, "Rouge-L", 22.8, _SMALL_GPT_2, _GPT_2, _MINILLM, Evidence.UNCHECKED,
                    of_teacher=27.6, undistilled=23.3),
    PublishedResult("distilbert", "GLUE, development sets, with WNLI", "mean", 77.0, "DistilBERT, 6 layers", _BERT,
                    "README of the transformers research project", Evidence.CODE, of_teacher=79.5),
    PublishedResult("tinybert", "GLUE, test sets", "mean", 77.0, "4 layers of width 312", _BERT, _SURVEY,
                    Evidence.SECOND_HAND, of_teacher=79.5,
                    note="A public reproduction has RTE 53 to 59 in place of 66.6, CoLA 32 to 37 in place of 44.1 "
                    "(second-hand)"),
    PublishedResult("mobilebert", "GLUE, test sets", "mean", 77.7, "24 layers of width 512", "IB-BERT-large",
                    _SURVEY, Evidence.SECOND_HAND, note="BERT-base has 78.3 there"),
    PublishedResult("minilm", "SQuAD 2", "F1", 76.4, _SIX_LAYERS, _BERT, _SURVEY, Evidence.SECOND_HAND),
    PublishedResult("minilm", "MNLI, matched", "accuracy", 84.0, _SIX_LAYERS, _BERT, _SURVEY, Evidence.SECOND_HAND),
    PublishedResult("minilm", "SST-2", "accuracy", 92.0, _SIX_LAYERS, _BERT, _SURVEY, Evidence.SECOND_HAND),
    PublishedResult("minilm", "mean of the paper's tasks", "score", 80.4, _SIX_LAYERS, _BERT, _SURVEY,
                    Evidence.SECOND_HAND, of_teacher=81.5),
    PublishedResult("minilm_v2", "mean of QNLI, QQP, RTE, SST-2, MNLI", "score", 82.9, _SIX_LAYERS, _BERT,
                    "README of bloomberg/minilmv2.bb", Evidence.OTHER_CODE,
                    note="The paper has 86.1 for these tasks, by the same README"),
    PublishedResult("minilm_v2", "mean of QNLI, QQP, RTE, SST-2, MNLI", "score", 83.4, "6 layers of width 384", _BERT,
                    "README of bloomberg/minilmv2.bb", Evidence.OTHER_CODE,
                    note="The paper has 84.3 for these tasks, by the same README"),
    PublishedResult("pkd", "SST-2, test set", "accuracy", 92.0, _FIRST_SIX, _BERT, _PKD,
                    Evidence.UNCHECKED),
    PublishedResult("pkd", "QQP, test set", "F1", 70.7, _FIRST_SIX, _BERT, _PKD, Evidence.UNCHECKED),
    PublishedResult("pkd", "MNLI, matched test set", "accuracy", 81.5, _FIRST_SIX, _BERT, _PKD,
                    Evidence.UNCHECKED),
    PublishedResult("pkd", "QNLI, test set", "accuracy", 89.0, _FIRST_SIX, _BERT, _PKD,
                    Evidence.UNCHECKED),
    PublishedResult("pkd", "RTE, test set", "accuracy", 65.5, _FIRST_SIX, _BERT, _PKD,
                    Evidence.UNCHECKED),
    PublishedResult("ted", "MNLI", "accuracy", 88.8, _XSMALL, _DEBERTA, _TED, Evidence.CODE, of_teacher=90.6,
                    undistilled=88.3),
    PublishedResult("ted", "SQuAD 2", "F1", 86.4, _XSMALL, _DEBERTA, _TED, Evidence.CODE, of_teacher=88.4,
                    undistilled=84.5),
    PublishedResult("ted", "QQP", "F1", 89.5, _XSMALL, _DEBERTA, _TED, Evidence.CODE),
    PublishedResult("ted", "QNLI", "accuracy", 93.1, _XSMALL, _DEBERTA, _TED, Evidence.CODE),
    PublishedResult("ted", "SST-2", "accuracy", 94.4, _XSMALL, _DEBERTA, _TED, Evidence.CODE),
    PublishedResult("ted", "RTE", "accuracy", 83.0, _XSMALL, _DEBERTA, _TED, Evidence.CODE, undistilled=83.4,
                    note="Worse than fine-tuning alone"),
    PublishedResult("distilbilstm", "SST-2, test set", "accuracy", 90.7, _BILSTM, _LARGE_BERT, _TANG,
                    Evidence.UNCHECKED, of_teacher=94.9),
    PublishedResult("distilbilstm", "QQP, test set", "F1", 68.2, _BILSTM, _LARGE_BERT, _TANG,
                    Evidence.UNCHECKED, of_teacher=72.1),
    PublishedResult("distilbilstm", "MNLI, matched test set", "accuracy", 73.0, _BILSTM, _LARGE_BERT, _TANG,
                    Evidence.UNCHECKED, of_teacher=86.7),
    PublishedResult("xtremedistil", "entities in 41 languages", "F1", 88.6, "a BiLSTM, 35 times smaller",
                    "multilingual BERT", "summary of Mukherjee and Awadallah 2020, arXiv:2004.05686",
                    Evidence.SECOND_HAND, of_teacher=92.7),
    PublishedResult("metadistil", "GLUE, test sets", "mean", 80.4, "a BERT of unknown size", "a larger BERT", _SURVEY,
                    Evidence.SECOND_HAND, of_teacher=80.7,
                    note="Its released code has the development sets as quiz, and no command for this figure"),
    PublishedResult("pd", "GLUE, development sets", "meta-score", 84.4, "6 layers of width 768, pretrained",
                    "a BERT of unknown size", "summary of Turc et al. 2019, arXiv:1908.08962", Evidence.SECOND_HAND,
                    undistilled=82.8),
    PublishedResult("pd", "GLUE, test sets", "meta-score", 82.1, "6 layers of width 768, pretrained",
                    "a BERT of unknown size", "summary of Turc et al. 2019, arXiv:1908.08962", Evidence.SECOND_HAND,
                    undistilled=81.6),
    PublishedResult("anon", _ARTICLES, "accuracy", 74.22, "LLaMA-2 7B", "LLaMA-2 13B", _ANON, Evidence.PAPER,
                    of_teacher=71.19, undistilled=66.23, note=_NOT_319),
    PublishedResult("anon", _ARTICLES, "accuracy", 56.38, "OPT 1.3B", "OPT 13B", _ANON, Evidence.PAPER,
                    of_teacher=62.31, undistilled=46.92, note=_NOT_319),
    PublishedResult("anon", _ARTICLES, "accuracy", 40.68, "GPT-2 124M", "GPT-2 1.5B", _ANON, Evidence.PAPER,
                    of_teacher=53.89, undistilled=34.70, note=_NOT_319),
    PublishedResult("seqkd", _DOLLY, "Rouge-L", 22.7, _SMALL_GPT_2, _GPT_2, _MINILLM, Evidence.UNCHECKED,
                    of_teacher=27.6, undistilled=23.3,
                    note="Its released code samples the teacher's texts in place of beam search"),
    PublishedResult("f_distill", "DART", "BLEU", 46.24, "BART, 3 + 1 layers, KL", "BART", _F_DISTILL, Evidence.PAPER,
                    of_teacher=48.56, undistilled=45.60),
    PublishedResult("f_distill", "DART", "BLEU", 45.63, "BART, 3 + 1 layers, reverse KL", "BART", _F_DISTILL,
                    Evidence.PAPER, of_teacher=48.56, undistilled=45.60),
    PublishedResult("f_distill", "DART", "BLEU", 46.85, "BART, 3 + 1 layers, Jensen-Shannon", "BART", _F_DISTILL,
                    Evidence.PAPER, of_teacher=48.56, undistilled=45.60),
    PublishedResult("f_distill", "DART", "BLEU", 46.95, "BART, 3 + 1 layers, total variation", "BART", _F_DISTILL,
                    Evidence.PAPER, of_teacher=48.56, undistilled=45.60,
                    note="Without distillation: after its first stage, soft targets and hints"),
    PublishedResult("f_distill", "XSum", "Rouge-L", 34.10, "BART, 3 + 3 layers, total variation", "BART", _F_DISTILL,
                    Evidence.PAPER, of_teacher=37.18),
    PublishedResult("minillm", _DOLLY, "Rouge-L", 24.6, _SMALL_GPT_2, _GPT_2, _MINILLM, Evidence.UNCHECKED,
                    of_teacher=27.6, undistilled=23.3),
    PublishedResult("gkd", "XSum", "times the gain of baseline distillation", 2.1, "T5 small to large", "T5-XL",
                    f"summary of {_GKD}", Evidence.SECOND_HAND),
    PublishedResult("gkd", "WMT14", "times the gain of baseline distillation", 1.7, "T5 small to large", "T5-XL",
                    f"summary of {_GKD}", Evidence.SECOND_HAND),
    PublishedResult("gkd", "GSM8K", "times the gain of baseline distillation", 1.9, "T5 small to large", "T5-XL",
                    f"summary of {_GKD}", Evidence.SECOND_HAND),
    PublishedResult("distillm", "instruction following", "times the training speed of on-policy distillation", 4.3,
                    "GPT-2, OPT and OpenLLaMA", "larger ones of their families", "Ko et al. 2024, arXiv:2402.03898",
                    Evidence.UNCHECKED, note="The most that is claimed, at an equal or better Rouge-L"),
    PublishedResult("ml_ipd", _XGLUE, "accuracy", 92.3, _XLM_R, f"{_XLM_R} instructed in English", _ML_IPD,
                    Evidence.PAPER, note=_NO_TABLE),
    PublishedResult("ml_dft", _XGLUE, "accuracy", 85.6, _XLM_R, "", _ML_IPD, Evidence.PAPER, note=_NO_TABLE),
    PublishedResult("pl_bl", _XGLUE, "accuracy", 87.4, _XLM_R, "", _ML_IPD, Evidence.PAPER, note=_NO_TABLE),
    PublishedResult("rl_ia", _XGLUE, "accuracy", 88.1, _XLM_R, "", _ML_IPD, Evidence.PAPER, note=_NO_TABLE),
)  # fmt: skip
"""In the order of the recipes. A method that is not here has no figure whose source we know."""
