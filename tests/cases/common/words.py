"""The words of three made-up labels, and rows of them."""

import random

WORDS = {
    "risk": ["flood", "fire", "danger", "collapse", "evacuate", "warning", "alarm"],
    "caution": ["careful", "delay", "maybe", "watch", "uncertain", "slow", "check"],
    "safe": ["party", "music", "sunny", "picnic", "garden", "happy", "festival"],
}
FILLING = ["the", "a", "town", "people", "today", "in", "near", "river", "street", "news", "report"]


def rows(count, seed, labels=("risk", "caution", "safe")):
    rng = random.Random(seed)
    made = []
    for i in range(count):
        label = labels[i % len(labels)]
        words = rng.sample(WORDS[label], 3) + rng.sample(FILLING, 5)
        rng.shuffle(words)
        made.append({"text": " ".join(words) + f" {i + 1000 * seed}", "label": label})
    return made
