"""Recipes: one TOML file a baseline, with a strict schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from segbench.catalog.cards import content_folder
from segbench.catalog.strict import Strict, read_toml
from segbench.errors import SegbenchError

Text = Annotated[str, StringConstraints(min_length=1)]


class ClassicalRecipe(Strict):
    """A training-free method with its options (checked by the method itself)."""

    schema_version: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Text
    description: Text
    kind: Literal["classical"]
    method: Text
    reference: Text
    options: dict[str, Any] = Field(default_factory=dict[str, Any])


def recipe_files() -> dict[str, Path]:
    """The recipes packed with segbench, by name."""
    return {path.stem: path for path in sorted(content_folder("baselines").glob("*.toml"))}


def find_recipe(name: str) -> ClassicalRecipe:
    """The recipe of a name, or in a .toml file given by path.

    Raises:
        SegbenchError: There is none, or it breaks the schema.
    """
    if name.endswith(".toml"):
        return read_toml(Path(name), ClassicalRecipe)
    files = recipe_files()
    if name not in files:
        raise SegbenchError(
            f"no recipe called {name!r}; there are {', '.join(files)}; your own is given as a path "
            f"that ends in .toml"
        )
    return read_toml(files[name], ClassicalRecipe)
