"""The limits on loading a fleet's files that the environment sets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.secrets.sources import MORE_SCHEMES, more_schemes

if TYPE_CHECKING:
    from reconciler.config import LoadLimits


def load_limits() -> LoadLimits:
    """The limits on a load. Files cannot set any of them."""
    from reconciler import config

    return config.LoadLimits(secret_schemes=more_schemes(os.environ.get(MORE_SCHEMES)))
