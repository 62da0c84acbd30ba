"""`segbench audit NAME`: is the same thing in two splits?"""

from __future__ import annotations

from typing import Annotated

import typer

from segbench.commands.options import Data, Jobs


def audit(
    name: Annotated[str, typer.Argument(help="A prepared dataset.")],
    *,
    data: Data = None,
    jobs: Jobs = None,
) -> None:
    """Look for leaks: the same picture or thing, or one group, in two splits or folds."""
    raise NotImplementedError
