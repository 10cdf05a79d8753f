"""The format `terraform`: the numbers of agents to create, change and delete, for GitLab's terraform reports.

Its readers know these three keys, and some refuse others. How many conversations end is therefore said on stderr.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from reconciler.report.documents import as_json_line
from reconciler.report.formats import RenderOptions

if TYPE_CHECKING:
    from reconciler.plan.build import Plan


def plan(value: Plan, options: RenderOptions) -> str:
    """Return one object with the counts; a replacement counts as one deletion and one creation, as in Terraform."""
    from reconciler.plan.change import action_of
    from reconciler.report.json_plan import TERRAFORM_ACTIONS

    found = Counter(word for each in value.changes for word in TERRAFORM_ACTIONS[action_of(each)])
    return as_json_line({word: found[word] for word in ("create", "update", "delete")})
