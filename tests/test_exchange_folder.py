import os
import random
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit.exchange.folder import Folder, digest, parts, quoted

DATA, OTHER = b"a letter", b"another letter"


@pytest.fixture
def folder(tmp_path):
    """With what it complains of in `sentences`."""
    folder = Folder(tmp_path)
    folder.make(["place"])
    folder.sentences, folder.notice = [], lambda name, sentence: folder.sentences.append(sentence)
    return folder


def write(folder, name, data):
    Path(folder.root, "place", name).write_bytes(data)


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_a_letter_arrives_once_whoever_lists(tmp_path, where):
    root = tmp_path if where == "disk" else f"memory://{tmp_path.name}"
    ours, theirs = Folder(root), Folder(root)
    posted = ours.post("place", "Universitätsspital Zürich", DATA)
    assert [*theirs.new("place", 100)] == [posted]
    assert [*theirs.new("place", 100)] == []
    assert posted.name == f"{digest(DATA)}.Universit%C3%A4tsspital%20Z%C3%BCrich.letter"
    theirs.forget()
    assert [*theirs.new("place", 100)] == [posted]
    assert ([*theirs.new("elsewhere", 100)], theirs.places()) == ([], ["incoming", "place"])


def test_posting_twice_changes_nothing_and_leaves_nothing_aside(folder):
    posted = folder.post("place", "Basel", DATA)
    os.utime(f"{folder.root}/place/{posted.name}", (1, 1))
    assert folder.post("place", "Basel", DATA) == posted
    assert os.stat(f"{folder.root}/place/{posted.name}").st_mtime == 1
    assert os.listdir(f"{folder.root}/incoming") == []
    os.rename(f"{folder.root}/place", f"{folder.root}/place (1)")  # as Drive may show it
    assert folder.places() == ["incoming", "place (1)"]
    assert folder.post("place", "Basel", DATA) == posted
    assert not os.path.exists(f"{folder.root}/place")
    with pytest.raises(ValueError, match="choose a shorter name"):
        folder.post("place", "医" * 60, DATA)


@pytest.mark.parametrize(("real", "fake"), [("place", "place (1)"), ("place (1)", "place")])
@pytest.mark.parametrize("size", [1, 1 << 30])
def test_a_file_of_another_size_in_a_place_shown_twice_hides_no_letter(folder, real, fake, size):
    posted = folder.post(real, "Basel", DATA)
    (path := Path(folder.root, fake)).mkdir(exist_ok=True)
    (path / posted.name).touch()
    os.truncate(path / posted.name, size)
    assert len(folder.places()) == 3
    assert [found.data for found in folder.new("place", 100)] == [DATA]


def test_a_letter_is_posted_without_a_look_at_the_others(folder, monkeypatch):
    """A place holds thousands where a study is large, and each of them would list the rest."""
    monkeypatch.setattr(folder.filesystem, "ls", lambda *_, **__: pytest.fail("the place was listed"))
    for _ in range(2):
        folder.post("place", "Basel", DATA)


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], DATA[:-1] + b"!"])
def test_what_was_left_half_written_is_mended_by_posting_again(folder, damaged):
    name = f"{digest(DATA)}.Basel.letter"
    write(folder, name, damaged)
    assert [*folder.new("place", 100)] == []
    folder.post("place", "Basel", DATA)
    assert [found.data for found in folder.new("place", 100)] == [DATA]


def test_a_file_that_stays_half_written_is_read_ever_more_rarely_and_told(folder):
    reads, read = [], folder.read
    folder.read = lambda *about: reads.append(about) or read(*about)
    write(folder, f"{digest(DATA)}.Basel.letter", DATA[:3])
    for _ in range(100):
        assert [*folder.new("place", 100)] == []
    assert 4 < len(reads) < 15
    (sentence,) = {*folder.sentences}
    assert "half written, or changed" in sentence
    write(folder, f"{digest(DATA)}.Basel.letter", DATA)
    assert [found.data for found in folder.new("place", 100)] == [DATA], "it has another size now"


COPIES = (" (1).letter", ".letter (1)", " (12).letter (3)", " - Copy.letter", " 2.letter")
COPIES += (" (conflicted copy 2026-01-31 120000).letter", " (Anna's conflicted copy 2026-01-31).letter")


@pytest.mark.parametrize("ending", COPIES)
def test_a_copy_counts_as_the_letter_and_once(folder, ending):
    write(folder, f"{digest(DATA)}.Basel{ending}", DATA)
    assert [found.sender for found in folder.new("place", 100)] == ["Basel"]
    folder.post("place", "Basel", DATA)
    assert [*folder.new("place", 100)] == []


def test_only_files_with_a_letters_name_are_read(folder):
    whole = digest(DATA)
    for name in (
        *("..%2F..%2Fetc.letter", f"{whole}.letter", f"{whole}.Basel.letter.tmp", f"{whole}.Basel.LETTER"),
        *(f"{whole}.Basel.letter\n", f"{whole.upper()}.Basel.letter", f"{whole}.St%2e.letter", f"{whole}.a%2.letter"),
        *(f"{whole}.{'x' * 160}.letter", "desktop.ini", ".hidden", "a.letter", "x" * 200),
    ):
        assert parts(name) is None
        write(folder, name, DATA)
    os.mkdir(f"{folder.root}/place/{whole}.Basel.letter")
    os.mkfifo(f"{folder.root}/place/{digest(OTHER)}.Basel.letter")
    assert folder.names("place") == {}, "whoever reads a pipe waits for ever"
    assert [*folder.new("place", 100)] == []


def test_a_giant_is_not_read_and_told(folder):
    folder.read = lambda *about: pytest.fail("it was read")
    name = f"{digest(DATA)}.Basel.letter"
    write(folder, name, b"")
    os.truncate(f"{folder.root}/place/{name}", 10**12)
    for _ in range(3):
        assert [*folder.new("place", 100)] == []
    (sentence,) = {*folder.sentences}
    assert "1,000,000,000,000 bytes, and 100 are the most" in sentence


def test_a_file_that_grew_since_it_was_listed_is_not_read_to_its_end(folder):
    class Growing(fsspec.get_filesystem_class("file")):
        cachable = False

        def cat_file(self, path, start=None, end=None, **kwargs):
            asked.append((start, end))
            return super().cat_file(path, start, end, **kwargs)

    asked = []
    folder.post("place", "Basel", DATA)
    assert len([*Folder(folder.root, Growing()).new("place", 100)]) == 1
    assert asked == [(0, 101)]


def test_letters_come_in_the_order_of_their_digests_however_they_are_listed(folder, monkeypatch):
    for number in range(20):
        folder.post("place", f"Hospital {number}", bytes([number]))
    ls, draw = folder.filesystem.ls, random.Random(0).random
    monkeypatch.setattr(folder.filesystem, "ls", lambda *how, **more: sorted(ls(*how, **more), key=lambda _: draw()))
    found = [*folder.new("place", 100)]
    assert len(found) == 20
    assert [letter.digest for letter in found] == sorted(letter.digest for letter in found)


@given(st.text(min_size=1, max_size=16))
def test_names_come_back_from_file_names(name):
    try:
        text = quoted(name)
    except UnicodeEncodeError:  # a lone surrogate, which is no name either
        return
    expected = (digest(DATA), name) if name.isprintable() else None  # no screen is to be told to do something
    assert parts(f"{digest(DATA)}.{text}.letter") == expected


def test_a_folder_that_comes_in_the_way_meanwhile_is_an_error_and_swallows_no_letter(tmp_path):
    aside, there = tmp_path / "aside", tmp_path / "there"
    aside.write_bytes(b"a letter")
    there.mkdir()
    with pytest.raises(OSError, match="directory"):
        Folder(tmp_path).filesystem.mv(str(aside), str(there))
    assert [*there.iterdir()] == []
