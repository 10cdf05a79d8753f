"""Rules for speech and language models: required parts, parts that exclude each other, and regions of vendors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from reconciler.config.rules.registry import Subject, agent_rule, value_rule
from reconciler.config.words import shown
from reconciler.contract.agora.managed import MANAGED, MANAGED_BY_SDK_ONLY, PRESETS, ManagedOffer
from reconciler.contract.agora.properties import SLOTS
from reconciler.contract.offers import (
    DISPUTED,
    VENDORS,
    missing_params,
    preset_slots,
    uses_mllm,
    vendor_of,
)
from reconciler.diagnostics import Problem, did_you_mean, warning
from reconciler.model.fleet import Area
from reconciler.model.tree import MISSING, Path, dotted, value_at

# The values that decide which vendor a slot has, whether the slot is used, and who pays for it.
_CHOICE: tuple[Path, ...] = (
    ("advanced_features", "enable_mllm"),
    *((slot, key) for slot in SLOTS for key in ("vendor", "style", "enable", "credential_mode")),
)
# Hosts that refuse a request without a model.
_NEED_MODEL = frozenset(
    {"api.openai.com", "api.x.ai", "api.anthropic.com", "api.groq.com", "api.deepseek.com"}
)
_MODEL_IN_URL = ("/deployments/", "/models/", "/model/")

# The roles that makers of models use. Their lists grow, so only a near miss of one of these is reported.
_ROLES = ("assistant", "developer", "function", "model", "system", "tool", "user")


@value_rule([("llm", "system_messages", "*", "role"), ("mllm", "messages", "*", "role")])
def role(subject: Subject, path: Path, value: Any) -> Iterator[Problem]:
    """Warn about a message's role that is nearly one that models know."""
    if isinstance(value, str) and value not in _ROLES and (hint := did_you_mean(value, _ROLES)) is not None:
        yield warning(
            "unknown-word", f"{dotted(path)}: {shown(value)} is no role", ("properties", *path), hint
        )


def missing_slots(subject: Subject) -> tuple[str, ...]:
    """Return which of llm and tts the agent has neither in its properties nor from a preset or pipeline."""
    body = subject.spec.body
    if body.pipeline_id is not None or uses_mllm(subject.properties):
        return ()
    given = preset_slots(body.preset)
    return tuple(slot for slot in ("llm", "tts") if slot not in subject.properties and slot not in given)


def is_gap(subject: Subject) -> bool:
    """Return whether the agent is to be adopted and the files do not say what it was joined with."""
    return subject.spec.adopt is not None and bool(missing_slots(subject))


@agent_rule(reads=_CHOICE)
def slots(subject: Subject) -> Iterator[Problem]:
    """Report an agent without a language model or a voice, or a model that is both."""
    if is_gap(subject):
        missing = [*missing_slots(subject), "agent_rtc_uid", "remote_rtc_uids"]
        listed = ", ".join(each for each in missing if each not in subject.properties)
        yield Problem(
            "adopt-gap",
            f"the service does not tell what agent {subject.spec.adopt} was joined with; missing here: {listed}",
            (),
            "write the properties that it was joined with, or name a profile that has them",
            "what is written here counts as what it was joined with, and is what a later join sends",
        )
        return
    for slot in missing_slots(subject):
        yield Problem(
            "missing-slot",
            f"the agent has no {slot}",
            (),
            f"write properties.{slot}, use a profile that has it, or name a pipeline_id",
            "llm and tts are required, unless a pipeline or preset brings them or mllm is enabled",
            missing=("properties", slot),
        )


@agent_rule(reads=_CHOICE)
def required_params(subject: Subject) -> Iterator[Problem]:
    """Report what a vendor requires and the agent does not give."""
    body = subject.spec.body
    for slot in SLOTS:
        if slot not in subject.properties:
            continue
        for path in missing_params(slot, subject.properties, body.preset, pipeline_id=body.pipeline_id):
            vendor = vendor_of(slot, subject.properties)
            yield Problem(
                "missing-params",
                f"{dotted(path)} is missing" + (f"; {vendor} needs it" if vendor else ""),
                ("properties", slot),
                f"write {dotted(path)}" if path[-1] != "vendor" else f"one of {', '.join(VENDORS[slot])}",
                missing=("properties", *path),
            )


@agent_rule(reads=_CHOICE)
def disputed_params(subject: Subject) -> Iterator[Problem]:
    """Warn, once for a slot, about what only some sources say that a vendor requires."""
    body = subject.spec.body
    for slot in SLOTS:
        if slot not in subject.properties:
            continue
        paths = missing_params(
            slot, subject.properties, body.preset, pipeline_id=body.pipeline_id, demanded=DISPUTED
        )
        if paths:
            names = " and ".join(map(dotted, paths))
            yield warning(
                "disputed-params",
                f"{vendor_of(slot, subject.properties)} may need {names}",
                ("properties", slot),
                f"write {'them' if len(paths) > 1 else 'it'} where the service refuses the agent",
                "the vendor's pages, samples and SDK disagree on whether it is needed",
            )


@agent_rule(
    "asr", "llm", "tts", reads=(*_CHOICE, *((slot, "params", "model") for slot in ("asr", "llm", "tts")))
)
def managed_credentials(subject: Subject) -> Iterator[Problem]:
    """Report managed credentials for a model or vendor that Agora does not pay for, or without a URL."""
    if subject.area is Area.CN or uses_mllm(subject.properties):
        return
    for slot in ("asr", "llm", "tts"):
        if subject.part(slot).get("credential_mode") == "managed":
            vendor = vendor_of(slot, subject.properties)
            offer = MANAGED.get((slot, vendor))
            if offer is not None:
                yield from _outside_offer(subject, slot, vendor, offer)
            elif vendor or slot not in preset_slots(subject.spec.body.preset):
                yield _not_managed(slot, vendor)


def _not_managed(slot: str, vendor: str) -> Problem:
    vendors = [name for offered, name in MANAGED if offered == slot]
    is_disputed = (slot, vendor) in MANAGED_BY_SDK_ONLY
    report = warning if is_disputed else Problem
    return report(
        "managed-credentials",
        f"{slot}.vendor {vendor or '(none)'} is not offered with credential_mode: managed",
        ("properties", slot, "credential_mode"),
        f"write {slot}.vendor: {' or '.join(vendors)}, or leave credential_mode out and write a key of your own",
        "the SDK offers it, the service's list does not" if is_disputed else "the service answers 400",
    )


def _outside_offer(subject: Subject, slot: str, vendor: str, offer: ManagedOffer) -> Iterator[Problem]:
    part = subject.part(slot)
    params = part.get("params")
    model = params.get("model") if isinstance(params, dict) else None
    if isinstance(model, str) and model.strip().lower() not in offer.models:
        meant = did_you_mean(model.lower().replace("_", "-"), offer.models)
        yield Problem(
            "managed-credentials",
            f"{slot}.params.model {shown(model)} is not offered with credential_mode: managed",
            ("properties", slot, "params", "model"),
            meant or f"write one of {', '.join(offer.models)}, or a key of your own",
            f"Agora pays for a few models of {vendor} only",
        )
    if value_at(part, offer.at) is MISSING and slot not in preset_slots(subject.spec.body.preset):
        where = dotted((slot, *offer.at))
        report = Problem if offer.needs_address else warning
        yield report(
            "managed-credentials",
            f"{where} is missing; credential_mode: managed supplies the credential, not the address",
            ("properties", slot),
            f"write {where}: {offer.address}",
            "the service answers 400 without it"
            if offer.needs_address
            else "the vendor's pages disagree on it",
        )


@agent_rule("llm", reads=(*_CHOICE, ("llm", "url"), ("llm", "model"), ("llm", "params", "model")))
def partial_llm_params(subject: Subject) -> Iterator[Problem]:
    """Report `llm.params` without a model: an update replaces all of them, so the model must be there."""
    llm, body = subject.part("llm"), subject.spec.body
    params, url = llm.get("params"), llm.get("url")
    if (
        body.pipeline_id is not None
        or "llm" in preset_slots(body.preset)
        or llm.get("credential_mode") == "managed"
    ):
        return
    if (
        (isinstance(params, dict) and params.get("model"))
        or llm.get("model")
        or uses_mllm(subject.properties)
    ):
        return
    if not isinstance(url, str) or any(part in url for part in _MODEL_IN_URL):
        return
    known = _host(url) in _NEED_MODEL or llm.get("style") == "anthropic"
    if known or (params and llm.get("vendor") != "custom" and llm.get("style") != "dify"):
        report = Problem if known else warning
        yield report(
            "partial-llm-params",
            "llm.params names no model",
            ("properties", "llm", "params") if "params" in llm else ("properties", "llm"),
            "write llm.params.model",
            "params reach the model as they stand, and an update replaces all of them",
        )


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


@agent_rule("mllm")
def mllm_excludes(subject: Subject) -> Iterator[Problem]:
    """Warn about asr, llm or tts with an enabled mllm, which replaces them, and about an mllm that is not enabled."""
    mllm = subject.part("mllm")
    if not uses_mllm(subject.properties):
        if mllm:
            yield warning(
                "mllm-not-enabled",
                "mllm is written but not enabled",
                ("properties", "mllm"),
                "write mllm.enable: true",
            )
        return
    for slot in ("asr", "llm", "tts"):
        if slot in subject.properties:
            yield warning(
                "mllm-excludes",
                f"{slot} has no effect beside an enabled mllm",
                ("properties", slot),
                f"remove it with {slot}: null",
            )
    if subject.flag("avatar", "enable"):
        yield warning(
            "avatar-with-mllm",
            "an avatar beside an enabled mllm may be refused",
            ("properties", "avatar"),
            why="the release notes allow it, the vendor's own SDK refuses it",
        )


@agent_rule(reads=_CHOICE)
def regions(subject: Subject) -> Iterator[Problem]:
    """Warn about a vendor that the service of the fleet's region does not offer, or offers only as a preview."""
    china = subject.area is Area.CN
    for slot in SLOTS:
        if slot not in subject.properties:
            continue
        vendor = vendor_of(slot, subject.properties)
        row = VENDORS[slot].get(vendor)
        path = ("properties", slot, "vendor")
        if row is None:
            continue
        if not row.is_worldwide and not china:
            yield _elsewhere(slot, vendor, "offered in mainland China only", path)
        elif china and "vendor" in subject.part(slot) and not row.is_in_china:
            yield _elsewhere(slot, vendor, "not offered in mainland China", path)
        elif row.is_preview:
            yield warning(
                "preview-vendor",
                f"{slot}.vendor {vendor} is offered as a preview only, on a host of its own",
                path,
            )


def _elsewhere(slot: str, vendor: str, where: str, path: tuple[str, ...]) -> Problem:
    return warning(
        "vendor-region",
        f"{slot}.vendor {vendor} is {where}",
        path,
        "choose another vendor, or set service.area",
    )


@agent_rule(reads=())
def presets(subject: Subject) -> Iterator[Problem]:
    """Warn about `preset`, which is deprecated, and about unknown names in it; report two for one slot."""
    preset = subject.spec.body.preset
    if preset is None:
        return
    yield warning(
        "deprecated-property",
        "preset is deprecated",
        ("preset",),
        "write credential_mode: managed in asr, llm or tts",
    )
    taken: dict[str, str] = {}
    for name in (each.strip() for each in preset.split(",")):
        if name not in PRESETS:
            yield warning(
                "unknown-preset",
                f"preset {shown(name)} is not known",
                ("preset",),
                did_you_mean(name, PRESETS),
            )
            continue
        slot = PRESETS[name][0]
        if slot in taken:
            yield Problem(
                "preset-twice",
                f"the presets {taken[slot]} and {name} are both for {slot}",
                ("preset",),
                "keep one",
            )
        taken[slot] = name
