"""Makers of speech and language models, as `properties` names them: one class per vendor and slot.

Each slot module (`asr`, `tts`, `llm`, `mllm`, `avatar`) holds the classes of its slot, their union, and a
table `VENDORS` of what a class cannot say: what must be given, where a credential goes, in which region it
is offered. This file holds the words they share. The classes only *check* a tree, so they fill in nothing
and nothing is ever read from their result. Rules that span slots live in `config.rules`; defaults are the
service's own.

Agora's own words are closed lists. A vendor's words are closed only where the vendor's page or the SDK
closes them: a new voice or model must not become an error here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict

Slot = Literal["asr", "llm", "tts", "mllm", "avatar"]
Need = tuple[tuple[str, ...], ...]  # ways to give one thing, each a path below the slot; any one is enough

# Tag of a slot whose vendor is left out, where the service has no default for it.
UNNAMED = ""


def _own_name(name: str, _info: object) -> str:
    return name


@with_config(ConfigDict(extra="forbid", strict=True, field_title_generator=_own_name))
class Checked(TypedDict, total=False):
    """A mapping whose keys the service fixes."""


@with_config(
    ConfigDict(
        extra="forbid",
        strict=True,
        field_title_generator=_own_name,
        json_schema_extra={"additionalProperties": True},
    )
)
class PassedOn(TypedDict, total=False):
    """A vendor's `params`: the service hands keys it does not know to the vendor, so an editor allows them.

    They are reported all the same (`extra_forbidden`): a misspelt key would be handed on too, and do nothing.
    """


@dataclass(frozen=True, slots=True)
class Vendor:
    """What is known of one vendor in one slot beside the shape of its fields.

    `host` is where its credential goes when no URL is given: a host that the vendor's page names, else a
    symbolic `vendor:<name>`.
    """

    name: str
    needs: tuple[Need, ...]
    host: str
    cn: bool
    worldwide: bool
    preview: bool


Region = Literal["worldwide", "cn", "both", "preview"]


def vendor(name: str, needs: str = "", *, host: str = "", where: Region = "worldwide") -> Vendor:
    """A row of a slot's table; `needs` lists dotted paths below the slot, with `|` between alternatives."""
    return Vendor(
        name=name,
        needs=tuple(tuple(tuple(way.split(".")) for way in need.split("|")) for need in needs.split()),
        host=host or f"vendor:{name}",
        cn=where in ("cn", "both"),
        worldwide=where != "cn",
        preview=where == "preview",
    )


def table(*rows: Vendor) -> Mapping[str, Vendor]:
    """The rows of a slot by vendor."""
    return {row.name: row for row in rows}


def by_vendor(default: str) -> Callable[[Any], str | None]:
    """The discriminator of a slot: `vendor`, or `default` when it is left out.

    What is no mapping goes to the default, whose class then says so; a vendor that is no text has no tag.
    """

    def tag(slot: Any) -> str | None:
        name = slot.get("vendor", default) if isinstance(slot, dict) else default
        return name if isinstance(name, str) else None

    return tag


def says(text: str, **limits: Any) -> FieldInfo:
    """One line for a field, in our own words, with the limits that go with it."""
    field: FieldInfo = Field(description=text, **limits)
    return field


CredentialMode = Annotated[
    Literal["managed", "byok"],
    says("Whose credentials pay this vendor: `managed` is Agora's, `byok` yours (the service's default)."),
]
Text = Annotated[str, says("Text, in the vendor's own terms.")]
Flag = Annotated[bool, says("A switch of the vendor; off unless its page says otherwise.")]
ApiKey = Annotated[str, says("The vendor's API key; write a reference, not the value.")]
AccessId = Annotated[str, says("The public half of the vendor's key pair; write a reference, not the value.")]
AccessSecret = Annotated[
    str, says("The secret half of the vendor's key pair; write a reference, not the value.")
]
AppId = Annotated[str, says("The application's id at the vendor.")]
Url = Annotated[str, says("Where the vendor is reached, when not at its usual address.")]
# Vendors put the region into a host name, so nothing but a region may stand there.
CloudRegion = Annotated[
    str, says("The vendor's cloud region, such as `eastus` or `us-east-1`.", pattern="^[A-Za-z0-9-]+$")
]
Model = Annotated[str, says("The vendor's model.")]
Language = Annotated[str, says("Language code in the vendor's spelling; goes before `asr.language`.")]
SpokenLanguage = Annotated[str, says("Language to speak, in the vendor's spelling.")]
Voice = Annotated[str, says("The vendor's voice.")]
SampleRate = Annotated[int, says("Sample rate of the audio, in Hz.", gt=0)]
Speed = Annotated[float, says("Speaking rate; 1 is normal.", gt=0)]
Pitch = Annotated[float, says("Shift of the pitch; 0 is normal.")]
Volume = Annotated[float, says("Loudness, on the vendor's scale.", ge=0)]
