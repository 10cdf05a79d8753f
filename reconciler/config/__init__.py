"""Files -> desired fleet: documents, templates, composition, validation, in that order.

Everything that reads the user's files lives here, and every problem with them is a diagnostic with a place.
Nothing here knows the service, the state or a plan.
"""

from reconciler.config.load import LoadLimits, environments, load, outline, read_source
from reconciler.config.rendered import Traced, rendered, trace
from reconciler.config.schema import fleet_schema, rendered_schema

__all__ = [
    "LoadLimits",
    "Traced",
    "environments",
    "fleet_schema",
    "load",
    "outline",
    "read_source",
    "rendered",
    "rendered_schema",
    "trace",
]
