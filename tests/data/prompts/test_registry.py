"""The registry of hard texts: complete, short, true to its languages."""

from __future__ import annotations

import re

import pytest

from limbeck.data.languages import languages
from limbeck.data.prompts import registry
from limbeck.data.prompts.choice import LONGEST_OWN_TEXT_CHARACTERS
from limbeck.data.prompts.registry import (
    TaskPrompt,
    known_languages,
    known_tasks,
    known_versions,
    language_prompt,
    registry_fingerprint,
    task_prompt,
)
from limbeck.errors import ConfigError

TASKS = ["topic", "paraphrase", "nli", "ads", "web_pages", "qa", "ner", "pos", "translation"]
SLOTS = {
    "topic": ["categories"],
    "ner": ["span"],
    "pos": ["word", "occurrence"],
    "translation": ["src_lang", "tgt_lang"],
}


def translations() -> list[tuple[str, str]]:
    return [(task, lang) for task in known_tasks() for lang in registry._texts("tasks", "1")[task]]


def features(lang: str) -> list[str]:
    """What a Language-Level Prompt says after the script, checked to be of the one form there is."""
    found = re.fullmatch(r"Text in ([^();]+) \(([^();]+); ([^()]+)\)\.", language_prompt(lang))
    assert found is not None, language_prompt(lang)
    name, script, said = found.groups()
    assert name == languages()[lang].name
    own_scripts = {"Japanese": "Han, Hiragana and Katakana scripts"}
    assert script.startswith(own_scripts.get(languages()[lang].script, f"{languages()[lang].script} script"))
    return said.split("; ")


def test_there_are_nine_tasks() -> None:
    assert list(known_tasks()) == TASKS


def test_the_texts_of_the_specification() -> None:
    assert task_prompt("topic") == TaskPrompt(
        "topic", "1", "en", "Classify the following text into one of the categories: {categories}"
    )
    assert task_prompt("nli").template == "Does the premise entail the hypothesis?"
    assert language_prompt("fr") == "Text in French (Latin script; gendered nouns; accents are distinctive)."


@pytest.mark.parametrize(("task", "lang"), translations())
def test_every_template_is_short_and_has_its_task_s_slots(task: str, lang: str) -> None:
    template = task_prompt(task, lang=lang).template
    assert template == template.strip()
    assert len(template.split()) <= 25
    assert re.findall(r"\{(\w+)\}", template) == SLOTS.get(task, [])
    assert template.count("{") == template.count("}") == len(SLOTS.get(task, []))


def test_topic_is_translated() -> None:
    texts = {task_prompt("topic", lang=lang).template for lang in ("en", "de", "fr", "es", "bg")}
    assert len(texts) == 5


def test_every_language_of_the_table_has_a_text() -> None:
    assert set(known_languages()) == set(languages())


@pytest.mark.parametrize("lang", known_languages())
def test_a_language_s_text_names_language_and_script_and_at_most_three_features(lang: str) -> None:
    said = features(lang)
    assert 2 <= len(said) <= 3
    assert len(set(said)) == len(said)
    assert all(1 <= len(feature.split()) <= 8 for feature in said)
    assert len(language_prompt(lang).split()) <= 25
    assert len(language_prompt(lang)) <= LONGEST_OWN_TEXT_CHARACTERS / 2


def test_features_agree_with_the_family() -> None:
    """Facts that hold of whole groups: what a slip of the hand would break."""

    def say(feature: str) -> set[str]:
        return {lang for lang in known_languages() if any(feature in one for one in features(lang))}

    assert say("definite article as a suffix") == {"bg", "mk", "ro", "da", "nb", "sv", "is", "hy"}
    bantu = {"bbj", "kam", "lg", "ln", "nso", "ny", "rn", "rw", "sn", "sw", "tn", "umb", "xh", "zu"}
    assert say("noun classes") == bantu | {"ff", "mos", "wo"}
    assert say("root-and-pattern") == {"am", "ar", "he", "mt", "ti"}
    assert say("no spaces between words") == {"ja", "km", "lo", "my", "th", "zh", "zh-Hant"}
    assert say("no articles") >= {"be", "bs", "cs", "hr", "pl", "ru", "sk", "sl", "sr", "uk", "et", "lt", "lv"}
    assert say("vowel harmony") >= {"az", "fi", "hu", "kk", "ky", "mn", "tr"}
    assert say("click consonants") == {"xh", "zu"}
    assert say("nouns capitalised") == {"de", "lb"}
    assert say("verb-initial") == {"ceb", "cy", "ga", "mi", "tl"}


def test_scripts_written_from_right_to_left_say_so() -> None:
    leftward = {lang for lang in known_languages() if "right to left" in language_prompt(lang)}
    assert leftward == {lang for lang, row in languages().items() if row.script in ("Arabic", "Hebrew")}


def test_a_text_of_one_s_own_goes_before_the_registry_s_and_touches_no_other() -> None:
    own = {"fr": "Text in French.", "tlh": "Text in Klingon."}
    assert language_prompt("fr", own=own) == "Text in French."
    assert language_prompt("tlh", own=own) == "Text in Klingon."
    assert language_prompt("de", own=own) == language_prompt("de")


def test_a_language_without_a_text_is_refused_with_the_remedy() -> None:
    remedy = 'prompts: {languages: {tlh: "Text in NAME (SCRIPT script; FEATURES)."}}'
    for own in (None, {}, {"fr": "Text in French."}):
        with pytest.raises(ConfigError, match=f"language 'tlh' .version 1 has 116.*{re.escape(remedy)}"):
            language_prompt("tlh", own=own)


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no Task-Level Prompt for task 'topics'; did you mean 'topic'"):
        task_prompt("topics")
    with pytest.raises(ConfigError, match=r"'ads' .version 1. is not written in 'bg', only in en; use one of these"):
        task_prompt("ads", lang="bg")
    for question in (
        lambda: task_prompt("topic", version="../1"),
        lambda: language_prompt("fr", version="../1", own={"fr": "Text in French."}),
        lambda: known_tasks("../1"),
        lambda: registry_fingerprint("../1"),
    ):
        with pytest.raises(ConfigError, match=r"unknown version '\.\./1' of the prompts; known here: 1"):
            question()


def test_every_version_has_tasks_and_languages() -> None:
    assert known_versions()[0] == "1"
    for version in known_versions():
        assert known_tasks(version)
        assert known_languages(version)


def test_a_version_s_texts_never_change() -> None:
    """A run's folder names the version. Only one more language or task may change this; else write version 2."""
    assert registry_fingerprint("1") == "022f999bdb6d024eeaa887356b757a1e6bef87b9fe4604f1d304e99efc2bd963"


def test_the_fingerprint_follows_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry_fingerprint()
    read = registry._texts
    for kind, key, value in (("tasks", "ads", {"en": "Does it?"}), ("languages", "fr", "Text in French.")):
        monkeypatch.setattr(
            registry, "_texts", lambda k, v, kind=kind, new={key: value}: {**read(k, v), **(new if k == kind else {})}
        )
        assert registry_fingerprint() != before
    monkeypatch.undo()
    assert registry_fingerprint() == before


@pytest.mark.parametrize("tasks", [("topic",), ("topic", "ads")])
def test_a_fingerprint_of_some_follows_the_texts_of_these_alone(
    monkeypatch: pytest.MonkeyPatch, tasks: tuple[str, ...]
) -> None:
    before = registry_fingerprint(tasks=tasks, langs=("en", "bg"))
    assert before != registry_fingerprint(tasks=tasks, langs=("en",))
    read = registry._texts
    changes = (("tasks", "ads", {"en": "?"}), ("languages", "fr", "French."), ("languages", "bg", "Bulgarian."))
    for kind, key, value in changes:
        monkeypatch.setattr(
            registry, "_texts", lambda k, v, kind=kind, new={key: value}: {**read(k, v), **(new if k == kind else {})}
        )
        changed = registry_fingerprint(tasks=tasks, langs=("en", "bg")) != before
        assert changed == (key in (*tasks, "bg"))
