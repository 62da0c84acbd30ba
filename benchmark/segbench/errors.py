"""The two ways segbench says no.

An error message says what was found, where, what was expected and what to do next. Input that is
wrong in several places is reported whole: everything is collected first, then raised once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Problems:
    """Everything found wrong with one input, by kind, in the order in which it was found.

    >>> problems = Problems()
    >>> problems.add("missing file", "IMD003.png")
    >>> problems.text()
    'missing file (1): IMD003.png'
    """

    shown: int = 5
    _found: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _hints: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, kind: str, where: str, *, hint: str = "") -> None:
        """Note one problem of a kind; the first hint given for a kind is printed below it."""
        self._found.setdefault(kind, []).append(where)
        if hint:
            self._hints.setdefault(kind, hint)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))

    @property
    def kinds(self) -> dict[str, Sequence[str]]:
        """Every place at which each kind of problem was found."""
        return dict(self._found)

    def text(self, *, shown: int | None = None) -> str:
        """One paragraph a kind: how often, the first few places, and what to do about it."""
        shown = self.shown if shown is None else shown
        lines: list[str] = []
        for kind, places in self._found.items():
            more = len(places) - shown
            tail = f", and {more} more" if more > 0 else ""
            lines.append(f"{kind} ({len(places)}): {', '.join(places[:shown])}{tail}")
            if kind in self._hints:
                lines.append(f"    {self._hints[kind]}")
        return "\n".join(lines)

    def error(self, headline: str) -> SegbenchError:
        """One `SegbenchError` that lists all of it."""
        return SegbenchError(f"{headline}\n{self.text()}", headline=headline, problems=self)

    def raise_if_any(self, headline: str) -> None:
        """Raise one `SegbenchError` that lists all of it; do nothing when nothing was found."""
        if self._found:
            raise self.error(headline)


class SegbenchError(Exception):
    """The input was refused; the message is written for the person who gave it (exit code 1).

    Attributes:
        problems: Everything found wrong, where the message lists only the first few of each kind.
    """

    def __init__(
        self, message: str, *, headline: str = "", problems: Problems | None = None
    ) -> None:
        super().__init__(message)
        self.headline = headline or message
        self.problems = problems

    def whole_text(self) -> str:
        """The message with every place at which each kind of problem was found."""
        if self.problems is None:
            return str(self)
        return f"{self.headline}\n{self.problems.text(shown=len(self.problems))}"
