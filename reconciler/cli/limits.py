"""The limits on loading a fleet's files that the environment sets."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from reconciler.secrets.sources import MORE_SCHEMES, more_schemes

if TYPE_CHECKING:
    from reconciler.config import LoadLimits


def load_limits() -> LoadLimits:
    """The limits on a load. Files cannot set any of them."""
    from reconciler import config

    _say_what_is_missing()
    return config.LoadLimits(secret_schemes=more_schemes(os.environ.get(MORE_SCHEMES)))


@cache
def _say_what_is_missing() -> None:
    """Say once that templates are not confined here (Windows)."""
    from reconciler.cli.output import write
    from reconciler.config.templates.worker import CONFINES

    if not CONFINES:
        write(
            "warning: on this system templates run without a limit of time and memory: read a stranger's fleet before you "
            "plan it [templates]\n",
            err=True,
        )
