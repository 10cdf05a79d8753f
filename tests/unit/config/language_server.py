"""yaml-language-server over LSP: what VS Code, Neovim and others show in a YAML file.

It is found on PATH or in npm's cache; nothing is downloaded: `npm install --global yaml-language-server@1.25.0`.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

PACKAGE = "yaml-language-server@1.25.0"
_SETTINGS = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}


def command() -> list[str] | None:
    """How to start the server; None where it is not installed."""
    found = shutil.which("yaml-language-server")
    if found is not None:
        return [found, "--stdio"]
    npm = shutil.which("npm")
    if npm is None:
        return None
    cached = [npm, "exec", "--offline", "--yes", "--package", PACKAGE, "--"]
    probe = subprocess.run([*cached, "node", "-e", ""], capture_output=True, check=False)
    return [*cached, "yaml-language-server", "--stdio"] if probe.returncode == 0 else None


class LanguageServer:
    """One server; `with` starts and ends it."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._ids = itertools.count(1)
        self._found: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> LanguageServer:
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": {"yaml": _SETTINGS}})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.stdout.close()
        self._process.wait()

    def diagnostics(self, paths: Iterable[Path]) -> dict[Path, list[dict[str, Any]]]:
        """What is shown in each file."""
        uris = {path: path.resolve().as_uri() for path in paths}
        for path, uri in uris.items():
            text = path.read_text(encoding="utf-8")
            document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
            self._tell("textDocument/didOpen", {"textDocument": document})
        while not self._found.keys() >= set(uris.values()):
            self._read()
        return {path: self._found[uri] for path, uri in uris.items()}

    def complete(self, path: Path, line: int, column: int) -> dict[str, str]:
        """What is offered at a place of a file that is open, with its documentation."""
        place = {"line": line, "character": column}
        made = self.ask(
            "textDocument/completion",
            {"textDocument": {"uri": path.resolve().as_uri()}, "position": place},
        )
        return {each["label"]: str(each.get("documentation", "")) for each in made["items"]}

    def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """The server's answer to a request."""
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == number and "method" not in message:
                return message.get("result")

    def _tell(self, method: str, params: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        """The next message; what the server asks of an editor is answered."""
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self._found[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            is_configuration = message["method"] == "workspace/configuration"
            sections = message["params"]["items"] if is_configuration else []
            answer = [_SETTINGS if each.get("section") == "yaml" else None for each in sections]
            self._send({"id": message["id"], "result": answer or None})
        return message
