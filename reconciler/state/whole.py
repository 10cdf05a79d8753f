"""A whole state as one canonical JSON document: what `state pull` prints and `state push` reads, from any backend.

The same state gives the same bytes. Records, intents and long texts have the same form as in a local state's rows. The
document does not hold the key for digests of secret values, only its mark: digests that were made with another key
cannot be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic_core import ValidationError

from reconciler.errors import StateError
from reconciler.model.fingerprint import digest, keyed_digest
from reconciler.model.record import Foreign, Intent, Pins, Record, State
from reconciler.state.adapter import Adapter
from reconciler.state.checks import check
from reconciler.state.damage import Damaged, address_of, damaged
from reconciler.state.document import FORMAT, RowReader, intent_json, loads, record_json
from reconciler.state.place import has_conflict
from reconciler.state.tables import generation
from reconciler.values import dataclass

# The text whose digest identifies the key that a document's digests were made with.
_KEY_MARK: Final = "the key of a state"


@dataclass(frozen=True, slots=True)
class StateDocument:
    """A whole state. `records` are by address, `intents` by key, and `texts` are the long texts that they refer to.

    `key` identifies the key that its digests were made with, empty without a key. A document without `checksum` is
    accepted too: remove that line when you edit one.
    """

    format: int
    lineage: str
    serial: int
    key: str
    pins: Pins | None
    applying: str | None
    records: Mapping[str, Record]
    intents: Mapping[str, Intent]
    generations: Mapping[str, int]
    foreign_agents: tuple[Foreign, ...]
    released: tuple[str, ...]
    texts: Mapping[str, str]
    checksum: str | None = None


_WHOLE: Final = Adapter(StateDocument)


def key_mark(key: bytes) -> str:
    """Return a text that identifies a key for digests without revealing it; empty where there is none."""
    return keyed_digest(key, _KEY_MARK) if key else ""


def to_document(state: State) -> bytes:
    """Return a state as JSON with sorted keys; the same state gives the same bytes."""
    texts: dict[str, str] = {}
    tree = {
        "format": FORMAT,
        "lineage": state.lineage,
        "serial": state.version,
        "key": key_mark(state.secret_key),
        "pins": state.pins,
        "applying": state.applying,
        "records": {each.key: orjson.Fragment(record_json(each, texts)) for each in state.records.values()},
        "intents": {each.key: orjson.Fragment(intent_json(each, texts)) for each in state.intents},
        "generations": {str(address): number for address, number in state.generations.items()},
        "foreign_agents": [state.foreign[each] for each in sorted(state.foreign)],
        "released": sorted(state.released),
        "texts": texts,
    }
    return _canonical(orjson.loads(orjson.dumps(tree)))


def _canonical(tree: dict[str, Any]) -> bytes:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(tree | {"checksum": digest(tree)}, option=options)


def of_document(data: bytes, place: str, *, key: bytes) -> State:
    """Return the state in a document, without its digests of secrets if they were made with another key than `key`.

    `place` is where the document came from. Raises `StateError` for anything that `to_document` does not produce.
    """
    try:
        return _state(data, key)
    except Damaged as problem:
        raise StateError(
            f"{place} is no whole state: {problem.what}; nothing was done",
            hint="push what `reconciler state pull` has printed",
        ) from problem


def _state(data: bytes, key: bytes) -> State:
    if has_conflict(data):
        raise damaged("it holds the conflict markers of a merge")
    tree = loads(data, "it") if data.strip() else None
    if not isinstance(tree, dict):
        raise damaged("it is not a JSON object" if data.strip() else "it is empty")
    _refuse_doubles(data)
    known = tree.get("format")
    if isinstance(known, int) and known > FORMAT:
        raise StateError(
            f"the state to be pushed has format {known}, and this reconciler knows {FORMAT}; nothing was done",
            hint="a newer reconciler wrote it; upgrade this one",
        )
    if known != FORMAT:
        raise damaged(f"its format is not {FORMAT}")
    found = _validated(data)
    told = tree.pop("checksum", None)
    if told is not None and told != digest(tree):
        raise damaged(
            "it does not match its checksum; whoever has edited it on purpose takes the checksum's line out"
        )
    reader = RowReader(found.texts)
    records = [reader.stored(name, each) for name, each in found.records.items()]
    state = State(
        lineage=found.lineage,
        serial=found.serial,
        # The mark stands for a key that is not ours, also where we have none.
        secret_key=key if found.key == key_mark(key) else found.key.encode(),
        pins=found.pins,
        records={each.address: each for each in records},
        intents=tuple(reader.stored(name, each) for name, each in sorted(found.intents.items())),
        generations={
            address_of(each): generation(each, number) for each, number in found.generations.items()
        },
        foreign={each.agent_id: each for each in found.foreign_agents},
        released=frozenset(found.released),
        applying=found.applying,
    )
    if not state.lineage:
        raise damaged("it has no lineage")
    check(state)
    return state.with_key(key)


def _validated(data: bytes) -> StateDocument:
    try:
        return _WHOLE.read(data)
    except ValidationError as problem:
        place = ".".join(map(str, problem.errors(include_url=False)[0]["loc"]))
        raise damaged(f"it is not of this format, at {place[:200]}") from None


def _refuse_doubles(data: bytes) -> None:
    """Refuse an object with the same key twice: JSON readers differ in which value they take."""

    def single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            double = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
            raise damaged(f"the key {double[:80]!r} stands twice in one object")
        return found

    json.loads(data, object_pairs_hook=single)


def state_schema() -> dict[str, Any]:
    """Return the JSON Schema of such a document; its records and intents are those of a local state's rows."""
    from pydantic import TypeAdapter  # its import takes long, and only the schema needs it

    whole = TypeAdapter(StateDocument)
    whole.rebuild(_types_namespace={"Tree": Any})
    found = whole.json_schema(ref_template="#/$defs/{model}")
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reconciler state",
        "description": f"What `reconciler state pull` prints: a whole state, of format {FORMAT}. A long text stands in "
        '`texts`, and {"$text": DIGEST} names it. `Record` and `Intent` are also the JSON in the tables `records` and '
        "`intents` of a local state.",
    }
    return about | {name: each for name, each in found.items() if name not in about}
