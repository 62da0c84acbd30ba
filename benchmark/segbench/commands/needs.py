"""Say which extra is missing where a library that segbench does not require is not installed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from segbench.errors import SegbenchError


@contextlib.contextmanager
def needs_torch() -> Generator[None]:
    """Around imports that need the extra `train`.

    Raises:
        SegbenchError: A library of the extra is not installed; the message has the command.
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        if missing == "segbench":
            raise
        raise SegbenchError(
            f"networks need {missing}, which is not installed: pip install 'segbench[train]' "
            f"(from a checkout: pip install -e '.[train]')"
        ) from error
