"""`method.toml`: what a submitter says of a method, strict, and the template to fill in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from segbench.board.entry import Cost, Line, Links, Method, Prose, Sha256, Training
from segbench.catalog.strict import Strict, load_toml, validate

MAX_WATTS = 1e6
"""A training that draws more is a slip of units."""


class MethodFile(Strict):
    """What `method.toml` holds: everything of an entry that no program can find out."""

    authors: tuple[Line, ...] = Field(min_length=1, max_length=100)
    licence: Annotated[Prose, StringConstraints(max_length=300)] = ""
    weights_sha256: Sha256 | None = None
    method: Method
    training: Training
    cost: Cost = Cost()
    links: Links = Links()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        cost = self.cost
        trained = cost.training_seconds is not None or cost.training_kwh is not None
        if trained and cost.training_machine is None:
            raise ValueError("cost.training_machine is missing: on what was it trained so long?")
        if cost.training_kwh is not None and cost.training_seconds:
            watts = cost.training_kwh * 3.6e6 / cost.training_seconds
            if watts > MAX_WATTS:
                raise ValueError(
                    f"cost.training_kwh in cost.training_seconds are {watts:,.0f} W: which of the "
                    f"two has another unit?"
                )
        return self


def read_method(path: Path) -> MethodFile:
    """The method that a file describes.

    Raises:
        SegbenchError: It is missing, not TOML, or breaks the schema; all faults are listed.
    """
    return validate(load_toml(path), MethodFile, where=path)


def method_toml(
    *,
    title: str = "",
    description: str = "",
    authors: tuple[str, ...] = (),
    training_data: str = "",
    reference: str = "",
    commands: tuple[str, ...] = (),
    licence: str = "",
    code: str = "",
) -> str:
    """A `method.toml`, filled in as far as it is known; the rest is left as comments."""
    listed = ", ".join(map(_quoted, authors))
    run = ", ".join(map(_quoted, commands))
    return f"""\
# How the masks were made: `segbench submit --method method.toml`. Fill in what is empty; without
# what is marked as required it is refused.
authors = [{listed}]  # required, such as ["Ada Lovelace"]
licence = {_quoted(licence)}  # of the predictions, such as "CC-BY-4.0"
# weights_sha256 = "..."  # of the weights' file

[method]
title = {_quoted(title)}  # required, such as "U-Net, three seeds"
description = {_quoted(description)}  # required: what was done, in a few sentences
reference = {_quoted(reference)}  # paper or source, with DOI
recipe = ""  # a recipe of segbench, where it followed one
commands = [{run}]  # from the images to the masks
tta = false  # averaged over mirror images?

[training]
data = {_quoted(training_data)}  # required: "train split of ph2", or "none"
external_data = ""  # everything else that it was trained on
pretraining = ""  # "encoder on ImageNet-1k"
seeds = []

[cost]
# parameters = 5198161
# flops = 4322546688  # of the network for one image; a multiplication and an addition are two
# training_seconds = 1385.4
# training_kwh = 0.02
# training_machine = "1 x NVIDIA T4"
# latencies = [{{ milliseconds = 31.0, device = "1 x NVIDIA T4" }}]  # one image at a time

[links]
# paper = "https://..."
{f"code = {_quoted(code)}" if code else '# code = "https://..."'}
"""


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are a part of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
