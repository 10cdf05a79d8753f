"""References to secrets, their values, which sources may be named, and how values are kept out of what is shown.

Nothing here reads an environment, a file or a program: `driver.secrets` does.
"""

from reconciler.secrets.references import (
    MARK,
    Secret,
    SecretRef,
    pieces,
    references,
    substitute,
    written_path,
)

__all__ = [
    "MARK",
    "Secret",
    "SecretRef",
    "pieces",
    "references",
    "substitute",
    "written_path",
]
