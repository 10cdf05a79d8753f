"""What the vendor's own SDK can say is known to our shapes: no false `unknown key`."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from reconciler.contract.agora.properties import PROPERTIES, SLOTS
from reconciler.contract.kinds import FieldType

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SDK = pytest.importorskip("agora_agent")
    TYPES = {
        name: getattr(module, name)
        for package in ("agora_agent.types", "agora_agent.agents.types")
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__)
        for module in [importlib.import_module(f"{package}.{info.name}")]
        for name in vars(module)
        if isinstance(vars(module)[name], type) and hasattr(vars(module)[name], "model_fields")
    }

# Where the SDK says a thing that the service does not take there.
NOT_OURS = {("channel",), ("token",)}


def sdk_fields(model: Any) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        alias = next((m.alias for m in field.metadata if hasattr(m, "alias")), None)
        yield field.alias or alias or name, field.annotation


def model_in(annotation: Any) -> Any:
    """The one model inside Optional, List or Annotated, if there is one."""
    if hasattr(annotation, "model_fields"):
        return annotation
    inner = (model_in(each) for each in get_args(annotation) if not isinstance(each, str))
    return next((each for each in inner if each is not None), None)


def our_field(kinds: list[FieldType], key: str) -> list[FieldType]:
    return [kind.fields[key] for kind in kinds if key in kind.fields]


def below(kind: FieldType) -> list[FieldType]:
    """The types that a field may hold."""
    if kind.variants:
        return list(kind.variants.values())
    return below(kind.inner) if kind.inner is not None else [kind]


def unknown(model: Any, shapes: list[FieldType], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, annotation in sdk_fields(model):
        here = (*path, key)
        ours = our_field(shapes, key)
        if here in NOT_OURS:
            continue
        if not ours:
            yield here
        elif (inner := model_in(annotation)) is not None:
            yield from unknown(inner, [shape for field in ours for shape in below(field)], here)


@pytest.mark.parametrize("name", [name for name in TYPES if name.startswith(("Asr_", "Tts_"))])
def test_every_vendor_of_speech_in_the_sdk(name: str) -> None:
    model = TYPES[name]
    slot = "asr" if name.startswith("Asr_") else "tts"
    vendor = model.model_fields["vendor"].default
    assert list(unknown(model, [SLOTS[slot].kind.variants[vendor]], (slot,))) == []


def test_the_sdk_names_vendors_of_speech_at_all() -> None:
    names = [name for name in TYPES if name.startswith(("Asr_", "Tts_"))]
    assert len(names) > 35


@pytest.mark.parametrize(
    ("name", "vendor"), [("Anam", "anam"), ("Sensetime", "sensetime"), ("Spatius", "spatius")]
)
def test_every_avatar_in_the_sdk(name: str, vendor: str) -> None:
    params = below(our_field([SLOTS["avatar"].kind.variants[vendor]], "params")[0])
    assert list(unknown(TYPES[f"{name}AvatarParams"], params)) == []


@pytest.mark.parametrize("name", ["Llm", "Mllm"])
def test_every_key_of_the_models_in_the_sdk(name: str) -> None:
    shapes = list(SLOTS[name.lower()].kind.variants.values())
    assert list(unknown(TYPES[name], shapes)) == []


def test_every_key_of_an_agent_in_the_sdk() -> None:
    assert list(unknown(TYPES["StartAgentsRequestProperties"], [PROPERTIES])) == []


def test_the_walk_itself_finds_what_is_missing() -> None:
    field = SimpleNamespace(alias=None, metadata=[], annotation=str)
    gone = SimpleNamespace(model_fields={"no_such_key": field})
    assert list(unknown(gone, [PROPERTIES])) == [("no_such_key",)]
