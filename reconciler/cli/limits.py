"""The limits on loading a fleet's files that environment variables set."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from reconciler.secrets.sources import MORE_SCHEMES, more_schemes

if TYPE_CHECKING:
    from reconciler.config import LoadLimits


def load_limits() -> LoadLimits:
    """Return the limits for a load. The files themselves cannot set any of them."""
    from reconciler import config

    _say_what_is_missing()
    return config.LoadLimits(secret_schemes=more_schemes(os.environ.get(MORE_SCHEMES)))


@cache
def _say_what_is_missing() -> None:
    """Warn once if this system (Windows) cannot limit the time and memory of templates."""
    from reconciler.cli.output import write
    from reconciler.config.templates.worker import CONFINES

    if not CONFINES:
        write(
            "warning: on this system templates run without a limit of time and memory: read a stranger's fleet before you "
            "plan it [templates]\n",
            err=True,
        )
