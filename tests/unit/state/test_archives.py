"""The archive of transcripts as files: which lines are added, under which names, and what it is told of the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler.errors import ArchiveFailed
from reconciler.model.address import Address
from reconciler.model.transcript import ArchivedSession, Transcript, Utterance
from reconciler.state import archive
from reconciler.state.archive import TranscriptFiles, file_name
from tests.fakes.fleets import OWNER

HERE = Address("lobby", "desk")
SESSION = ArchivedSession(OWNER, HERE, "A1", "n", 1_780_000_000.0)
NAME = "kept/lobby/desk/20260528T202640Z-A1.jsonl"


def transcript(*texts: str, **session: Any) -> Transcript:
    said = tuple(Utterance("user", text) for text in texts)
    return Transcript(replace(SESSION, **session), 1_780_000_100.0, said)


@pytest.fixture
def kept(tmp_path: Path) -> TranscriptFiles:
    return TranscriptFiles(tmp_path, "kept")


def texts(lines: Any) -> list[str]:
    return [each["content"] for each in lines if "content" in each]


def test_lines_are_only_added(kept: TranscriptFiles, tmp_path: Path) -> None:
    kept.preserve(transcript("one"))
    before = (tmp_path / NAME).read_bytes()
    kept.preserve(transcript("one"))
    assert (tmp_path / NAME).read_bytes() == before
    kept.preserve(transcript("one", "two"))
    after = (tmp_path / NAME).read_bytes()
    assert after.startswith(before) and after.endswith(b"\n")
    assert texts(kept.read(NAME)) == ["one", "two"]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "kept" / ".gitignore").read_text() == "*\n"


def test_a_line_that_a_crash_cut_short_is_written_over(kept: TranscriptFiles, tmp_path: Path) -> None:
    kept.preserve(transcript("one"))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + b'{"kind": "utterance", "content": "tw' + b"x" * 500)
    assert texts(kept.read(NAME)) == ["one"]
    kept.preserve(transcript("one", "two"))
    assert texts(kept.read(NAME)) == ["one", "two"]
    assert b"xxx" not in (tmp_path / NAME).read_bytes()


def test_what_is_no_line_of_ours_is_passed_over_and_kept(kept: TranscriptFiles, tmp_path: Path) -> None:
    kept.preserve(transcript("one"))
    odd = (tmp_path / NAME).read_bytes() + b"no json\n[1]\n"
    (tmp_path / NAME).write_bytes(odd)
    kept.preserve(transcript("one", "two"))
    assert (tmp_path / NAME).read_bytes().startswith(odd)
    assert texts(kept.read(NAME)) == ["one", "two"]
    assert all(isinstance(each, dict) for each in kept.read(NAME))


def test_one_session_has_one_file_whatever_its_start(kept: TranscriptFiles, tmp_path: Path) -> None:
    kept.preserve(transcript("one"))
    kept.preserve(transcript("one", "two", started_at=SESSION.started_at + 3600))
    kept.preserve(transcript("three", agent_id="A2", started_at=SESSION.started_at - 3600))
    assert kept.sessions(HERE) == ("kept/lobby/desk/20260528T192640Z-A2.jsonl", NAME)
    assert kept.sessions(Address("lobby", "door")) == ()
    assert (kept.session("A1"), kept.session("A9")) == (NAME, None)
    assert kept.session("1") is None, "an id is no ending of another one"
    (tmp_path / "kept" / "lobby" / "desk" / "note.txt").touch()
    assert len(kept.sessions(HERE)) == 2
    (tmp_path / "kept" / "stray").touch()
    assert kept.session("A1") == NAME


def test_git_is_told_once(kept: TranscriptFiles, tmp_path: Path) -> None:
    kept.preserve(transcript("one"))
    (tmp_path / "kept" / ".gitignore").unlink()
    kept.preserve(transcript("one", "two"))
    assert not (tmp_path / "kept" / ".gitignore").exists(), "who has removed it meant it"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("desk", "desk"),
        ("a b/c", "a%20b%2Fc"),
        (".", "%2E"),
        ("a.b~c", "a%2Eb%7Ec"),
        ("con", "%63on"),
        ("COM1", "%43OM1"),
        ("lpt9", "%6Cpt9"),
        ("COM0", "COM0"),
        ("console", "console"),
        ("ä", "%C3%A4"),
    ],
)
def test_a_text_is_one_part_of_a_path_on_any_system(text: str, name: str) -> None:
    assert file_name(text) == name


def test_what_is_in_the_way_is_said(kept: TranscriptFiles, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "lobby").touch()
    with pytest.raises(
        ArchiveFailed, match=f"{tmp_path / NAME} cannot be written: a part of it is a link, or no directory"
    ) as caught:
        kept.preserve(transcript("one"))
    assert caught.value.hint is not None
    (tmp_path / "kept" / "lobby").unlink()
    (tmp_path / "kept" / "lobby").symlink_to(tmp_path)
    with pytest.raises(ArchiveFailed, match="a part of it is a link, or no directory"):
        kept.preserve(transcript("one"))
    with pytest.raises(ArchiveFailed, match="cannot be read: a part of it is a link, or no directory"):
        kept.read(NAME)
    (tmp_path / "kept" / "lobby").unlink()
    with pytest.raises(ArchiveFailed, match="cannot be read: No such file or directory"):
        kept.read(NAME)
    assert kept.sessions(HERE) == ()


def test_an_error_without_words_is_shown_as_it_is() -> None:
    assert archive._why(OSError("odd")) == "odd"
    assert archive._why(OSError(28, "No space left on device")) == "No space left on device"


def test_only_so_much_of_a_file_is_read(
    kept: TranscriptFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.preserve(transcript("one", "two"))
    first = len((tmp_path / NAME).read_bytes().splitlines(keepends=True)[0])
    monkeypatch.setattr(archive, "_LARGEST", first)
    assert len(kept.read(NAME)) == 1
    assert orjson.loads((tmp_path / NAME).read_bytes().splitlines()[0]) == kept.read(NAME)[0]
