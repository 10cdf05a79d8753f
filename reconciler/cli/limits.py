"""The bounds on reading a fleet's files, as whoever runs the command sets them in the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.secrets.sources import MORE_SCHEMES, more_schemes

if TYPE_CHECKING:
    from reconciler.config import LoadLimits


def load_limits() -> LoadLimits:
    """The bounds on a load; files cannot set any of them."""
    from reconciler import config

    return config.LoadLimits(secret_schemes=more_schemes(os.environ.get(MORE_SCHEMES)))
