"""Pictures of what there is: the hospitals' data, when records are from, what the server sees, what a search finds."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedkit import plots
from fedkit.plots import BLUE, FAINT, INK, SKY, VERMILLION, Look, looks, sheet, styled


@styled
def hospitals_at_a_glance(federation: Iterable, column: str = "age") -> Figure:
    """Draw what each hospital of a federation holds: patients ill and not, quartiles of a numeric column, gaps.

    What to see: hospitals differ in size, in how common the disease is, in age, and in what they did not measure.
    """
    hospitals = list(federation)
    columns = list(hospitals[0].table.columns)
    if column not in columns:
        raise ValueError(f"No column {column!r} to draw: choose from {', '.join(columns)}.")
    if max(np.max(hospital.labels) for hospital in hospitals) > 1:
        raise ValueError("This picture is of two classes, and the hospitals have more: see `Federation.summary`.")
    names, places = [plots.shown(hospital.name) for hospital in hospitals], range(len(hospitals))
    size = (8, 1.7 + 0.62 * len(names), 2, 2)
    figure, axes = sheet("What each hospital holds", *size, width_ratios=[1.25, 1], sharey=True)
    ((patients, values), (missing, spare)) = axes
    missing.remove()
    spare.remove()
    missing = figure.add_subplot(spare.get_gridspec()[1, :])

    ill = np.array([int(np.sum(hospital.labels)) for hospital in hospitals])
    total = np.array([len(hospital.labels) for hospital in hospitals])
    for panel in (patients, values):
        plots.banded(panel, names)
    patients.barh(places, ill, color=VERMILLION, height=0.6, label="with disease", hatch="///")
    patients.barh(places, total - ill, left=ill, color=SKY, height=0.6, label="without")
    for y, (part, whole) in enumerate(zip(ill, total, strict=True)):
        patients.text(whole + 0.02 * total.max(), y, f"{whole}, {part / whole:.0%} ill", va="center", fontsize=9.5)
    patients.set(title="Patients", xlabel="number of patients", xlim=(0, 1.45 * total.max()))
    above = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
    patients.legend(ncols=2, fontsize=9.5, handlelength=1.2, **above)

    known = [hospital.table[column].dropna().astype(float) for hospital in hospitals]
    look = {"patch_artist": True, "boxprops": {"facecolor": "#cfe3f0", "edgecolor": BLUE}}
    look |= {"medianprops": {"color": INK, "linewidth": 1.6}, "widths": 0.5, "whis": (0, 100)}
    values.boxplot(known, positions=places, orientation="horizontal", manage_ticks=False, **look)
    for y, one in enumerate(known):
        if one.empty:
            values.text(0.5, y, "not measured", transform=values.get_yaxis_transform(), ha="center", va="center")
    name = plots.shown(column)
    values.set(title=f"{name}: range, quartiles, median", xlabel="years" if column == "age" else name)
    values.tick_params(labelleft=False)

    share = np.array([hospital.table.isna().mean().to_numpy() for hospital in hospitals])
    missing.imshow(share, cmap="Greys", vmin=0, vmax=1.25, aspect="auto")
    for (row, position), value in np.ndenumerate(share):
        if value:
            text, ink = f"{value:.0%}" if value >= 0.005 else "<1%", "white" if value > 0.6 else INK
            missing.text(position, row, text, ha="center", va="center", fontsize=9.5, color=ink)
    many = len(columns) > 12
    labels = [plots.shown(one, plots.ROOM if many else 460 / len(columns)) for one in columns]
    missing.set_title("Missing values (share of the hospital's patients; empty: none)")
    missing.set(xticks=range(len(columns)), xticklabels=labels, yticks=places, yticklabels=names)
    missing.tick_params(length=0)
    missing.xaxis.set_tick_params(rotation=90 if many else 0)
    missing.spines[:].set_visible(False)
    missing.hlines(np.arange(len(names) + 1) - 0.5, -0.5, len(columns) - 0.5, color="#dddddd", linewidth=0.7)
    missing.vlines(np.arange(len(columns) + 1) - 0.5, -0.5, len(names) - 0.5, color="#dddddd", linewidth=0.7)
    return figure


@styled
def encryption_error(errors: pd.DataFrame) -> Figure:
    """Draw the error that encryption adds, against the number of parameters, a line a scheme.

    What to see: CKKS computes with noise, BFV on rounded numbers, both far below what training could notice. Columns
    scheme ("CKKS", "BFV" or a method), parameters, error (the largest; means are drawn, and one of 0 at the foot).
    """
    named = errors.assign(method=["federated + " + s if s in ("CKKS", "BFV") else s for s in errors["scheme"]])
    styles = looks(named["method"])
    figure, ((axes,),) = sheet("The error that encryption adds to the mean of the updates", 8, 3.8)
    foot = 10 ** np.floor(np.log10(min([*errors.loc[errors["error"] > 0, "error"], 1e-7])))
    axes.axhline(2**-24, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
    axes.text(1.01, 2**-24, "rounding 1\nto float32", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    for method, look in styles.items():
        line = named[named["method"] == method].groupby("parameters")["error"].mean().clip(lower=foot)
        axes.plot(line.index, line, color=look.color, marker=look.marker, linestyle=look.line)
    axes.set(xscale="log", yscale="log", ylim=(foot / 2, None))
    axes.set(xlabel="parameters of the model (log scale)", ylabel="largest absolute error (log scale)")
    axes.grid()
    plots.legend(figure, styles)
    return figure


@styled
def server_view(update: np.ndarray, ciphertext: bytes, names: Sequence[str]) -> Figure:
    """Draw one hospital's update as the server sees it: without encryption, and with. Measured: noise differs.

    What to see: left, every number can be read; right, the bytes look like noise and tell nothing but their length.

    ciphertext : the message that the hospital sends instead of the update, shape [p]
    names : what each of the p numbers belongs to; about 30 can be read
    """
    figure, axes = sheet("One hospital's update, as the server sees it", 8, 4.4, columns=2, width_ratios=[1, 1.1])
    plain, secret = axes[0]
    limit = np.abs(update).max() or 1.0
    plots.banded(plain, [plots.shown(name) for name in names])
    colors = [BLUE if value < 0 else VERMILLION for value in update]
    plain.barh(range(len(update)), update, color=colors, height=0.62)
    for y, value in enumerate(update):
        side = {"xytext": (3, 0), "ha": "left"} if value >= 0 else {"xytext": (-3, 0), "ha": "right"}
        text = f"{value:+z.3f}".replace("-", "−")
        plain.annotate(text, (value, y), textcoords="offset points", va="center", fontsize=8, **side)
    plain.axvline(0, color=FAINT, linewidth=0.8)
    plain.set(xlabel="change of the weight", xlim=(-1.4 * limit, 1.4 * limit))
    plain.set_title(f"Plain: {update.size} numbers, {4 * update.size:,} bytes")
    content = np.frombuffer(ciphertext, dtype=np.uint8)
    shown = content[: 128 * 128]
    side = int(np.ceil(np.sqrt(shown.size)))
    square = np.pad(shown.astype(float), (0, side**2 - shown.size), constant_values=np.nan).reshape(side, side)
    secret.imshow(square, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    shares = np.unique(content, return_counts=True)[1] / content.size
    entropy = -np.sum(shares * np.log2(shares))
    part = f"{'all' if shown.size == content.size else 'the first'} {shown.size:,} bytes"
    below = f"{part}, a pixel each (black 0, white 255)\nentropy over all bytes: {entropy:.3f} of 8 bits a byte"
    secret.spines[:].set_visible(False)
    secret.set(title=f"Encrypted: {content.size:,} bytes", xticks=[], yticks=[], xlabel=below)
    return figure


@styled
def images(pictures: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> Figure:
    """Draw square images [side, side] in a row, pixels from 0 (black) to 1, with notes. Measured: last bits differ."""
    figure, axes = sheet("What a search finds from one update, and from its ciphertext", 8, 2.8, columns=len(pictures))
    for panel, (name, pixels) in zip(axes[0], pictures.items(), strict=True):
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set(title=plots.shown(name, 480 / len(pictures)), xlabel=notes[name], xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    return figure


@styled
def around_index(records: pd.DataFrame) -> Figure:
    """Draw records by their day, counted from their patient's index date: a line of dots a kind and an outcome.

    What to see: who has dots right of the line, of later. Columns kind, diabetes ("yes", "no"), days, records (number).
    """
    kinds, looks = list(dict.fromkeys(records["kind"])), {"no": Look(BLUE, "o"), "yes": Look(VERMILLION, "s")}
    figure, ((axes,),) = sheet("Records around the index date", 8, 2.6)
    for number, kind in enumerate(kinds):
        for (outcome, look), lane in zip(looks.items(), (0.2, -0.2), strict=True):
            rows = records[(records["kind"] == kind) & (records["diabetes"] == outcome)]
            size = 14 + 6 * rows["records"].clip(upper=30)
            place = [number + lane] * len(rows)
            axes.scatter(rows["days"], place, s=size, c=look.color, marker=look.marker, alpha=0.5, linewidths=0)
    axes.axvline(0, color=FAINT, linewidth=1.5)
    axes.set(xlabel="days from the index date (larger dots: more records)", ylim=(len(kinds) - 0.5, -0.5))
    axes.set_yticks(range(len(kinds)), kinds)
    plots.legend(figure, {f"diabetes: {outcome}": look for outcome, look in looks.items()}, line=False)
    return figure
