"""The rows of a service's tables: `Vendor` for one vendor, `Slot` for one slot with all its vendors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Final, Literal

from reconciler.contract.kinds import Fields, FieldType, group, required, words
from reconciler.values import dataclass

# The ways to meet one requirement, each a path below the slot; any one is enough.
Need = tuple[tuple[str, ...], ...]
Where = Literal["worldwide", "cn", "both", "preview"]

# The tag of a slot without a vendor, where the service has no default for it.
UNNAMED: Final = ""

_NOTES: Final[Mapping[Where, str]] = {
    "worldwide": "",
    "both": "",
    "cn": "; mainland China only",
    "preview": "; a preview on Agora's partner host",
}


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor in one slot.

    `needs` are required by all known sources; `disputed` are required by one source (page, guide, sample, SDK) and left
    out by another. `host` gets its credential when no URL is given: a host that the vendor's page names, else a
    symbolic `vendor:<name>`. `source` is where its fields are documented.
    """

    name: str
    source: str
    fields: Fields
    needs: tuple[Need, ...]
    disputed: tuple[Need, ...]
    host: str
    where: Where

    @property
    def is_worldwide(self) -> bool:
        return self.where != "cn"

    @property
    def is_in_china(self) -> bool:
        return self.where in ("cn", "both")

    @property
    def is_preview(self) -> bool:
        return self.where == "preview"


def vendor(
    name: str,
    says: str,
    source: str,
    params: Fields | FieldType,
    *,
    needs: str = "",
    disputed: str = "",
    host: str = "",
    where: Where = "worldwide",
    maker: str = "",
    also: Fields | None = None,
    is_default: bool = False,
) -> Vendor:
    """Return the row of a vendor.

    `says` describes it to an editor; `maker` is its short name, if that differs. `needs` and `disputed` list dotted
    paths below the slot, with `|` between ways to meet one requirement. `also` are fields beside `params`.
    """
    named = words(f"{says}{_NOTES[where]}.", name)
    if not isinstance(params, FieldType):
        params = group(f"Settings for {maker or says}.", params)
    fields = {"vendor": named if is_default else required(named), **(also or {}), "params": params}
    return row(name, needs, disputed=disputed, host=host, where=where, source=source, fields=fields)


def row(
    name: str,
    needs: str,
    *,
    disputed: str = "",
    host: str = "",
    where: Where = "worldwide",
    source: str = "",
    fields: Fields | None = None,
) -> Vendor:
    """Return the row of a vendor without fields of its own, or whose `fields` are written out in full."""
    demands = (needs_of(needs), needs_of(disputed))
    return Vendor(name, source, fields or {}, *demands, host or f"vendor:{name}", where)


def needs_of(text: str) -> tuple[Need, ...]:
    """Return the requirements in the text form of a row."""
    return tuple(tuple(tuple(way.split(".")) for way in need.split("|")) for need in text.split())


def by_vendor(default: str) -> Callable[[Any], str | None]:
    """Return a slot's tag function: it returns the slot's `vendor`, or `default` when that is left out.

    A value that is not a mapping gets the default's tag, whose shape then refuses it; a vendor that is not a text has
    none.
    """

    def tag(part: Any) -> str | None:
        name = part.get("vendor", default) if isinstance(part, dict) else default
        return name if isinstance(name, str) else None

    return tag


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of `properties`: its vendors, and the type that has a variant for each of them.

    `default` is the vendor that the service uses when none is named; `UNNAMED` where there is none. `styles` are rows
    that are chosen before the vendor is. `unnamed_needs` are the requirements where no vendor is named.
    """

    kind: FieldType
    vendors: Mapping[str, Vendor]
    default: str = UNNAMED
    styles: Mapping[str, Vendor] = field(default_factory=dict)
    unnamed_needs: tuple[Need, ...] = ()

    @property
    def rows(self) -> Mapping[str, Vendor]:
        """All rows by name."""
        return {**self.vendors, **self.styles}


def slot(
    name: str,
    says: str,
    common: Fields,
    vendors: tuple[Vendor, ...],
    *,
    default: str = UNNAMED,
    unnamed: FieldType | None = None,
    unnamed_needs: str = "",
) -> Slot:
    """Return a slot with the fields `common` and its vendor's; `unnamed` is the type of `params` without a vendor."""
    variants = {
        each.name: group(each.source, {**common, **each.fields}, name=f"{name}_{each.name}")
        for each in vendors
    }
    if unnamed is not None:
        nobody = group("No vendor is named.", {**common, "params": unnamed}, name=f"{name}_unnamed")
        variants = {UNNAMED: nobody, **variants}
    return Slot(
        union(says, variants, by_vendor(default)),
        {each.name: each for each in vendors},
        default,
        unnamed_needs=needs_of(unnamed_needs),
    )


def union(says: str, variants: Fields, tag: Callable[[Any], str | None]) -> FieldType:
    """Return a field with one of several shapes; `tag` returns which, or None if its vendor is not a text."""
    return FieldType("tagged-union", about={"description": says}, variants=variants, tag=tag)
