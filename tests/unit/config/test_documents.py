"""The fleet's directory as a border: nothing outside is read, nothing but regular files, nothing too large."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.config.files.documents import FileLimits, Files, Unreadable, clashes, included, read_document
from reconciler.diagnostics import Problems, Span


def refused(files: Files, name: str) -> str:
    with pytest.raises(Unreadable) as raised:
        files.text(name)
    return raised.value.problem.rule


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x.yaml", "a/../../x.yaml", "~/x.yaml", "C:/x.yaml", "a\\..\\x.yaml", "", "//x"],
)
def test_26_paths_that_leave(tmp_path: Path, name: str) -> None:
    assert refused(Files(tmp_path), name) == "file-outside"


@pytest.mark.parametrize(
    "name", ["a\nb.yaml", "a\x00.yaml", "{{ x }}.yaml", "a\u202e.yaml", "e\u0301.yaml", "$(id).yaml"]
)
def test_26_names_with_odd_characters(tmp_path: Path, name: str) -> None:
    assert refused(Files(tmp_path), name) == "file-name"


def test_26_a_link_that_leaves(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    (fleet / "link.yaml").symlink_to(tmp_path / "secret")
    (fleet / "folder").symlink_to(tmp_path)
    assert refused(Files(fleet), "link.yaml") == "file-outside"
    assert refused(Files(fleet), "folder/secret") == "file-outside"


def test_26_a_link_that_stays(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("a: 1")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert Files(tmp_path).text("link.yaml") == "a: 1"


def test_26_a_link_to_something_hidden(tmp_path: Path) -> None:
    for name in (".git/config", ".env", ".reconciler/secret.key", "prompts/.draft"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "config.md").symlink_to(".git/config")
    (tmp_path / "env.csv").symlink_to(".env")
    (tmp_path / "git").symlink_to(".git")
    (tmp_path / "draft.md").symlink_to("prompts/.draft")
    for name in ("config.md", "env.csv", "git/config", "draft.md", ".env", ".reconciler/secret.key"):
        assert refused(Files(tmp_path), name) == "file-hidden", name


def test_26_a_fleet_that_lies_in_something_hidden(tmp_path: Path) -> None:
    home = tmp_path / ".cache" / "fleet"
    home.mkdir(parents=True)
    (home / "a.yaml").write_text("a: 1")
    assert Files(home).text("a.yaml") == "a: 1"


def test_26_what_kubernetes_mounts(tmp_path: Path) -> None:
    """A ConfigMap: a.yaml -> ..data/a.yaml, ..data -> ..2024_05_01."""
    (tmp_path / "..2024_05_01").mkdir()
    (tmp_path / "..2024_05_01" / "a.yaml").write_text("a: 1")
    (tmp_path / "..data").symlink_to("..2024_05_01")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert Files(tmp_path).text("a.yaml") == "a: 1"


def test_26_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert refused(Files(tmp_path), "a.yaml") == "file-unreadable"


def test_26_no_pipes_devices_or_folders(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert refused(Files(tmp_path), "pipe.yaml") == "file-kind"
    assert refused(Files(tmp_path), "folder.yaml") in ("file-kind", "file-unreadable")


def test_26_names_that_differ_by_case(tmp_path: Path) -> None:
    assert clashes(["a.yaml", "A.yaml", "b.yaml"]) == [("a.yaml", "A.yaml")]


def test_4_sizes_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a" * 11)
    (tmp_path / "b.yaml").write_text("b" * 10)
    assert refused(Files(tmp_path, FileLimits(file_bytes=10)), "a.yaml") == "file-size"
    files = Files(tmp_path, FileLimits(total_bytes=20))
    assert files.text("b.yaml")
    assert refused(files, "a.yaml") == "file-size"


@pytest.mark.parametrize(
    ("data", "rule", "line"),
    [
        *(
            (b"\xff\xfea\x00", "file-encoding", 0),
            (b"a: \xfc\n", "file-encoding", 1),
            (b"a\n\xed\xa0\x80", "file-encoding", 2),
        ),
        *(
            (b"abcd\x00", "control-character", 1),
            (b"a\nb\x1b[0m", "control-character", 2),
            (b"\xc2\x85", "control-character", 1),
        ),
        *(("a\u2028b".encode(), "control-character", 1), ("a\n\ufeffb".encode(), "control-character", 2)),
    ],
)
def test_14_bytes_that_are_no_text(tmp_path: Path, data: bytes, rule: str, line: int) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(Unreadable) as raised:
        Files(tmp_path).text("a.yaml")
    assert (raised.value.problem.rule, getattr(raised.value.problem.where, "line", 0)) == (rule, line)


def test_a_mark_of_byte_order_at_the_start_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert Files(tmp_path).text("a.yaml") == "a: 1"


def test_every_file_is_read_once_and_remembered(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1")
    files = Files(tmp_path)
    files.text("a.yaml")
    (tmp_path / "a.yaml").write_text("a: 2")
    assert files.text("a.yaml") == "a: 1"
    assert list(files.digests) == ["a.yaml"]


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hotels.yaml").write_text("[]")
    with pytest.raises(Unreadable) as raised:
        Files(tmp_path).text("data/hotel.yaml")
    assert raised.value.problem.help == 'did you mean "data/hotels.yaml"?'


def test_patterns_name_files_in_order(tmp_path: Path) -> None:
    for name in ("agents/b.yaml", "agents/a.yaml", "agents/deep/c.yaml", "fleet.yaml", "agents/.hidden.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    files = Files(tmp_path)
    assert included(files, ["agents/*.yaml"]) == ["agents/a.yaml", "agents/b.yaml"]
    assert included(files, ["**/*.yaml"]) == ["agents/a.yaml", "agents/b.yaml", "agents/deep/c.yaml"]
    with pytest.raises(Unreadable):
        included(files, ["../*.yaml"])


@pytest.mark.parametrize("pattern", [f"m/{'*/' * 17}x.yaml", f"{'**/' * 17}x.yaml", f"{'**/*/' * 9}x.yaml"])
def test_patterns_do_not_go_in_circles(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "m").mkdir()
    for name in "abcd":
        (tmp_path / "m" / name).symlink_to(".")
    with suppress(Unreadable):
        assert included(Files(tmp_path), [pattern]) == []


@pytest.mark.parametrize("pattern", ["m/root/*.yaml", "m/*/etc/*.yaml", "*/root/*", "m/root/**/*.yaml"])
def test_patterns_do_not_walk_the_machine(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "root").symlink_to("/")
    with pytest.raises(Unreadable) as raised:
        included(Files(tmp_path), [pattern])
    assert (raised.value.problem.rule, "m/root" in raised.value.problem.summary) == ("include-link", True)


def test_patterns_are_bounded(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}" / "x" / "y").mkdir(parents=True)
    with pytest.raises(Unreadable) as raised:
        included(Files(tmp_path, FileLimits(entries=30)), ["**/*.yaml"])
    assert raised.value.problem.rule == "include-size"
    assert included(Files(tmp_path, FileLimits(entries=30)), ["*/y.yaml"]) == []


def test_patterns_follow_no_links_under_two_stars(tmp_path: Path) -> None:
    """As always: two stars are for what is really there, and links beside it are nobody's business."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text("")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "b.yaml").symlink_to("a.yaml")
    assert included(Files(tmp_path), ["**/*.yaml"]) == ["real/a.yaml", "real/b.yaml"]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("agent/*.yaml", "agents/*.yaml"),
        ("agent/lobby.yaml", "agents/lobby.yaml"),
        ("agents/loby.yaml", "agents/lobby.yaml"),
        ("agents/lobby.yml", "agents/lobby.yaml"),
        ("./agent/**/lobby.yaml", "agents/**/lobby.yaml"),
        ("agents/*.yml", None),
        ("elsewhere/*.yaml", None),
    ],
)
def test_a_pattern_that_matches_nothing_suggests_one(tmp_path: Path, pattern: str, meant: str | None) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "lobby.yaml").write_text("")
    assert Files(tmp_path).suggestion(pattern) == (f'did you mean "{meant}"?' if meant else None)


def test_suggestions_do_not_look_outside(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("/")
    assert Files(tmp_path).suggestion("root/etc/passwt") is None


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a:\n  b: [1, 2]\n")
    document = read_document(Files(tmp_path), "a.yaml", Problems())
    assert document is not None
    inner = document.root["a"]
    assert document.key(document.root, "a") == Span("a.yaml", 1, 1)
    assert document.value(inner, "b") == Span("a.yaml", 2, 6)
    assert document.value(inner["b"], 1) == Span("a.yaml", 2, 10)
    assert document.at(inner) == Span("a.yaml", 2, 3)
