"""The sections of a run file about an ensemble: its members, and how they are trained and weighted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.tasks.classification.labeller import Labeller
from limbeck.tasks.classification.training_config import ClassifierRecipe, ClassifierTraining, Trained
from limbeck.tasks.run_config import PoolingName

__all__ = ["ASK_AGAIN", "Ensemble", "Member"]

ASK_AGAIN = 0.2
"""Share of the training rows that an API is asked about again between two rounds, if nothing else is said."""


def _member(value: Any) -> Any:
    """Read ``tfidf`` as the member it names, and give a model that learns its training."""
    if value == "tfidf":
        return {"tfidf": True}
    learns = isinstance(value, dict) and value.get("model") is not None and value.get("prompt") is None
    if learns and value.get("training") is None:
        return {**value, "training": {}}
    return value


class Member(Labeller):
    """A member of an ensemble: exactly one of `tfidf`, `model`, `api` and `labels_from`.

    It learns, unless its labels are a field of the rows or the answers to a prompt.
    """

    tfidf: bool = False
    """TF-IDF and logistic regression; ``tfidf`` alone is short for it."""
    recipe: Trained = ClassifierRecipe(name="fine_tune")
    """How the model learns the labels: any recipe without a teacher."""
    training: ClassifierTraining | None = None
    """How the model is trained."""
    pooling: PoolingName = "auto"
    """How its head reads the states of a text's tokens."""

    @property
    def learns(self) -> bool:
        """Whether it is trained, rather than asked or read."""
        return self.labels_from is None and self.prompt is None

    @model_validator(mode="after")
    def _one_kind(self) -> Member:
        kinds = {"tfidf": self.tfidf} | {
            name: getattr(self, name) is not None for name in ("model", "api", "labels_from")
        }
        given = [name for name, there in kinds.items() if there]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)} (given: {', '.join(given) or 'none'})")
        self.require_matching_keys()
        if self.tfidf and self.prompt is not None:
            raise ValueError("prompt is for an api, or a causal language model as model")
        of_model = self.training is not None or self.recipe.name != "fine_tune" or self.pooling != "auto"
        if (self.model is None or not self.learns) and of_model:
            raise ValueError("recipe, training and pooling are for a member with a model that learns")
        if self.training is not None and self.training.early_stopping is not None:
            raise ValueError("early_stopping is not for members of an ensemble: they have no development rows")
        return self


class Ensemble(BaseModel):
    """Several models that answer as one. Those that learn are cross-fitted: none answers a row that it learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: Annotated[list[Annotated[Member, BeforeValidator(_member)]], Field(min_length=1, max_length=20)]
    folds: Annotated[int, Field(ge=2, le=20)] = 3
    """Parts of the rows that are learned. Each member is trained once for each part, on all the others."""
    refit: bool = False
    """Train each member once more, on all rows that are learned, for the rows that are not: unlabelled and held-out
    ones. Otherwise these get the mean of its models of all folds."""
    rounds: Annotated[int, Field(ge=1, le=10)] = 1
    """How often all members are trained: in each further round, rows with another model's label alone have that of the
    previous round's ensemble in its place."""
    ask_again: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the training rows that a member behind an API is asked about once more before each further round, at
    most: those whose label the other members contradict. Default: 0.2 with such a member and several rounds."""

    @property
    def labeller_place(self) -> int | None:
        """The place of the member that does not learn, from 0; ``None``: all do."""
        return next((place for place, member in enumerate(self.members) if not member.learns), None)

    @property
    def labeller(self) -> Member | None:
        """The member that does not learn: its labels are learned where no gold label is."""
        place = self.labeller_place
        return None if place is None else self.members[place]

    def with_prompt(self, prompt: LabelPrompt) -> Ensemble:
        """Return the ensemble with another prompt for the member that has one."""
        members = [
            member if member.prompt is None else member.model_copy(update={"prompt": prompt})
            for member in self.members
        ]
        return self.model_copy(update={"members": members})

    @property
    def may_ask_again(self) -> bool:
        """Whether there is an API to ask, and a round that would learn what it says."""
        return self.rounds > 1 and self.labeller is not None and self.labeller.api is not None

    def with_share(self) -> Ensemble:
        """Return the ensemble with its share of rows to ask about again spelled out."""
        if self.ask_again is not None or not self.may_ask_again:
            return self
        return self.model_copy(update={"ask_again": ASK_AGAIN})

    @model_validator(mode="after")
    def _members_that_learn(self) -> Ensemble:
        given = ["labels_from" if one.prompt is None else "a prompt" for one in self.members if not one.learns]
        if len(given) > 1:
            raise ValueError(
                f"members: only one of them can be labels_from or have a prompt (given: {', '.join(given)}), for its "
                "labels are what the others learn. Leave out all but one"
            )
        if sum(member.tfidf for member in self.members) > 1:
            raise ValueError("members: tfidf is there twice, and both would learn the same")
        if self.rounds > 1 and self.labeller is None:
            raise ValueError(
                "rounds: gold labels stay as they are, so more rounds need a member with labels_from or a prompt"
            )
        if not any(member.learns for member in self.members):
            alone = "labels_from" if self.members[0].prompt is None else "a model that is asked"
            instead = "labels_from" if self.members[0].prompt is None else "prompt"
            raise ValueError(f"members: {alone} alone is no ensemble. Add tfidf or a model, or use teacher.{instead}")
        if self.ask_again and not self.may_ask_again:
            missing = "rounds: 2 or more, which learn what it says" if self.rounds == 1 else "a member with an api"
            raise ValueError(f"ask_again: to ask an API again needs {missing}. Add that, or leave ask_again out")
        return self
