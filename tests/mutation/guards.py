"""Which tests guard a module of the package, those that are about it first: what a mutant of it is given to."""

from __future__ import annotations

from pathlib import Path

_ENGINE = ("tests/unit/plan", "tests/unit/apply", "tests/scenarios/test_verbs.py")
_STATE = ("tests/unit/state", "tests/contracts")
_CLAIMS = ("tests/scenarios/test_verbs.py", "tests/scenarios/test_foreign_agents.py")

# A module or a folder of the package, by its path -> the tests that are about it. Those of its folder come after them.
QUICK: dict[str, tuple[str, ...]] = {
    "apply": (
        "tests/unit/apply",
        "tests/scenarios/test_verbs.py",
        "tests/unit/controller",
        "tests/unit/plan",
    ),
    "apply/adopting.py": _CLAIMS,
    "apply/archiving.py": ("tests/scenarios/test_transcripts.py",),
    "codehosts": ("tests/codehosts",),
    "controller": ("tests/unit/controller", "tests/unit/plan/test_due.py"),
    "driver": ("tests/unit/driver", "tests/unit/providers", "tests/contracts"),
    "driver/rehearsal.py": ("tests/scenarios/test_verbs.py", "tests/scenarios/test_callers.py"),
    "driver/secrets.py": ("tests/hostile/test_secret_sources.py",),
    "observe.py": (*_ENGINE, "tests/scenarios/test_reading.py", "tests/scenarios/test_foreign_agents.py"),
    "plan": (*_ENGINE, "tests/unit/controller"),
    "plan/approval.py": ("tests/unit/plan", "tests/scenarios/test_approval.py"),
    "plan/dangers.py": ("tests/unit/plan", "tests/scenarios/test_approval.py"),
    "plan/freeze.py": ("tests/unit/plan", "tests/scenarios/test_freezes.py"),
    "plan/guard.py": ("tests/unit/plan", "tests/hostile/test_guards.py"),
    "plan/planfile.py": (
        "tests/unit/plan",
        "tests/numbered/test_plan_file.py",
        "tests/hostile/test_plan_files.py",
    ),
    "providers": ("tests/unit/providers", "tests/contracts", "tests/numbered/test_replies.py"),
    "providers/agora/checks.py": ("tests/scenarios/test_doctor.py",),
    "providers/agora/connectors.py": ("tests/scenarios/test_doctor.py",),
    "state": (*_STATE, "tests/hostile/test_states.py", "tests/numbered/test_state.py"),
    "state/archive.py": ("tests/scenarios/test_transcripts.py",),
    "state/format1.py": ("tests/unit/state/test_format1.py",),
    "state/key.py": ("tests/scenarios/test_state_commands.py",),
    "state/log": (*_STATE, "tests/scenarios/test_git_state.py"),
    "state/opening.py": ("tests/scenarios/test_state_migration.py", "tests/scenarios/test_state_commands.py"),
    "state/place.py": ("tests/scenarios/test_state_migration.py", "tests/scenarios/test_state_commands.py"),
    "state/service_cache.py": ("tests/unit/state/test_service_cache.py",),
    "state/whole.py": ("tests/scenarios/test_state_commands.py", "tests/scenarios/test_state_migration.py"),
    "workflow": (
        "tests/unit/workflow",
        "tests/scenarios/test_verbs.py",
        "tests/unit/apply",
        "tests/unit/plan",
    ),
    "workflow/applying.py": (
        "tests/unit/apply",
        "tests/unit/plan",
        "tests/scenarios/test_approval.py",
        "tests/scenarios/test_transcripts.py",
    ),
    "workflow/claiming.py": _CLAIMS,
    "workflow/doctor.py": ("tests/unit/workflow", "tests/scenarios/test_doctor.py"),
    "workflow/looking.py": (
        "tests/scenarios/test_verbs.py",
        "tests/scenarios/test_reading.py",
        "tests/unit/workflow",
        "tests/scenarios/test_import.py",
    ),
    "workflow/offline.py": ("tests/scenarios/test_offline_plan.py",),
    "workflow/readiness.py": ("tests/scenarios/test_doctor.py",),
    "workflow/transfers.py": ("tests/scenarios/test_state_migration.py",),
}

_DECISIONS = ("tests/contracts", "tests/hostile/test_guards.py", "tests/scenarios", "tests/unit/report")
# A folder of the package -> what else its mutants may be noticed by, and takes longer.
SLOW: dict[str, tuple[str, ...]] = {
    "apply": _DECISIONS,
    "codehosts": ("tests/scenarios/test_pull_requests.py", "tests/scenarios/test_merge_requests.py"),
    "controller": ("tests/unit/apply", "tests/unit/serve"),
    "driver": ("tests/scenarios", "tests/hostile/test_interruption.py", "tests/unit/controller"),
    "observe.py": _DECISIONS,
    "plan": (*_DECISIONS, "tests/properties"),
    "providers": ("tests/scenarios", "tests/properties"),
    "state": ("tests/scenarios", "tests/hostile/test_without_posix.py", "tests/unit/driver"),
    "workflow": _DECISIONS,
}
ROOMS = tuple(SLOW)


def guards_of(module: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The quick tests of a module, by its path below the package, those about it first; and the slow ones of its folder."""
    places = [module, *module.parents]
    quick = [test for place in places for test in QUICK.get(place.as_posix(), ())]
    return tuple(dict.fromkeys(quick)), SLOW[module.parts[0]]
