"""The source's own columns: from a table beside the pictures, or from the parts of an id."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segbench.catalog.card import ColumnFrom, Metadata, Table
from segbench.errors import SegbenchError


def read_fields(
    source: Path, metadata: Metadata, ids: Iterable[str]
) -> tuple[dict[str, dict[str, str]], tuple[str, ...]]:
    """The source's columns for each id, in the card's order; "" where the source says nothing.

    Returns:
        The columns by id, and what a person should know: samples that the table does not have.

    Raises:
        SegbenchError: The card names a table that the source lacks, or the table is not as the
            card says or has none of the samples, or an id does not match `from_id`.
    """
    fields: dict[str, dict[str, str]] = {identifier: {} for identifier in ids}
    if metadata.from_id is not None:
        for identifier, columns in fields.items():
            match = re.fullmatch(metadata.from_id, identifier)
            if match is None:
                raise SegbenchError(f"id {identifier} does not match from_id {metadata.from_id!r}")
            columns.update(match.groupdict(default=""))
    if metadata.tables:
        table, path = _find(source, metadata.tables)
        values = _read(path, table)
        absent = sorted(i for i in fields if i.casefold() not in values)
        if absent and len(absent) == len(fields):
            raise _no_match(path, table, absent, sorted(values))
        for identifier, columns in fields.items():
            columns.update(values.get(identifier.casefold(), dict.fromkeys(table.columns, "")))
        if absent:
            note = (
                f"{path.name} has no row for {len(absent):,} of {len(fields):,} samples "
                f"({', '.join(absent[:3])}{', ...' * (len(absent) > _SHOWN)}): their columns are "
                f"empty"
            )
            return fields, (note,)
    return fields, ()


_SHOWN = 3


def _no_match(path: Path, table: Table, ids: Sequence[str], keys: Sequence[str]) -> SegbenchError:
    stems = {key.rpartition(".")[0] for key in keys}
    ending = any(identifier.casefold() in stems for identifier in ids)
    advice = (
        "the keys carry a file's ending: write them without it"
        if ending
        else "is it the right column? the card's `key` names the one that holds the ids"
    )
    return SegbenchError(
        f"{path}: the column {table.key!r} has none of the {len(ids):,} samples: it holds "
        f"{', '.join(keys[:_SHOWN]) or 'nothing'}, the ids are {', '.join(ids[:_SHOWN])}; {advice}"
    )


def _find(source: Path, tables: Sequence[Table]) -> tuple[Table, Path]:
    for folder in (source, *source.absolute().parents[:2]):
        for table in tables:
            names = folder.rglob("*") if folder == source else folder.iterdir()
            wanted = table.file.casefold()
            hits = sorted(p for p in names if p.name.casefold() == wanted and p.is_file())
            if hits:
                return table, hits[0]
    names = " or ".join(table.file for table in tables)
    raise SegbenchError(
        f"{source}: no {names}; it holds the samples' columns and lies beside the pictures in the "
        f"original archive: give the whole archive or folder with --source"
    )


def _read(path: Path, table: Table) -> dict[str, dict[str, str]]:
    """The card's columns for each id (lower case)."""
    rows = {"xlsx": _xlsx_rows, "csv": _csv_rows, "pipes": _pipe_rows}[table.kind](path)
    at = next((i for i, row in enumerate(rows) if table.key in row), None)
    if at is None:
        raise SegbenchError(f"{path}: no header row with a cell {table.key!r}")
    header = rows[at]
    needed = {table.key}
    for column in table.columns.values():
        needed |= {column.source} if isinstance(column, ColumnFrom) else set(column.one_hot)
    if absent := sorted(needed - set(header)):
        raise SegbenchError(f"{path}: no column {', '.join(absent)}; there are {', '.join(header)}")
    found: dict[str, dict[str, str]] = {}
    for row in rows[at + 1 :]:
        cells = dict(zip(header, row, strict=False))
        if identifier := cells.get(table.key, ""):
            found[identifier.casefold()] = _columns(path, identifier, table, cells)
    return found


def _columns(path: Path, identifier: str, table: Table, cells: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, column in table.columns.items():
        if isinstance(column, ColumnFrom):
            value = cells.get(column.source, "")
            values[name] = (column.values or {}).get(value, value)
            continue
        marked = [value for source, value in column.one_hot.items() if cells.get(source)]
        if len(marked) != 1:
            raise SegbenchError(
                f"{path}: {identifier} is marked in {len(marked)} of "
                f"{', '.join(column.one_hot)}; expected one"
            )
        values[name] = marked[0]
    return values


def _xlsx_rows(path: Path) -> list[list[str]]:
    import openpyxl  # noqa: PLC0415
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [
            ["" if cell is None else str(cell).strip() for cell in row]
            for sheet in book.worksheets
            for row in sheet.iter_rows(values_only=True)
        ]
        book.close()
    except (OSError, ValueError, KeyError, EOFError, InvalidFileException) as error:
        raise SegbenchError(f"{path}: not a readable spreadsheet ({error})") from error
    return rows


def _csv_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [[cell.strip() for cell in row] for row in csv.reader(stream)]


def _pipe_rows(path: Path) -> list[list[str]]:
    """Rows such as `|| IMD003 ||   || 0 || 0 | T | A ||`: cells between double bars."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [
        [cell.strip() for cell in line.strip().strip("|").split("||")]
        for line in text.splitlines()
        if line.strip().startswith("||")
    ]
