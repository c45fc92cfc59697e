"""A log in which no line changes, vanishes or moves unnoticed."""

import json
import os
import stat

import pytest

from fedkit.chapters import audit

EVENTS = [{"round": n, "hospital": "Zürich", "cosine": 0.1 * n, "influence": None, 10: n, 9: n} for n in range(6)]


@pytest.fixture
def log(tmp_path):
    log = audit.Log(tmp_path / "audit.jsonl")
    for event in EVENTS:
        log.append(event)
    return log


def lines(log):
    return log.path.read_bytes().splitlines(keepends=True)


def refused(log, sentence, content=None, append=False):
    """A log, perhaps with other content, is refused by whoever verifies or opens it, or appends to it."""
    if content is not None:
        log.path.write_bytes(b"".join(content))
    for act in (audit.verify, audit.Log, *[lambda path: log.append({})] * append):
        with pytest.raises(audit.DamagedLogError, match=sentence):
            act(log.path)


def test_what_was_written_is_read_and_a_log_goes_on_where_it_ended(log):
    events = audit.verify(log.path, head=audit.START)
    assert [event["cosine"] for event in events] == [event["cosine"] for event in EVENTS]
    assert "Zürich".encode() in log.path.read_bytes(), "it is to be read aloud"
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    head, other = log.append({"note": "x" * 10_000}), audit.Log(log.path)
    for number in range(4):  # whoever writes looks at the end first
        (log, other)[number % 2].append({"number": number})
    assert len(audit.verify(log.path, head)) == 11, "a head stays valid while the log grows"


@pytest.mark.parametrize("at", range(6))
def test_a_changed_line_is_named(log, at):
    whole = lines(log)
    for old, new in [(b'"round":', b'"r0und":'), (b'"cosine":0', b'"cosine":1'), (b"Z", b"S"), (b",", b", ")]:
        changed = whole[at].replace(old, new, 1)
        assert changed != whole[at]
        refused(log, f"line {at + 1}: this line was changed", [*whole[:at], changed, *whole[at + 1 :]])


def test_every_single_byte_counts(log):
    content = bytearray(log.path.read_bytes())
    for at in range(0, len(content), 7):
        content[at] ^= 1
        refused(log, r"audit\.jsonl", [content])
        content[at] ^= 1


def test_removed_moved_added_and_torn_lines_are_noticed_where_it_was(log):
    first, second, *rest = whole = lines(log)
    for at in range(5):
        refused(log, f"line {at + 1}: this line calls itself line {at + 2}", whole[:at] + whole[at + 1 :])
    for content, sentence in [
        ([second, first, *rest], "line 1: this line calls itself line 2"),
        ([first, first, second, *rest], "line 2: this line calls itself line 1"),
        ([first, second[:20], *rest], "line 2: this line was changed"),
        ([first, second, *rest[:-1], rest[-1][:-9]], "breaks off"),
        ([first, b"\n", second, *rest], "line 2: this line was changed"),
        ([b"[]\n", *rest], "line 1: this line was changed"),
    ]:
        refused(log, sentence, content)


def test_a_cut_end_and_a_log_written_anew_show_only_against_a_remembered_head(log, tmp_path):
    head = log.append({"excluded": "Hungary"})
    log.path.write_bytes(b"".join(lines(log)[:-1]))
    assert len(audit.verify(log.path)) == 6
    with pytest.raises(ValueError, match=r"6 lines, and none has the remembered head.*removed from its end"):
        audit.verify(log.path, head)
    forged = audit.Log(tmp_path / "forged.jsonl")
    for event in [{**EVENTS[0], "cosine": 0.99}, *EVENTS[1:]]:
        forged.append(event)
    audit.verify(forged.path)
    with pytest.raises(ValueError, match="written anew"):
        audit.verify(forged.path, json.loads(lines(log)[-1])["sha256"])
    refused(log, "line 2: .* does not follow the line before it", [lines(forged)[0], *lines(log)[1:]])


def link_to_a_plain_file(path):
    path.with_name("other").touch()
    path.symlink_to("other")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: p.symlink_to("/dev/zero"), link_to_a_plain_file])
def test_what_is_no_plain_file_is_no_log(log, make):
    log.path.unlink()
    make(log.path)
    refused(log, "a log is a plain file, and this is none", append=True)


def test_nobody_builds_on_a_broken_end(log):
    whole = lines(log)[:5]
    os.truncate(log.path, 10**12)  # takes no room on the disk, and is read a line at a time
    refused(log, "breaks off", append=True)
    refused(log, "breaks off", [*whole, b'{"half":'], append=True)
    refused(log, "line( 6)?: this line was changed", [*whole, b'{"line":6}\n'], append=True)


@pytest.mark.parametrize("event", [[], {"a": object()}, {"a": float("nan")}, {"a": "\ud800"}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, event):
    log = audit.Log(tmp_path / "audit.jsonl")
    with pytest.raises(TypeError if event == [] else ValueError, match=r"cannot be logged|An event is a dict"):
        log.append(event)
    assert not os.path.exists(log.path)


def test_an_event_that_is_longer_than_a_line_is_refused_and_one_just_as_long_is_not(tmp_path):
    log = audit.Log(tmp_path / "audit.jsonl")
    log.append({"x": ""})
    room = audit.LONGEST - len(log.path.read_bytes())
    heads = [log.append({"x": "y" * room}), log.append({})]
    assert len(lines(log)[1]) == audit.LONGEST
    with pytest.raises(ValueError, match="This event has"):
        log.append({"x": "y" * (room + 1)})
    assert len(audit.verify(log.path, heads[1])) == 3
