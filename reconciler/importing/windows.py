"""curl commands of Windows' shells, cmd and PowerShell -> the same commands as a POSIX shell reads them.

Only what documentation and browsers print (`Copy as cURL (cmd)`): continued lines, escapes, quotes, and variables.
Every line keeps its number. cmd: https://learn.microsoft.com/windows-server/administration/windows-commands/cmd;
quotes of a program's arguments: https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments.
"""

from __future__ import annotations

import re

CMD, POWERSHELL = "^", "`"
_CURL = re.compile(r"(?<![\w.-])curl(?:\.exe)?[ \t]")
_CARET = re.compile(r"\^(.)")
# Backslashes stand for themselves unless a quote follows.
_BACKSLASHES = re.compile(r'\\+(?!["\\])')
# At least three characters: `%C3%A9` is an encoded letter of an address.
_PERCENT = re.compile(r"%([A-Za-z_][A-Za-z0-9_]{2,})%")
_BACKTICK = re.compile(r'`(["`$])')
_ENVIRONMENT = re.compile(r"\$(?:env:([A-Za-z_]\w*)|\{env:([A-Za-z_]\w*)\})", re.IGNORECASE)


def in_posix(text: str) -> str:
    """Return the text with each curl command that is continued with `^` or a backtick rewritten; the rest as it is."""
    if not re.search(r"[\^`][ \t]*\r?\n", text):
        return text
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at
        if (shell := _continued(lines[at])) and _CURL.search(lines[at]):
            while end + 1 < len(lines) and _continued(lines[end]) == shell:
                end += 1
            command = lines[at : end + 1]
            if shell == CMD:
                lines[at : end + 1] = _from_cmd(command)
            elif command[0].count(POWERSHELL) == 1:  # else the end of `curl …`, a substitution
                lines[at : end + 1] = [_from_powershell(line) for line in command]
        at = end + 1
    return "\n".join(lines)


def _continued(line: str) -> str:
    """Return the character at the end of a line that continues it in cmd or PowerShell; empty for another line."""
    line = line.rstrip()
    return line[-1] if line[-1:] in (CMD, POWERSHELL) and line[-2:-1] in tuple(" \t\"'") else ""


def _from_cmd(command: list[str]) -> list[str]:
    has_escapes = any('^"' in line for line in command)
    found = []
    for line in command:
        is_continued = bool(_continued(line))
        text = line.rstrip()[:-1] if is_continued else line
        text = _CARET.sub(r"\1", text) if has_escapes else text
        text = _BACKSLASHES.sub(lambda run: run[0] * 2, text)
        text = text.replace("$", r"\$").replace("`", r"\`")
        found.append(_PERCENT.sub(r"${\1}", text) + ("\\" if is_continued else ""))
    return found


def _from_powershell(line: str) -> str:
    is_continued = bool(_continued(line))
    text = line.rstrip()[:-1] if is_continued else line
    text = _ENVIRONMENT.sub(lambda found: f"${{{found[1] or found[2]}}}", _BACKTICK.sub(r"\\\1", text))
    return text + ("\\" if is_continued else "")
