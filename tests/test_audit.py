"""A log in which no line changes, vanishes or moves unnoticed."""

import json
import os
import stat

import pytest

from fedkit.chapters import audit

EVENTS = [{"round": n, "hospital": "Zürich", "cosine": 0.1 * n, "influence": None, 10: n, 9: n} for n in range(6)]


@pytest.fixture
def path(tmp_path):
    log = audit.Log(tmp_path / "audit.jsonl")
    for event in EVENTS:
        log.append(event)
    return log.path


def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def refused(path, content, sentence, *acts):
    """A log with this content is refused by whoever verifies, opens or writes to it."""
    path.write_bytes(b"".join(content))
    for act in acts or (audit.verify, audit.Log):
        with pytest.raises(audit.DamagedLogError, match=sentence):
            act(path)


def test_what_was_written_is_read(path):
    events = audit.verify(path)
    assert [event["cosine"] for event in events] == [event["cosine"] for event in EVENTS]
    assert "Zürich".encode() in path.read_bytes(), "it is to be read aloud"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert audit.verify(path, head=audit.START) == events


def test_a_log_goes_on_where_it_ended(path):
    head = audit.Log(path).append({"note": "x" * 10_000})
    assert len(audit.verify(path, head)) == 7
    one, other = audit.Log(path), audit.Log(path)
    for number in range(4):  # whoever writes looks at the end first
        (one, other)[number % 2].append({"number": number})
    assert len(audit.verify(path, head)) == 11, "a head stays valid while the log grows"


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize(
    ("old", "new"), [(b'"round":', b'"r0und":'), (b'"cosine":0', b'"cosine":1'), (b"Z", b"S"), (b",", b", ")]
)
def test_a_changed_line_is_named(path, at, old, new):
    content = lines(path)
    assert old in content[at]
    content[at] = content[at].replace(old, new, 1)
    refused(path, content, f"line {at + 1}: this line was changed")


def test_every_single_byte_counts(path):
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), 3):
        content[at] ^= 1
        refused(path, [content], r"audit\.jsonl", audit.verify)
        content[at] ^= 1


def test_removed_moved_added_and_torn_lines_are_noticed_where_it_was(path):
    first, second, *rest = whole = lines(path)
    for at in range(5):
        refused(path, whole[:at] + whole[at + 1 :], f"line {at + 1}: this line calls itself line {at + 2}")
    for content, sentence in [
        ([second, first, *rest], "line 1: this line calls itself line 2"),
        ([first, first, second, *rest], "line 2: this line calls itself line 1"),
        ([first, second[:20], *rest], "line 2: this line was changed"),
        ([first, second, *rest[:-1], rest[-1][:-9]], "breaks off"),
        ([first, b"\n", second, *rest], "line 2: this line was changed"),
        ([b"[]\n", *rest], "line 1: this line was changed"),
    ]:
        refused(path, content, sentence)


def test_a_cut_end_and_a_log_written_anew_show_only_against_a_remembered_head(path, tmp_path):
    head = audit.Log(path).append({"excluded": "Hungary"})
    path.write_bytes(b"".join(lines(path)[:-1]))
    assert len(audit.verify(path)) == 6
    with pytest.raises(ValueError, match=r"6 lines, and none has the remembered head.*removed from its end"):
        audit.verify(path, head)
    forged = audit.Log(tmp_path / "forged.jsonl")
    for event in [*EVENTS[:-1], {**EVENTS[-1], "cosine": 0.99}]:
        forged.append(event)
    audit.verify(forged.path)
    with pytest.raises(ValueError, match="written anew"):
        audit.verify(forged.path, json.loads(lines(path)[-1])["sha256"])


def test_nobody_builds_on_a_broken_end(path):
    log = audit.Log(path)
    for end, sentence in [(b'{"half":', "breaks off"), (b'{"line":6}\n', "the last line: this line was changed")]:
        refused(path, [*lines(path)[:5], end], sentence, lambda _: log.append({}))


@pytest.mark.parametrize("event", [[], {"a": object()}, {"a": float("nan")}, {"a": "\ud800"}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, event):
    log = audit.Log(tmp_path / "audit.jsonl")
    with pytest.raises(TypeError if event == [] else ValueError, match=r"cannot be logged|An event is a dict"):
        log.append(event)
    assert not os.path.exists(log.path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_is_no_log(path, make):
    log = audit.Log(path)
    path.unlink()
    make(path)
    for act in (lambda: log.append({}), lambda: audit.verify(path), lambda: audit.Log(path)):
        with pytest.raises(audit.DamagedLogError, match="a log is a plain file, and this is none"):
            act()


def test_a_log_is_read_a_line_at_a_time_however_long_it_was_made(path):
    log = audit.Log(path)
    os.truncate(path, 10**12)  # takes no room on the disk
    for act in (lambda: log.append({}), lambda: audit.Log(path), lambda: audit.verify(path)):
        with pytest.raises(audit.DamagedLogError, match="breaks off"):
            act()


def test_an_event_that_is_longer_than_a_line_is_refused_and_one_just_as_long_is_not(tmp_path):
    log = audit.Log(tmp_path / "audit.jsonl")
    log.append({"x": ""})
    room = audit.LONGEST - len(log.path.read_bytes())
    heads = [log.append({"x": "y" * room}), log.append({})]
    assert len(lines(log.path)[1]) == audit.LONGEST
    with pytest.raises(ValueError, match="This event has"):
        log.append({"x": "y" * (room + 1)})
    assert len(audit.verify(log.path, heads[1])) == 3
