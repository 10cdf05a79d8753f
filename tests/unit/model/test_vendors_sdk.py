"""What the vendor's own SDK can say is known to our shapes: no false `unknown key`."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, get_args, get_origin

import pytest

from reconciler.model.properties.paths import bare, fields_of, variants_of
from reconciler.model.properties.shape import PropertiesTree
from reconciler.model.vendors import asr, avatar, llm, mllm, tts

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


def our_field(shapes: list[Any], key: str) -> list[Any]:
    return [field for shape in shapes if (field := fields_of(bare(shape)).get(key)) is not None]


def below(field: Any) -> list[Any]:
    """The shapes that a field may hold."""
    variants = list(variants_of(field).values())
    if variants:
        return [bare(each) for each in variants]
    plain = bare(field)
    return below(get_args(plain)[-1]) if get_origin(plain) in (list, dict) else [plain]


def unknown(model: Any, shapes: list[Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, annotation in sdk_fields(model):
        here = (*path, key)
        ours = our_field(shapes, key)
        if here in NOT_OURS:
            continue
        if not ours:
            yield here
        elif (inner := model_in(annotation)) is not None:
            yield from unknown(inner, [shape for field in ours for shape in below(field)], here)


def shape_of(union: Any, tag: str) -> Any:
    variants = variants_of(union)
    return bare(variants[tag])


@pytest.mark.parametrize("name", [name for name in TYPES if name.startswith(("Asr_", "Tts_"))])
def test_every_vendor_of_speech_in_the_sdk(name: str) -> None:
    model = TYPES[name]
    slot, union = ("asr", asr.Asr) if name.startswith("Asr_") else ("tts", tts.Tts)
    vendor = model.model_fields["vendor"].default
    assert list(unknown(model, [shape_of(union, vendor)], (slot,))) == []


def test_the_sdk_names_vendors_of_speech_at_all() -> None:
    names = [name for name in TYPES if name.startswith(("Asr_", "Tts_"))]
    assert len(names) > 35


@pytest.mark.parametrize(
    ("name", "vendor"), [("Anam", "anam"), ("Sensetime", "sensetime"), ("Spatius", "spatius")]
)
def test_every_avatar_in_the_sdk(name: str, vendor: str) -> None:
    params = below(our_field([shape_of(avatar.Avatar, vendor)], "params")[0])
    assert list(unknown(TYPES[f"{name}AvatarParams"], params)) == []


@pytest.mark.parametrize(("name", "union"), [("Llm", llm.Llm), ("Mllm", mllm.Mllm)])
def test_every_key_of_the_models_in_the_sdk(name: str, union: Any) -> None:
    shapes = [bare(each) for each in variants_of(union).values()]
    assert list(unknown(TYPES[name], shapes)) == []


def test_every_key_of_an_agent_in_the_sdk() -> None:
    assert list(unknown(TYPES["StartAgentsRequestProperties"], [PropertiesTree])) == []


def test_the_walk_itself_finds_what_is_missing() -> None:
    field = SimpleNamespace(alias=None, metadata=[], annotation=str)
    gone = SimpleNamespace(model_fields={"no_such_key": field})
    assert list(unknown(gone, [PropertiesTree])) == [("no_such_key",)]
