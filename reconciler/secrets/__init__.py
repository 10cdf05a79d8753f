"""References to secrets, their values, the sources that references may name, and the masking of values in texts.

Nothing here reads an environment, a file or a program: `driver.secrets` does.
"""

from reconciler.secrets.references import (
    MARK,
    UNFILLED,
    Secret,
    SecretRef,
    pieces,
    references,
    substitute,
    written_path,
)

__all__ = [
    "MARK",
    "UNFILLED",
    "Secret",
    "SecretRef",
    "pieces",
    "references",
    "substitute",
    "written_path",
]
