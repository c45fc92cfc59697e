"""What students hand in: values are checked anew, code is never run, and no file of a stranger stops the others."""

import csv
import json
import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
import tools
from tools import collecting, exercises

from fedkit.chapters import course

GOOD = {
    "kit": "1.0",
    "notebook": "05",
    "name": "Seat 7",
    "exercises": {
        "Exercise 1": {"said": "right.", "value": 2.17},
        "Exercise 2": {"said": "right.", "code": "def bounds_of(all_layers):\n    return [1 < 2]"},
    },
}
JSON = json.dumps(GOOD)


def changed(**changes) -> str:
    return json.dumps(GOOD | changes)


def answered(**kept) -> str:
    return changed(exercises={"Exercise 1": kept})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a class hands in; nothing is there yet."""
    (tmp_path / "class").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "class"


def gathered(folder, text: str | bytes, file: str = "bad.json") -> tuple[list[str], list[str]]:
    """Lay a file beside a good one: the files that are read, and the sentences about those that are not."""
    (folder / "good.json").write_text(JSON)
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    handed, refused = collecting.gathered(folder)
    return [one.file for one in handed], refused


def test_what_a_student_hands_in_is_what_the_teacher_sees(folder, monkeypatch, capsys):
    monkeypatch.setattr(course, "checked", {})
    with pytest.raises(ValueError, match="Run the cells that check"):
        course.hand_in("05")
    answers = exercises.written("05_communication_cost")
    one, two = (next(code for *of, code in answers if of == [f"Exercise {at}", "right"]) for at in (1, 2))
    for exercise, cell in (("Exercise 1", one), ("Exercise 2", two), ("Exercise 3", "attack = ...")):
        page = exercises.given("05_communication_cost", exercise) | {"In": ["", cell, "bounds_of([])"]}
        exec(cell, page)
        exec(exercises.checks("05_communication_cost")[exercise], page)
    monkeypatch.chdir(folder)
    course.hand_in("05", "Zoë")
    with pytest.raises(ValueError, match="digits of the title"):
        course.hand_in("../05")
    said = collecting.collect(folder)
    assert "1 files, 0 refused" in said
    (row,) = csv.DictReader((folder.parent / "class.checked.csv").open(encoding="utf-8-sig"))
    assert row.pop("file").startswith("answers-05-")
    assert row == {
        "notebook": "05",
        "name": "Zoë",
        "Exercise 1": "right",
        "Exercise 2": "to be read",
        "Exercise 3": "no answer",
    }
    page = (folder.parent / "class.checked.html").read_text()
    assert "for layer in zip(*all_layers, strict=True)" in page
    assert "Zoë: right" in page
    assert "no answer</h3>" not in page
    assert "nothing was sent" in capsys.readouterr().out


NAMED = namedtuple("NAMED", "low high")
GIVEN = [2.17, "right", np.arange(3), {"a": [1, (2, 3)]}, {3, 1}, NAMED(1, 2), np.arange(5000), 2**70, [[[[[[1]]]]]]]
GIVEN += [np.ones((20, 600)), float("nan"), len]


@pytest.mark.parametrize("value", GIVEN, ids=lambda value: type(value).__name__)
def test_whatever_a_check_was_given_the_teacher_s_kit_reads(folder, monkeypatch, value):
    monkeypatch.setattr(course, "checked", {})
    course.check("Exercise 1", value, (lambda said: False, "Look again."))
    monkeypatch.chdir(folder)
    course.hand_in("05", "Müller-Öz 7")
    (handed,), refused = collecting.gathered(folder)
    assert refused == []
    assert handed.answers["Exercise 1"].keys() & {"value", "code"}


@pytest.mark.parametrize("name", ["@anna", "+1 late", "-", "a" * 61, "Seat\n7", "=1+1", "a;b"])
def test_a_name_that_would_be_refused_is_said_to_the_student(folder, monkeypatch, name):
    monkeypatch.setattr(course, "checked", {"Exercise 1": {"said": "right.", "value": 1}})
    with pytest.raises(ValueError, match="letters, digits and spaces"):
        course.hand_in("05", name)
    assert list(folder.parent.glob("*.json")) == []


def test_what_a_file_says_of_itself_is_not_believed(folder):
    (folder / "liar.json").write_text(answered(said="right.", value=6.5))
    (folder / "modest.json").write_text(answered(said="not yet. Look again.", value=2.2))
    found = collecting.table(collecting.gathered(folder)[0]).set_index("file")["Exercise 1"]
    assert found.to_dict() == {"liar.json": "not yet", "modest.json": "right"}


@pytest.mark.parametrize("exercise", ["Exercise 1", "Exercise 2"])
def test_code_is_shown_and_never_run(folder, exercise):
    trap = "open('ran', 'w')\nraise SystemExit\nmy_bytes = 2.17"
    (folder / "trap.json").write_text(
        changed(exercises={exercise: {"said": trap, "code": trap, "value": 2.17}}, name="__import__('os')")
    )
    collecting.collect(folder)
    assert sorted(path.name for path in folder.parent.rglob("*") if path.is_file()) == [
        "class.checked.csv",
        "class.checked.html",
        "trap.json",
    ]
    (row,) = csv.DictReader((folder.parent / "class.checked.csv").open(encoding="utf-8-sig"))
    assert row[exercise] == "to be read"


DEEP = 6 * "[" + 6 * "]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (JSON, None),
        ('"' + "a" * collecting.MOST_BYTES + '"', "is too large"),
        ("[" * 50_000, "is too deep"),
        (answered(said="", value=json.loads(DEEP)), "is too deep"),
        (answered(said="", value=[1] * collecting.MOST_PARTS), "more than 1000 parts"),
        ("", "is no JSON"),
        (JSON[:-1], "is no JSON"),
        (b"\xff\xfe\xfa", "is no JSON"),
        ("PK\x03\x04", "is no JSON"),
        (JSON.replace('"kit": "1.0"', '"kit": "1.0", "kit": "2.0"'), "has a name twice"),
        (JSON.replace("2.17", "NaN"), "number that is none"),
        (JSON.replace("2.17", "-Infinity"), "number that is none"),
        (JSON.replace("2.17", "1e999"), "number that is none"),
        (JSON.replace("2.17", "9" * 50_000), "number that is none"),
        (JSON.replace("2.17", str(2**63)), "number that is none"),
        ("[]", "is not what course.hand_in"),
        (json.dumps({"cells": [1] * collecting.MOST_PARTS}), "is not what course.hand_in"),
        ("7", "is not what course.hand_in"),
        (changed(more=1), "is not what course.hand_in"),
        (changed(name=None), "is not what course.hand_in"),
        (changed(exercises=[]), "is not what course.hand_in"),
        (changed(notebook="99"), "a notebook that is not here"),
        (changed(notebook="../05"), "a notebook that is not here"),
        (changed(exercises={"Exercise 9": {"said": ""}}), "does not ask: 'Exercise 9'"),
        (changed(exercises={"<b>\n\x1b[2J": {"said": ""}}), r"does not ask: '<b>\n\x1b[2J'"),
        (changed(exercises={"Exercise 1": 7}), "not as course.hand_in"),
        (answered(value=1), "not as course.hand_in"),
        (answered(said="", code=7), "not as course.hand_in"),
        (answered(said="", run="1"), "not as course.hand_in"),
        (changed(name="a" * 61), "a name that is long"),
        (changed(kit="1" * 61), "a name that is long"),
        (changed(name="Mina\u200cz"), None),
        (changed(name="Seat\n7"), "cannot be shown"),
        (changed(name="Seat \u202e7"), "cannot be shown"),
        (changed(name="=1+1"), "a formula"),
        (changed(name=" @SUM(A1)"), "a formula"),
        (changed(name="Seat; -1+1"), "a formula"),
        (changed(name="\uff1d1+1"), "a formula"),
    ],
)
def test_a_hostile_file_is_refused_by_name_and_the_others_are_read(folder, text, sentence):
    files, refused = gathered(folder, text)
    assert files == (["good.json"] if sentence else ["bad.json", "good.json"])
    assert len(refused) == bool(sentence)
    assert not sentence or (refused[0].startswith("bad.json is refused: it ") and sentence in refused[0]), refused


@pytest.mark.parametrize(
    "file", ["..\\bad.json", "C:bad.json", "=1+1.json", "-1/bad.json", "a\x1b[2J.json", "a\n.json"]
)
def test_a_file_with_a_name_that_harms_is_refused(folder, file):
    (folder / file).parent.mkdir(exist_ok=True)
    files, refused = gathered(folder, JSON, file)
    assert files == ["good.json"]
    assert [one.isprintable() and "has a name that is" in one for one in refused] == [True]


def test_links_and_pipes_are_not_opened_and_folders_of_a_school_are_gone_through(folder):
    (folder.parent / "secret.json").write_text(JSON)
    (folder / "Seat 8").mkdir()
    (folder / "link.json").symlink_to(folder.parent / "secret.json")
    (folder / "up").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.json")
    files, refused = gathered(folder, JSON, "Seat 8/answers.json")
    assert sorted(files) == ["Seat 8/answers.json", "good.json"]
    assert [one.partition(" is refused")[0] for one in refused] == ["link.json", "pipe.json", "up"]


def test_a_file_that_may_not_be_opened_is_said(folder, monkeypatch):
    def closed(path):
        raise PermissionError(path)

    (folder / "closed.json").write_text(JSON)
    monkeypatch.setattr(collecting.Path, "read_bytes", closed)
    assert collecting.gathered(folder) == ([], ["closed.json is refused: it cannot be read: see who may open it."])


def test_a_folder_that_is_none_or_far_too_full_is_said(folder):
    with pytest.raises(ValueError, match="There is no folder"):
        collecting.gathered(folder / "other")
    for number in range(10_000):
        (folder / f"{number}.json").touch()
    with pytest.raises(ValueError, match="holds more than 500 files"):
        collecting.gathered(folder)


def test_on_the_page_and_in_the_table_nothing_of_a_stranger_is_more_than_text(folder, monkeypatch):
    harm = "<script>alert(1)</script>\u202e\x1b[2J"
    monkeypatch.setattr(exercises, "said", lambda notebook, exercise, value: f"not yet. {value} is no number.")
    (folder / "a.json").write_text(
        changed(name="<img src=x>", kit=harm, exercises={"Exercise 2": {"said": harm, "code": harm}})
    )
    (folder / "b.json").write_text(changed(name="<img src=x>", exercises={"Exercise 1": {"said": harm, "value": harm}}))
    (folder / "<i>.json").write_text("{")
    collecting.collect(folder)
    page, cells = ((folder.parent / f"class.checked.{kind}").read_text("utf-8-sig") for kind in ("html", "csv"))
    assert [bad for bad in ("<script", "<img", "<i>", "\u202e", "\x1b") if bad in page] == []
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b[2J") == 4
    assert "default-src 'none'" in page
    assert "handed notebook 05 in 2 times" in page
    assert "a.json was made with version" in page
    assert [line[0] + line[-1] for line in cells.splitlines()] == ['""'] * 3
    assert collecting.visible(harm).isprintable()


def test_collect_asks_for_its_folder():
    done = subprocess.run([sys.executable, tools.__path__[0], "collect"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:28]) == (1, "Which folder are the answers")


def test_a_long_name_of_a_file_pushes_no_mark_out_of_sight(folder, capsys):
    (folder / f"{'a' * 200}.json").write_text(JSON)
    collecting.collect(folder)
    assert all(len(line) < 130 for line in capsys.readouterr().out.splitlines()[:2])
    assert "overflow-wrap: anywhere" in (folder.parent / "class.checked.html").read_text()


def test_a_check_that_stops_stops_itself_alone(folder, monkeypatch):
    def stop(notebook, exercise, value):
        raise KeyError(value)

    monkeypatch.setattr(exercises, "said", stop)
    (folder / "a.json").write_text(answered(said="", value=-1.25))
    (one,), _ = collecting.gathered(folder)
    assert collecting.verdict(one, "Exercise 1") == ("to be read", "The check stopped with KeyError.")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["same", "smaller"], "right."),
        (["smaller", "same"], "not yet. Look."),
        (["same"], "not yet. one and two were asked for."),
        ("ab", "not yet. one and two were asked for."),
        (2, "not yet. one and two were asked for."),
        ({"one": "same"}, "not yet. one and two were asked for."),
    ],
)
def test_two_names_are_two_values(monkeypatch, value, said):
    cell = "course.check('Exercise 1', (one, two), (lambda it: it == ('same', 'smaller'), 'Look.'))"
    monkeypatch.setattr(exercises, "checks", lambda name: {"Exercise 1": cell})
    monkeypatch.setattr(exercises, "given", lambda name, exercise: {"course": course})
    assert exercises.said("01_centralized_baseline", "Exercise 1", value) == said
