"""The data sets of anon/."""

from __future__ import annotations

import base64
import csv
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from data_sets.base import DataSet, Read, Row, comma_separated, tab_separated


def without_users(tweet: str) -> str:
    return re.sub(r"(?<![\w./])@\w+", "@user", tweet)


HUMAID_RISK = {
    "injured_or_dead_people": "risk_and_warning",
    "infrastructure_and_utility_damage": "risk_and_warning",
    "missing_or_found_people": "risk_and_warning",
    "displaced_people_and_evacuations": "risk_and_warning",
    "requests_or_urgent_needs": "risk_and_warning",
    "caution_and_advice": "caution_and_advice",
    "sympathy_and_support": "safe_and_harmless",
    "rescue_volunteering_or_donation_effort": "safe_and_harmless",
    "not_humanitarian": "safe_and_harmless",
}
HUMAID_ANSWERS = {
    "california_wildfires_2018": ("20251115-104438/sharded33", "20260406-004223", "20251104-042558/sharded10"),
    "canada_wildfires_2016": ("20251115-000458/sharded10", "20260406-001527", "20251113-160536/sharded3"),
    "hurricane_dorian_2019": ("20251115-144625/sharded33", "20260406-004751", "20251104-054636/sharded10"),
    "hurricane_florence_2018": ("20251115-034627/sharded28", "20260406-003140", "20251104-023000/sharded8"),
    "hurricane_harvey_2017": ("20251115-185842/sharded39", "20260406-005833", "20251104-121414/sharded10"),
    "hurricane_irma_2017": ("20251116-133843/TIER1", "20260406-010353", "20251104-073738/sharded12"),
    "hurricane_maria_2017": ("20251115-072255/sharded31", "20260406-003701", "20251104-031023/sharded9"),
    "kaikoura_earthquake_2016": ("20251115-015531/sharded10", "20260406-002056", "20251113-163546/sharded3"),
    "kerala_floods_2018": ("20251116-131317/TIER1", "20260406-005312", "20251104-093125/sharded10"),
}
"""The teacher's answers to the train, dev and test part of each event: when they were asked for, and how."""


def humaid(read: Read, split: str) -> Iterator[Row]:
    """The tweets with the gold label and GPT-4o's; emoji whose code was cut short in the source are mended."""
    place = ("train", "validation", "test").index(split)
    file = ("train", "dev", "test")[place]
    for event, runs in HUMAID_ANSWERS.items():
        time, _, how = runs[place].partition("/")
        run = "-".join([time, "modeS-gpt-4o-RULES1-filtered", *([how] if how else [])])
        said = comma_separated(read(f"zeroshot/results/{event}/{file}/gpt-4o/{run}/predictions.csv"))
        answers = {row["tweet_id"]: row for row in said}
        gold = tab_separated(read(f"data/original/{event}/{event}_{file}.tsv"), quoting=csv.QUOTE_NONE)
        for row in gold:
            text = re.sub(
                "([\u1f00-\u1fff])([0-9A-Fa-f])",
                lambda cut: chr(16 * ord(cut[1]) + int(cut[2], 16)),
                row["tweet_text"],
            )
            answer, label = answers[row["tweet_id"]], row["class_label"]
            yield {
                "tweet_id": row["tweet_id"],
                "event": event,
                "text": without_users(text),
                "label": label,
                "risk3": HUMAID_RISK.get(label),
                "teacher_label": answer["predicted_label"],
                "teacher_confidence": float(answer["confidence"]),
            }


CRISISLEX_EVENTS = [
    "2012_Costa_Rica_earthquake",
    "2012_Italy_earthquakes",
    "2012_Philipinnes_floods",
    "2012_Typhoon_Pablo",
    "2012_Venezuela_refinery",
    "2013_Alberta_floods",
    "2013_Australia_bushfire",
    "2013_Bohol_earthquake",
    "2013_Brazil_nightclub_fire",
    "2013_Colorado_floods",
    "2013_Glasgow_helicopter_crash",
    "2013_LA_airport_shootings",
    "2013_Lac_Megantic_train_crash",
    "2013_Manila_floods",
    "2013_NY_train_crash",
    "2013_Russia_meteor",
    "2013_Sardinia_floods",
    "2013_Savar_building_collapse",
    "2013_Singapore_haze",
    "2013_Spain_train_crash",
    "2013_West_Texas_explosion",
]
CRISISLEX_RISK = {
    "Affected individuals": "risk_and_warning",
    "Infrastructure and utilities": "risk_and_warning",
    "Caution and advice": "caution_and_advice",
    "Sympathy and support": "safe_and_harmless",
    "Donations and volunteering": "safe_and_harmless",
}


def crisislex(read: Read, split: str) -> Iterator[Row]:
    """There is no official split; crisislex_split.txt has the benchmark's, a digit for each row of the source."""
    packed = Path(__file__).with_name("crisislex_split.txt").read_text(encoding="ascii")
    parts = iter(zlib.decompress(base64.b85decode("".join(packed.split()))).decode("ascii"))
    wanted = "012"[("train", "validation", "test").index(split)]
    for event in CRISISLEX_EVENTS:
        folder = f"data/CrisisLexT26/{event}/{event}"
        about = json.loads(read(f"{folder}-event_description.json"))
        for row in comma_separated(read(f"{folder}-tweets_labeled.csv")):
            if next(parts) != wanted:
                continue
            label, informative = row["Information Type"], row["Informativeness"]
            harmless = informative == "Not related" and label != "Other Useful Information"
            yield {
                "tweet_id": row["Tweet ID"],
                "event": event,
                "event_type": about["categorization"]["type"],
                "country": about["location"]["country"],
                "text": without_users(row["Tweet Text"]).replace("\r", " ").replace("\n", " ").strip(),
                "source": row["Information Source"],
                "label": label,
                "informativeness": informative,
                "risk3": CRISISLEX_RISK.get(label, "safe_and_harmless" if harmless else None),
            }


SETS = {
    "humaid": DataSet(
        repository="deeplearning-lab-csueb/LLM-guided-SSL-Crisis-Tweets-Classification",
        commit="4c044458d8c0a5f78e86541ed352bbab25d8791e",
        licence="CC BY-NC-SA 4.0",
        rows=humaid,
        files={
            "train.jsonl.gz": "3f64a59f97bdffb0028d96407b8c150c40ed887e0ee10a0c4a409ce388340d2c",
            "validation.jsonl.gz": "f31bc90ddc717a1483b7014585ad36139066c18cb9f21f65642086980ec74dce",
            "test.jsonl.gz": "74fcb347485aca9f01e1bc72088600e75f33ee6b7e8bf2149722a3317290f724",
        },
        wanted_by=("anon",),
    ),
    "crisislex_t26": DataSet(
        repository="sajao/CrisisLex",
        commit="d67cddd51131dbb28842209014f67cffe359ff42",
        licence="MIT (repository)",
        rows=crisislex,
        files={
            "train.jsonl.gz": "859ebf558a9fb71220db25fc037106ed0571d1eafeb333277deedb9e15f305d7",
            "validation.jsonl": "e8537e6a79b175dd05659b5462e00b986ea33c9df067fd0e3f8102dcfbd820bf",
            "test.jsonl": "7bc614247e0d7024e76f33c05d5b1eeed0ba462139fd859e668f5af49d078b80",
        },
        wanted_by=("anon",),
    ),
}
