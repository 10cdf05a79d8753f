"""Read the fleet's files as documents: fleet.yaml, the files that it includes, and rendered whole-file templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from reconciler.config.expand.layout import FleetFile, names, read_fleet
from reconciler.config.files.documents import (
    DEFAULT_INCLUDE,
    TEMPLATE_SUFFIX,
    Document,
    Files,
    Unreadable,
    clashes,
    included,
    read_document,
)
from reconciler.config.templates.whole_files import RenderedFile
from reconciler.diagnostics import Problems, Span
from reconciler.errors import InvalidConfig
from reconciler.model.fleet import FLEET_FILE


class FleetReader:
    """Reads the documents of one fleet; every problem is added to `problems`."""

    def __init__(self, files: Files, problems: Problems) -> None:
        self.files = files
        self.problems = problems

    def fleet(self) -> FleetFile:
        """Return fleet.yaml; raise `InvalidConfig` without it, since no other file can be found then."""
        document = None
        if self.files.exists(FLEET_FILE):
            document = self._document(FLEET_FILE, None)
        else:
            self.problems.error(
                "no-fleet",
                f"there is no {FLEET_FILE} in {self.files.directory}",
                None,
                help="name the fleet's directory (an environment is -e NAME), or make one with 'reconciler init'",
            )
        if document is None:
            raise InvalidConfig(self.problems.sorted())
        return read_fleet(document, self.problems)

    def agents(
        self, fleet: FleetFile, rendered: Callable[[str, Span | None], RenderedFile | None]
    ) -> Iterator[Document]:
        """Yield the included files in the order of their names; `rendered` renders a whole-file template."""
        for name, where in self._included(fleet):
            document = None
            if not name.endswith(TEMPLATE_SUFFIX):
                document = self._document(name, where)
            elif (made := rendered(name, where)) is not None:
                document = self._document(name, where, made)
            if document is not None:
                yield document

    def _included(self, fleet: FleetFile) -> list[tuple[str, Span | None]]:
        """Return the names of all included files, sorted, each with the place of the pattern that names it."""
        document, tree = fleet.section.document, fleet.section.tree
        written = names(tree.get("include"))
        found: dict[str, Span | None] = {}
        for index, pattern in enumerate(written or DEFAULT_INCLUDE):
            where = None
            if written:
                value = tree["include"]
                where = (
                    document.value(value, index)
                    if isinstance(value, list)
                    else document.value(tree, "include")
                )
            try:
                matching = included(self.files, [pattern])
            except Unreadable as error:
                self.problems.add(replace(error.problem, at=where))
                continue
            if written and not matching:
                help = self.files.suggestion(pattern) or "correct the pattern, or remove it"
                self.problems.error("include-nothing", f'no file matches "{pattern}"', where, help=help)
            for name in matching:
                found.setdefault(name, where)
        for one, other in clashes(sorted(found)):
            self.problems.error(
                "file-name", f"{one} and {other} are one file where letters have no case", Span(other)
            )
        return sorted(found.items())

    def _document(self, name: str, where: Span | None, made: RenderedFile | None = None) -> Document | None:
        """Return a document whose root is a mapping; else report a problem and return None. `made` is rendered text."""
        text, line = (None, None) if made is None else (made.text, made.template_line)
        try:
            document = read_document(self.files, name, self.problems, rendered=text, template_line=line)
        except Unreadable as error:
            self.problems.add(error.placed(name, where))
            return None
        return self._rooted(document, name)

    def _rooted(self, document: Document | None, name: str) -> Document | None:
        if document is None or isinstance(document.root, dict):
            return document
        if document.root is None:
            if not document.parsed.problems:
                help = "write its keys, or remove the file"
                self.problems.error("yaml-empty", f"{name} is empty", Span(name), help=help)
            return None
        kind = "a list" if isinstance(document.root, list) else "a single value"
        self.problems.error("wrong-type", f"{name} must be a mapping of keys, not {kind}", Span(name))
        return None
