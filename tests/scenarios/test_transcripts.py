"""Transcripts outlive their agents: archived before every leave of ours, durable before it is sent."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler import workflow
from reconciler.apply.events import Ledger, Notice, Result
from reconciler.errors import ArchiveFailed
from reconciler.model.address import Address
from reconciler.model.fleet import Archive, DesiredFleet
from reconciler.model.spec import AgentSpec
from reconciler.model.transcript import Transcript
from reconciler.ports import HttpRequest
from reconciler.state.archive import TranscriptFiles, file_name
from tests.fakes.fleets import UNLIMITED, agent, fleet
from tests.fakes.virtual import Virtual


@pytest.fixture
def virtual(tmp_path: Path) -> Virtual:
    return Virtual(archive=TranscriptFiles(tmp_path, "transcripts"))


def kept(*agents: AgentSpec, required: bool = False) -> DesiredFleet:
    return replace(fleet(*agents, limits=UNLIMITED), archive=Archive("transcripts", required=required))


def apply(virtual: Virtual, wanted: DesiredFleet) -> Ledger:
    return virtual.run(workflow.apply(virtual.job(wanted), virtual.provider()))


def talk(virtual: Virtual, *texts: str) -> None:
    """Every agent that runs says these, one after the other."""
    provider = virtual.provider()
    for running in virtual.live():
        provider.seat(running.agent_id, running.channel, running.uid)
        for text in texts:
            virtual.run(provider.speak(running.agent_id, text))


def voice(name: str) -> dict[str, object]:
    return {
        "vendor": "microsoft",
        "params": {"key": "ref+env://TTS_KEY", "region": "eastus", "voice_name": name},
    }


def archives(virtual: Virtual) -> dict[str, list[dict[str, Any]]]:
    assert isinstance(virtual.archive, TranscriptFiles)
    found = {}
    for path in virtual.archive.place.glob("*/*/*.jsonl"):
        lines = [orjson.loads(each) for each in path.read_bytes().splitlines()]
        found[lines[0]["agent_id"]] = lines
    return found


def said(lines: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for each in lines if each["type"] == "utterance"]


def test_twenty_replacements_give_twenty_complete_archives_each_durable_before_its_leave(
    virtual: Virtual,
) -> None:
    names = [f"room-{number}/desk" for number in range(20)]
    apply(virtual, kept(*map(agent, names)))
    talk(virtual, "one", "two", "three")
    before = {each.agent_id: each.channel for each in virtual.live()}
    durable: list[str] = []

    def watch(request: HttpRequest) -> None:
        if request.url.endswith("/leave"):
            left = request.url.rsplit("/", 2)[-2]
            assert said(archives(virtual)[left]) == ["one", "two", "three"]
            durable.append(left)

    virtual.on_request = watch
    assert apply(virtual, kept(*(agent(each, tts=voice("en-US-EmmaNeural")) for each in names))).is_complete
    assert sorted(durable) == sorted(before)
    for agent_id, lines in archives(virtual).items():
        head, *_, end = lines
        assert head["address"] == f"{before[agent_id]}/desk"
        assert (head["format"], head["fleet"], head["started"][:2]) == (1, "demo", "20")
        assert (end["type"], bool(end["cause"])) == ("end", True)
        assert [each["turn_id"] for each in lines if each["type"] == "turn"] == [1, 2, 3]


def test_destroy_archives_too(virtual: Virtual) -> None:
    apply(virtual, kept(agent("a/one")))
    talk(virtual, "farewell")
    virtual.run(
        workflow.apply(replace(virtual.job(kept(agent("a/one"))), destroying=True), virtual.provider())
    )
    assert [said(each) for each in archives(virtual).values()] == [["farewell"]]
    assert virtual.live() == []


class FullDisk:
    """An archive that can write nothing."""

    def preserve(self, transcript: Transcript) -> None:
        raise ArchiveFailed("no space left on device")


@pytest.mark.parametrize("required", [True, False])
def test_a_full_disk_holds_the_leaves_where_transcripts_are_required_and_nothing_else(required: bool) -> None:
    virtual = Virtual(archive=FullDisk())
    apply(virtual, kept(agent("a/one"), agent("b/two")))
    before = {each.agent_id for each in virtual.live()}
    moved = kept(agent("a/one", tts=voice("en-US-EmmaNeural")), agent("c/three"), required=required)
    ledger = apply(virtual, moved)
    results = {str(row.address): row.result for row in ledger.finished}
    if required:
        assert results == {"a/one": Result.HELD, "b/two": Result.HELD, "c/three": Result.DONE}
        assert before < {each.agent_id for each in virtual.live()}, "nobody was hung up on"
        assert not ledger.is_complete
    else:
        assert set(results.values()) == {Result.DONE}
        assert not before & {each.agent_id for each in virtual.live()}
        told = [each.text for each in virtual.events if isinstance(each, Notice)]
        assert "the transcript of a/one is lost: no space left on device" in told


def test_a_service_that_tells_no_history_holds_a_required_leave(virtual: Virtual) -> None:
    apply(virtual, kept(agent("a/one")))
    (before,) = virtual.live()
    virtual.service.set_script([{"on": "history", "count": 0, "fate": "refuse", "status": 503}])
    gone = kept(agent("b/two"), required=True)
    assert [row.result for row in apply(virtual, gone).finished if row.address.channel == "a"] == [
        Result.HELD
    ]
    assert before.agent_id in {each.agent_id for each in virtual.live()}


def test_an_agent_that_ended_by_itself_has_its_archive_closed_with_the_services_words(
    virtual: Virtual,
) -> None:
    wanted = kept(agent("a/one"))
    apply(virtual, wanted)
    virtual.now += 72 * 3600 + 10
    apply(virtual, wanted)
    ended = [each for each in archives(virtual).values() if each[-1]["type"] == "end"]
    assert len(ended) == 1
    assert ended[0][-1]["cause"]


def test_an_agent_that_the_service_forgets_at_once_has_its_archive_closed_too(virtual: Virtual) -> None:
    wanted = kept(agent("a/one"), agent("b/two"))
    apply(virtual, wanted)
    talk(virtual, "farewell")
    virtual.service.set_switches(get_exited="404")

    def end_the_other(request: HttpRequest) -> None:
        # An operator ends it after the run has seen it alive: this run finds it gone when it wants it to leave.
        if request.url.endswith("/leave"):
            virtual.on_request = None
            for running in virtual.live():
                virtual.run(virtual.provider().leave(running.agent_id))

    virtual.on_request = end_the_other
    virtual.run(workflow.apply(replace(virtual.job(wanted), destroying=True), virtual.provider()))
    assert virtual.live() == []
    ends = {lines[0]["address"]: lines[-1] for lines in archives(virtual).values()}
    assert {address: (end["type"], end["cause"]) for address, end in ends.items()} == {
        "a/one": ("end", "told to leave"),
        "b/two": ("end", "told to leave"),
    }


def test_what_is_no_error_of_ours_is_not_hidden_by_an_archive(virtual: Virtual) -> None:
    apply(virtual, kept(agent("a/one")))

    class Broken:
        def preserve(self, transcript: Transcript) -> None:
            raise ZeroDivisionError

    virtual.archive = Broken()
    with pytest.raises(ZeroDivisionError):
        keep_running(virtual)


def test_a_second_look_adds_only_what_is_new(virtual: Virtual) -> None:
    apply(virtual, kept(agent("a/one")))
    talk(virtual, "one", "two")
    keep_running(virtual)
    keep_running(virtual)
    (lines,) = archives(virtual).values()
    assert said(lines) == ["one", "two"]
    talk(virtual, "three")
    keep_running(virtual)
    (lines,) = archives(virtual).values()
    assert said(lines) == ["one", "two", "three"]
    talk(virtual, *(f"word {number}" for number in range(40)))  # more than the service's window of 32
    keep_running(virtual)
    (lines,) = archives(virtual).values()
    assert said(lines) == ["one", "two", "three", *(f"word {number}" for number in range(8, 40))]
    assert [each["type"] for each in lines].count("gap") == 1


def keep_running(virtual: Virtual) -> None:
    virtual.run(
        workflow.keep_transcripts(
            virtual.job(kept(agent("a/one"))), virtual.provider(), {Address("a", "one")}
        )
    )


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a b", "a%20b"),
        ("room:1", "room%3A1"),
        ("<|>", "%3C%7C%3E"),
        ("nul", "%6Eul"),
        ("COM1", "%43OM1"),
        ("lobby", "lobby"),
    ],
)
def test_any_channel_is_one_safe_part_of_a_path(channel: str, name: str) -> None:
    assert file_name(channel) == name


def test_the_files_are_private_and_git_leaves_them_alone(virtual: Virtual, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        apply(virtual, kept(agent("a/one")))
        keep_running(virtual)
    finally:
        os.umask(before)
    (path,) = (tmp_path / "transcripts").glob("*/*/*.jsonl")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (tmp_path / "transcripts" / ".gitignore").read_text() == "*\n"


def test_a_torn_last_line_is_written_again_and_a_link_is_not_followed(
    virtual: Virtual, tmp_path: Path
) -> None:
    apply(virtual, kept(agent("a/one")))
    talk(virtual, "one", "two")
    keep_running(virtual)
    (path,) = (tmp_path / "transcripts").glob("*/*/*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    keep_running(virtual)
    assert path.read_bytes() == whole
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    path.unlink()
    path.symlink_to(target)
    keep_running(virtual)
    assert target.read_bytes() == b""
    with pytest.raises(ArchiveFailed):
        TranscriptFiles(tmp_path, "transcripts").read("transcripts/nothing.jsonl")
