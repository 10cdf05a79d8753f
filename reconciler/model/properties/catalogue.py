"""Which vendors there are, where they are offered, and what each must be given: tables over `vendors/`.

A param is demanded where the vendor's page or the SDK's type demands it. What managed credentials or a
preset can supply is not demanded of those who use them, and nothing is demanded over a pipeline, which may
hold it already.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from reconciler.model.tree import MISSING, Path, value_at
from reconciler.model.vendors import UNNAMED, Need, Slot, Vendor, asr, avatar, llm, mllm, tts

SLOTS: Final[tuple[Slot, ...]] = ("asr", "llm", "tts", "mllm", "avatar")

VENDORS: Final[Mapping[Slot, Mapping[str, Vendor]]] = MappingProxyType(
    {
        "asr": asr.VENDORS,
        "llm": llm.VENDORS,
        "tts": tts.VENDORS,
        "mllm": mllm.VENDORS,
        "avatar": avatar.VENDORS,
    }
)
DEFAULT_VENDOR: Final[Mapping[Slot, str]] = MappingProxyType(
    {
        "asr": asr.DEFAULT,
        "llm": llm.DEFAULT,
        "tts": tts.DEFAULT,
        "mllm": mllm.DEFAULT,
        "avatar": avatar.DEFAULT,
    }
)

# Regions: what only mainland China's service offers, what it offers at all, and its other defaults.
CN_ONLY: Final[Mapping[Slot, frozenset[str]]] = MappingProxyType(
    {slot: frozenset(v.name for v in VENDORS[slot].values() if not v.worldwide) for slot in SLOTS}
)
CN_VENDORS: Final[Mapping[Slot, frozenset[str]]] = MappingProxyType(
    {slot: frozenset(v.name for v in VENDORS[slot].values() if v.cn) for slot in SLOTS}
)
CN_DEFAULTS: Final[Mapping[Path, str]] = MappingProxyType(
    {("asr", "vendor"): "fengming", ("asr", "language"): "zh-CN"}
)
PREVIEW_ONLY: Final[Mapping[Slot, frozenset[str]]] = MappingProxyType(
    {slot: frozenset(v.name for v in VENDORS[slot].values() if v.preview) for slot in SLOTS}
)

# The old way to managed credentials: a preset's slot and vendor.
PRESETS: Final[Mapping[str, tuple[Slot, str]]] = MappingProxyType(
    {
        "deepgram_nova_2": ("asr", "deepgram"),
        "deepgram_nova_3": ("asr", "deepgram"),
        "openai_gpt_4o_mini": ("llm", "openai"),
        "openai_gpt_4_1_mini": ("llm", "openai"),
        "openai_gpt_5_nano": ("llm", "openai"),
        "openai_gpt_5_mini": ("llm", "openai"),
        "minimax_speech_2_6_turbo": ("tts", "minimax"),
        "minimax_speech_2_8_turbo": ("tts", "minimax"),
        "openai_tts_1": ("tts", "openai"),
    }
)

_UNNAMED_NEEDS: Final[Mapping[Slot, tuple[Need, ...]]] = MappingProxyType(
    {
        "tts": ((("vendor",),), (("params",),)),
        "mllm": ((("api_key",),),),
        "avatar": ((("vendor",),), (("params",),)),
    }
)

# Slot, vendor (or LLM style) -> what must be given: ways to give one thing, each a path below the slot.
REQUIRED_PARAMS: Final[Mapping[Slot, Mapping[str, tuple[Need, ...]]]] = MappingProxyType(
    {
        slot: {row.name: row.needs for row in VENDORS[slot].values()}
        | ({row.name: row.needs for row in llm.STYLE_VENDORS.values()} if slot == "llm" else {})
        | ({UNNAMED: _UNNAMED_NEEDS[slot]} if slot in _UNNAMED_NEEDS else {})
        for slot in SLOTS
    }
)

# Last keys of what Agora supplies in managed mode: credential, address, model.
MANAGED_SUPPLIES: Final = frozenset(
    {
        "key",
        "api_key",
        "access_key",
        "secret_key",
        "group_id",
        "url",
        "base_url",
        "model",
        "model_id",
        "modelId",
    }
)


def vendor_of(slot: Slot, tree: Any) -> str:
    """The vendor that a properties tree names in a slot, or the service's default.

    For `llm` the style decides when it is not OpenAI's. An unknown vendor is returned as it is written.
    """
    part = tree.get(slot)
    if not isinstance(part, Mapping):
        return DEFAULT_VENDOR[slot]
    if slot == "llm":
        style = part.get("style")
        if isinstance(style, str) and style in llm.STYLE_VENDORS:
            return style
    name = part.get("vendor", DEFAULT_VENDOR[slot])
    return name if isinstance(name, str) else DEFAULT_VENDOR[slot]


def preset_slots(preset: str | None) -> frozenset[Slot]:
    """The slots that a preset supplies; all of them when it names one we do not know."""
    names = [name.strip() for name in preset.split(",") if name.strip()] if preset else []
    if any(name not in PRESETS for name in names):
        return frozenset(SLOTS)
    return frozenset(PRESETS[name][0] for name in names)


def missing_params(
    slot: Slot, tree: Any, preset: str | None = None, *, pipeline_id: str | None = None
) -> list[Path]:
    """What the vendor in `slot` must be given and is not: paths from the root of the properties tree.

    Where there are several ways to give a thing, the path of the first. Nothing is missing in a slot that
    is absent, switched off or replaced by `mllm`, or whose vendor is unknown.
    """
    part = tree.get(slot)
    if not isinstance(part, Mapping) or pipeline_id or _is_off(slot, tree, part):
        return []
    needs = REQUIRED_PARAMS[slot].get(vendor_of(slot, tree), ())
    preset_covers = slot in preset_slots(preset)
    if preset_covers or part.get("credential_mode") == "managed":
        supplied = MANAGED_SUPPLIES | {"vendor", "params"} if preset_covers else MANAGED_SUPPLIES
        needs = tuple(need for need in needs if not all(way[-1] in supplied for way in need))
    return [(slot, *need[0]) for need in needs if all(value_at(part, way) is MISSING for way in need)]


def _is_off(slot: Slot, tree: Any, part: Mapping[str, Any]) -> bool:
    if slot == "avatar":
        return part.get("enable") is not True
    if slot == "mllm":
        return part.get("enable") is False
    replaced = tree.get("mllm")
    return isinstance(replaced, Mapping) and replaced.get("enable") is True
