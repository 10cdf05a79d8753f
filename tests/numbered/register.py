"""The list of bad inputs, item by item, in the order of its page: what every number is about."""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, str] = {
    "9.1": "The files",
    "9.2": "Templates",
    "9.3": "The command line and the environment",
    "9.4": "The state",
    "9.5": "A saved plan",
    "9.6": "What the service answers",
}

_WORDS: Mapping[str, tuple[str, ...]] = {
    "9.1": (
        "duplicate mapping key, at any depth, also across `<<`",
        "aliases beyond the expansion budget",
        "recursive alias",
        "depth over 50; nodes, file or tree beyond the limits",
        "200,000 `[`",
        "any tag other than core",
        "YAML 1.1's surprises for text fields: quote this value",
        "numbers beyond 64 bit, thousands of digits",
        "keys that are no texts",
        "several documents, or trailing junk",
        "empty file, comments only, top-level list or scalar",
        "tabs, unterminated quotes, `a: b: c`, with the column",
        "unquoted `{{ x }}`: quote templates",
        "not UTF-8, NUL, controls, lone surrogates, BOM in the middle",
        "bidi controls, zero-width, confusable names, ids and URLs",
        "unknown field, misspelt word, wrong type, deprecated field",
        "fleet, environment, agent or channel name out of its charset",
        "duplicate slot, uid clash, uid 0, uid out of its form or range",
        "`remote_rtc_uids` empty or not texts",
        "`idle_timeout`, token lifetime out of range",
        "malformed durations and quantities",
        "literal secret, credentials in a URL",
        "secret reference malformed, reserved or misplaced",
        "URL not https, private, with a user, to a host that may not have the secret",
        "live total after apply beyond the quota",
        "paths: absolute, `..`, links out, devices, case clash, odd names",
        "include cycle, missing include",
        "App ID or certificate not 32 hexadecimal digits",
        "partial `llm.params`",
        "empty desired set while the state has agents",
    ),
    "9.2": (
        "undefined variable",
        "syntax error, with the template's own line",
        "attributes starting with `_`, `|attr`, `format` methods",
        "`**`, huge `*`, `%` width, `range` over 10,000",
        "recursion",
        "output over 1 MiB",
        "time and memory",
        "`import`, `include`, `extends` outside the tree or with computed names",
        "helpers that are not deterministic or read the environment",
        "output that is invalid YAML: both positions",
        "structure injected by a variable",
        "secret reference inside a template expression",
        "file name with template syntax or controls",
    ),
    "9.3": (
        "unknown flag or command",
        "conflicting flags",
        "secret on the command line",
        "`--target` that matches nothing",
        "no terminal and no `--auto-approve`",
        "apply on a pull request",
        "negative `--lock-timeout`",
        "unset variable: by name, never by value",
        "base URL that credentials may not be sent to",
        "state directory that cannot be written, before planning",
        "state on a network file system",
        "Python without assertions",
        "wrong environment: the App ID is not the state's",
    ),
    "9.4": (
        "no state at all, cut short, trailing bytes",
        "the same key twice",
        "NaN",
        "wrong checksum or MAC",
        "newer format",
        "unknown lineage; serial lower, jumping, negative, beyond 2^53",
        "another fleet, environment or service",
        "agent id out of its pattern, one id twice, one name twice",
        "intent without name or generation, unknown operation, from the future",
        "readable by others",
        "directory that others can write",
        "plaintext where encryption is required",
        "size over 64 MiB, depth",
        "conflict markers",
        "two backends with a state each",
    ),
    "9.5": (
        "wrong format or version",
        "digest mismatch: files, policy, state, what runs",
        "older than its greatest age",
        "made offline where a live one is required",
        "applied already",
        "actions that do not follow from the inputs",
        "unknown action, unknown address, secret-looking value",
        "container with traversal, bomb or links",
        "approver's digest missing",
    ),
    "9.6": (
        "wrong content type",
        "JSON cut short or oversized",
        "wrong types, missing `data` or `meta`",
        "`total` is not what was collected",
        "repeated cursor, more than 1,000 pages",
        "duplicate ids with different fields",
        "id or name out of its pattern",
        "unknown status",
        "times in the future or negative",
        "redirects",
        "2xx other than 200",
        "`Retry-After`: garbage, negative, over an hour",
        "control characters in `detail` and `reason`",
    ),
}

ITEMS: Mapping[str, str] = {
    f"{group}.{place}": words
    for group, all_words in _WORDS.items()
    for place, words in enumerate(all_words, 1)
}


def of_group(group: str) -> list[str]:
    """The numbers of one group, in their order."""
    return [number for number in ITEMS if number.rpartition(".")[0] == group]


def number_of(test: str) -> str:
    """The item that a test is about: `test_9_4_03_nan` is 9.4.3."""
    _, chapter, group, item, *_ = test.split("_")
    return f"{chapter}.{group}.{int(item)}"
