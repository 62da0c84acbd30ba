"""Read a TOML file into a strict model; every error names the file, the key and what is allowed."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from segbench.catalog.faults import cut, example_of, fault_words, place_of_fault
from segbench.errors import Problems, SegbenchError

MAX_TOML_BYTES = 2**20


class Strict(BaseModel):
    """A table of a content file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


AnyStrict = TypeVar("AnyStrict", bound=Strict)


def read_toml(path: Path, model: type[AnyStrict]) -> AnyStrict:
    """Read and check one file.

    Raises:
        SegbenchError: The file is missing, not TOML, or breaks the schema; all faults are listed.
    """
    return validate(load_toml(path), model, where=path)


def load_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        SegbenchError: The file is missing or not TOML.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_TOML_BYTES + 1)
        if len(text) > MAX_TOML_BYTES:
            raise SegbenchError(f"{path}: over {MAX_TOML_BYTES >> 20} MiB; expected a few lines")
        return tomllib.loads(text.decode("utf-8"))
    except FileNotFoundError:
        raise SegbenchError(f"{path}: no such file") from None
    except RecursionError:
        raise SegbenchError(f"{path}: not readable as TOML (nested too deeply)") from None
    except (OSError, ValueError) as error:
        raise SegbenchError(f"{path}: not readable as TOML ({error})") from error


def validate(content: object, model: type[AnyStrict], *, where: Path) -> AnyStrict:
    """Check what a file holds against a schema.

    Raises:
        SegbenchError: It breaks the schema; all faults are listed.
    """
    try:
        # as JSON, where a list may stand for a tuple and a text for a date, but not "8" for 8
        return model.model_validate_json(to_json(content, inf_nan_mode="constants"), strict=True)
    except PydanticSerializationError as error:
        raise SegbenchError(
            f"{where}: does not follow the schema (a text or key is no Unicode: {error})"
        ) from error
    except ValidationError as error:
        problems = Problems(shown=100)
        for fault in error.errors():
            kind, place = _explain(model, fault, toml=where.suffix == ".toml")
            problems.add(kind, place)
        raise SegbenchError(f"{where}: does not follow the schema\n{problems.text()}") from error


def _explain(model: type[Strict], fault: ErrorDetails, *, toml: bool) -> tuple[str, str]:
    location = tuple(fault["loc"])
    key = place_of_fault(fault)
    if fault["type"] == "extra_forbidden":
        allowed = _keys_at(model, location[:-1])
        near = get_close_matches(str(location[-1]), allowed, n=1)
        meant = f"do you mean {near[0]}? " if near else ""
        return "unknown key", f"{cut(key)} ({meant}allowed here: {', '.join(allowed)})"
    if fault["type"] == "missing":
        return "missing key", f"{key}{example_of(location, toml=toml)}"
    return "wrong value", fault_words(fault, toml=toml)


def _keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys allowed in the table at a location of the file."""
    current: Any = model
    for part in location:
        models = _models(current)
        tagged = [m for m in models if _tag(m) == part]
        if tagged:  # pydantic puts a union's tag into the location
            current = tagged[0]
            continue
        fields = next((m.model_fields[part] for m in models if part in m.model_fields), None)
        if fields is not None:
            current = fields.annotation
    return sorted({name for m in _models(current) for name in m.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field is not None else ()
    return values[0] if values else None
