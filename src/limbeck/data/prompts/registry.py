"""The hard texts of prompts, by version: Task-Level Prompts (T-P) and Language-Level Prompts (L-P).

Hughes et al. 2025, "Cross-Lingual Instruction Alignment in Large Language Models via Lightweight Prompt
Distillation" (doi 10.5281/zenodo.15232962). The paper prints one Task-Level Prompt (``topic``); all other
texts are ours. ``tasks/VERSION.toml`` and ``languages/VERSION.toml`` next to this file hold them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from limbeck.data.languages import languages
from limbeck.errors import ConfigError, near_misses

__all__ = [
    "TaskPrompt",
    "known_languages",
    "known_tasks",
    "known_versions",
    "language_prompt",
    "registry_fingerprint",
    "task_prompt",
]


@dataclass(frozen=True)
class TaskPrompt:
    """The template of one task in one language; `limbeck.data.prompts.render` fills its slots."""

    task: str
    version: str
    lang: str
    """The language of the template, not of the records."""
    template: str


def task_prompt(task: str, *, version: str = "1", lang: str = "en") -> TaskPrompt:
    """Return the Task-Level Prompt of a task.

    >>> task_prompt("topic").template
    'Classify the following text into one of the categories: {categories}'

    Raises:
        ConfigError: no such task or version, or no translation of the template into `lang`.
    """
    by_task = _texts("tasks", version)
    if task not in by_task:
        raise ConfigError(f"there is no Task-Level Prompt for task '{task}'; {near_misses(task, by_task)}")
    by_lang = by_task[task]
    if lang not in by_lang:
        raise ConfigError(
            f"the Task-Level Prompt of '{task}' (version {version}) is not written in '{lang}', only in "
            f"{', '.join(sorted(by_lang))}; use one of these; 'en' always exists"
        )
    return TaskPrompt(task, version, lang, by_lang[lang])


def language_prompt(lang: str, *, version: str = "1", own: Mapping[str, str] | None = None) -> str:
    """Return the Language-Level Prompt of a language.

    >>> language_prompt("fr")
    'Text in French (Latin script; gendered nouns; accents are distinctive).'

    Args:
        lang: our code of the language, as records carry it.
        version: version of the registry.
        own: texts by language that override the registry's.

    Raises:
        ConfigError: no such version, or neither `own` nor the registry has a text for `lang`.
    """
    by_lang = _texts("languages", version)
    if own and lang in own:
        return own[lang]
    if lang not in by_lang:
        raise ConfigError(
            f"there is no Language-Level Prompt for language '{lang}' (version {version} has {len(by_lang)} "
            "languages). Give your own text in the run file: "
            f'prompts: {{languages: {{{lang}: "Text in NAME (SCRIPT script; FEATURES)."}}}}'
        )
    return str(by_lang[lang])


def known_versions() -> tuple[str, ...]:
    """Return the versions of the registry, oldest first."""
    names = [file.name for file in (files("limbeck.data.prompts") / "tasks").iterdir()]
    return tuple(sorted((name.removesuffix(".toml") for name in names if name.endswith(".toml")), key=int))


def known_tasks(version: str = "1") -> tuple[str, ...]:
    """Return the tasks that have a Task-Level Prompt, in the registry's order. Raises `ConfigError`."""
    return tuple(_texts("tasks", version))


def known_languages(version: str = "1") -> tuple[str, ...]:
    """Return our codes of the languages that have a Language-Level Prompt. Raises `ConfigError`."""
    return tuple(_texts("languages", version))


def registry_fingerprint(
    version: str = "1", *, tasks: Container[str] | None = None, langs: Container[str] | None = None
) -> str:
    """Return the SHA-256 of everything in rendered prompts: templates, texts, names of languages.

    Args:
        version: version of the registry.
        tasks: only these; ``None``: all.
        langs: only these, by our codes; ``None``: all.

    Raises:
        ConfigError: no such version.
    """
    content = {
        "tasks": _only(_texts("tasks", version), tasks),
        "languages": _only(_texts("languages", version), langs),
        "names": _only({code: language.name for code, language in languages().items()}, langs),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _only(texts: Mapping[str, Any], keys: Container[str] | None) -> dict[str, Any]:
    return {key: text for key, text in texts.items() if keys is None or key in keys}


@cache
def _texts(kind: str, version: str) -> Mapping[str, Any]:
    """Return the texts of ``tasks`` (by task, then language) or ``languages`` (by language)."""
    if version not in known_versions():
        raise ConfigError(f"unknown version '{version}' of the prompts; {near_misses(version, known_versions())}")
    file = files("limbeck.data.prompts") / kind / f"{version}.toml"
    return MappingProxyType(tomllib.loads(file.read_text(encoding="utf-8")))
