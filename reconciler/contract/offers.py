"""The vendors, where each is offered, and what each requires: functions that read the rows.

A param is required if no known source (page, guide, sample, SDK) works without it; what only some of them require is
`disputed`. What managed credentials or a preset can supply is not required of those who use them, and nothing is
required over a pipeline, which may hold it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from reconciler.contract.agora.managed import MANAGED_SUPPLIES, PRESETS
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.rows import UNNAMED, Need, Vendor

VENDORS: Final[Mapping[str, Mapping[str, Vendor]]] = {name: slot.vendors for name, slot in SLOTS.items()}

# (slot, vendor or style) -> the host that gets its credential when no URL is given.
VENDOR_HOSTS: Final[Mapping[tuple[str, str], str]] = {
    (name, row.name): row.host for name, slot in SLOTS.items() for row in slot.rows.values()
}

# Slot, then vendor or style -> its requirements: each a list of ways to meet it, as paths below the slot.
NEEDS: Final[Mapping[str, Mapping[str, tuple[Need, ...]]]] = {
    name: {UNNAMED: slot.unnamed_needs, **{row.name: row.needs for row in slot.rows.values()}}
    for name, slot in SLOTS.items()
}


def vendor_of(slot: str, tree: Any) -> str:
    """Return the vendor that a properties tree names in a slot, or the service's default.

    Where the slot has styles, a known style is returned instead. An unknown vendor is returned as it is written.
    """
    part = tree.get(slot)
    if not isinstance(part, Mapping):
        return SLOTS[slot].default
    style = part.get("style")
    if isinstance(style, str) and style in SLOTS[slot].styles:
        return style
    name = part.get("vendor", SLOTS[slot].default)
    return name if isinstance(name, str) else SLOTS[slot].default


@lru_cache(256)
def preset_slots(preset: str | None) -> frozenset[str]:
    """Return the slots that a preset supplies; all of them when it names an unknown preset."""
    names = [name.strip() for name in preset.split(",") if name.strip()] if preset else []
    if any(name not in PRESETS for name in names):
        return frozenset(SLOTS)
    return frozenset(PRESETS[name][0] for name in names)


# The same for the requirements of only some sources.
DISPUTED: Final[Mapping[str, Mapping[str, tuple[Need, ...]]]] = {
    name: {row.name: row.disputed for row in slot.rows.values()} for name, slot in SLOTS.items()
}


def missing_params(
    slot: str,
    tree: Any,
    preset: str | None = None,
    *,
    pipeline_id: str | None = None,
    demanded: Mapping[str, Mapping[str, tuple[Need, ...]]] = NEEDS,
) -> list[tuple[str, ...]]:
    """Return what the vendor in `slot` requires and the tree lacks, as paths from the root of the properties.

    `demanded` is `NEEDS`, or `DISPUTED` for what only some sources require. If there are several ways to meet a
    requirement, the path is that of the first. Nothing is missing in a slot that is absent, switched off or replaced by
    `mllm`, or whose vendor is unknown.
    """
    part = tree.get(slot)
    if not isinstance(part, Mapping) or pipeline_id or _is_off(slot, tree, part):
        return []
    needs = demanded[slot].get(vendor_of(slot, tree), ())
    preset_covers = slot in preset_slots(preset)
    if preset_covers or part.get("credential_mode") == "managed":
        supplied = MANAGED_SUPPLIES | {"vendor", "params"} if preset_covers else MANAGED_SUPPLIES
        needs = tuple(need for need in needs if not all(way[-1] in supplied for way in need))
    return [(slot, *need[0]) for need in needs if not any(_is_given(part, way) for way in need)]


def _is_off(slot: str, tree: Any, part: Mapping[str, Any]) -> bool:
    if slot == "avatar":
        return part.get("enable") is not True
    if slot == "mllm":
        return part.get("enable") is False
    return uses_mllm(tree)


def uses_mllm(tree: Mapping[str, Any]) -> bool:
    """Return whether one multimodal model replaces asr, llm and tts, by `mllm.enable` or the deprecated switch."""
    mllm, features = tree.get("mllm"), tree.get("advanced_features")
    if not isinstance(mllm, Mapping):
        return False
    is_old = isinstance(features, Mapping) and features.get("enable_mllm") is True
    return mllm.get("enable") is True or (is_old and "enable" not in mllm)


def _is_given(part: Any, way: tuple[str, ...]) -> bool:
    for key in way:
        if not isinstance(part, Mapping) or key not in part:
            return False
        part = part[key]
    return True
