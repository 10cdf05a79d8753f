"""Load a fleet's files into the desired fleet: documents, templates, composition, validation, in that order.

All code that reads the user's files is here, and every problem with them is a diagnostic with a place. Nothing here
knows the service, the state or a plan.
"""

from reconciler.config.expand.settings import POLICY_FILE, load_policy
from reconciler.config.load import LoadLimits, environments, load, outline, read_source
from reconciler.config.rendered import Traced, rendered, trace

__all__ = [
    "POLICY_FILE",
    "LoadLimits",
    "Traced",
    "environments",
    "load",
    "load_policy",
    "outline",
    "read_source",
    "rendered",
    "trace",
]
