from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from fedkit import evaluation, plots
from fedkit.chapters import diagrams, figures

HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
METHODS = ("federated + BFV", "local", "centralized", "federated + CKKS", "federated")
NAMES = ["age", "trestbps", "chol", "thalach", "oldpeak", "sex = 1", "cp = 2", "cp = 3", "cp = 4", "fbs = 1", "bias"]


def a_run(method, seed):
    """Make up a run of five rounds that a figure can be drawn from."""
    random = np.random.default_rng([len(method), seed])
    rows, predictions, ledger = [], [], []
    for number, hospital in enumerate(HOSPITALS):
        for round in range(1, 6):
            rows += [(round, hospital, "auroc", 0.7 + number / 20 + round / 50 + random.normal() / 50)]
            rows += [(round, hospital, "distance", (1 + number) / round)]
        for label in (0, 1) * 10:
            predictions.append((hospital, label, float(np.clip(0.3 + 0.4 * label + random.normal() / 5, 0.01, 0.99))))
        ledger += [(0, hospital, "peer", "keys", 300_000, 0.01), (1, hospital, "", "train", 0, 0.3)]
        ledger += [(1, hospital, "up", "send", 60_000, 0), (1, hospital, "down", "send", 60_000, 0)]
        ledger += [(1, hospital, "", "encrypt", 0, 0.02), (1, hospital, "", "decrypt", 0, 2e-4)]
    return SimpleNamespace(
        method=method,
        settings={"seed": seed},
        metrics=pd.DataFrame(rows, columns=["round", "hospital", "metric", "value"]),
        predictions=pd.DataFrame(predictions, columns=["hospital", "label", "probability"]),
        ledger=pd.DataFrame(ledger, columns=["round", "hospital", "direction", "phase", "bytes", "seconds"]),
    )


def a_federation():
    random = np.random.default_rng(0)
    for number, name in enumerate(HOSPITALS):
        table = pd.DataFrame(random.normal(50, 9, size=(100 + 60 * number, 4)), columns=["age", "chol", "fbs", "cp"])
        table.loc[: 20 * number, "chol"] = np.nan
        yield SimpleNamespace(name=name, table=table, labels=(random.random(len(table)) < 0.5).astype(int))


RUNS = [a_run(method, seed) for method in METHODS for seed in (1, 0, 2)]
TABLE = evaluation.table(RUNS, ["auroc"])
ERRORS = pd.DataFrame(
    [(scheme, size, error) for scheme, error in (("ckks", 4e-9), ("bfv", 0.0)) for size in (14, 1000, 100_000)],
    columns=["scheme", "parameters", "error"],
)
ROUNDED = pd.DataFrame(
    [(way, bits, 0.001, -(0.5**bits), 0.5**bits, 2.0**-bits) for way in ("nearest", "feedback") for bits in (5, 8, 12)],
    columns=["rounding", "bits", "mean", "low", "high", "distance"],
)
SIZES = pd.DataFrame(
    [
        (method, size, hospitals, cost + 90 / size, cost + 90 / size + hospitals / 100)
        for method, cost in (("federated + CKKS", 16), ("federated + BFV", 3.5), ("another", 57.4))
        for size in (10, 1000, 1_000_000)
        for hospitals in (2, 16, 256)
    ],
    columns=["method", "numbers", "hospitals", "up", "down"],
)
ATTACKED = pd.DataFrame(
    [
        (method, count, value, value - 0.05, value + 0.03, 5)
        for method, values in {"median": (0.85, 0.83), "mean": (0.87, 0.2), "median of 5 x BFV": (0.84, 0.4)}.items()
        for count, value in enumerate(values)
    ],
    columns=["method", "attackers", "mean", "low", "high", "n"],
)
HIDDEN = pd.DataFrame(
    [
        (case, metric, value, value - 0.1, min(value + 0.1, 1), 3)
        for case, values in {"honest, mean": (0.8, 0.4), "planted, mean": (0.79, 0.9), "FLTrust": (0.8, 0.5)}.items()
        for metric, value in zip(("auroc", "backdoor"), values, strict=True)
    ],
    columns=["method", "metric", "mean", "low", "high", "n"],
)
EXCLUDED = pd.DataFrame(
    [
        (case, name, "Hungary" in case and name == "Hungary", float(name == guilty))
        for case, guilty in {"cosine, all honest": "Switzerland", "influence, Hungary flips": "Hungary"}.items()
        for name in HOSPITALS
    ],
    columns=["case", "hospital", "malicious", "excluded"],
)
LEAKS = pd.DataFrame(
    [
        (name, patients, 1 / patients**power, 0.8 / patients**power, 1 / patients**power)
        for name, power in (("logistic regression", 2), ("network, 64 units", 1), ("the same, encrypted", 9))
        for patients in (1, 2, 4, 8)
    ],
    columns=["model", "patients", "mean", "low", "high"],
)
LEFT = pd.concat(
    LEAKS.rename(columns={"model": "attack", "patients": "amount"}).assign(remedy=remedy, measure="share read exactly")
    for remedy in ("hospitals in the sum", "steps in one update", "noise on each number")
)
PRICES = pd.DataFrame(
    [("encrypted sum", 0, 0, 0), ("noise 0.1", -0.01, -0.03, 0.01)], columns=["remedy", "mean", "low", "high"]
)
SUCCESS = pd.DataFrame(
    [
        (attack, method, 0.8, 0.7, 0.9, chance)
        for attack, chance in (("a row", 0), ("a share", 0.1), ("a member", 0.5))
        for method in METHODS
    ],
    columns=["attack", "method", "mean", "low", "high", "chance"],
)
PICTURES = {name: np.linspace(0, 1, 64).reshape(8, 8) for name in ("the slice", "from an update", "from noise")}
STEPS = pd.DataFrame(
    {"step": ["as it is sent", "one prime", "four to a coefficient"], "bytes_per_number": [57.41, 32.1, 1.634]}
)
BYTES = np.random.default_rng(0).bytes(15_600)
UPDATE = np.linspace(-0.3, 0.2, len(NAMES))

DRAWN = {
    "accuracy_by_bits": lambda: figures.accuracy_by_bits(ROUNDED),
    "architecture": diagrams.architecture,
    "architecture, in the clear": lambda: diagrams.architecture(encrypted=False),
    "architecture of five": lambda: diagrams.architecture(("One", "Two", "Three", "Four", "Five")),
    "auroc_by_attackers": lambda: figures.auroc_by_attackers(ATTACKED),
    "auroc_forest": lambda: figures.auroc_forest(evaluation.summary(TABLE)),
    "backdoor": lambda: figures.backdoor(HIDDEN),
    "calibration": lambda: figures.calibration(evaluation.calibration_curve(evaluation.stack(RUNS, "predictions"))),
    "convergence": lambda: plots.convergence(evaluation.stack(RUNS)),
    "cost_by_method_and_phase": lambda: figures.cost_by_method_and_phase(evaluation.costs(RUNS)),
    "cost_by_size": lambda: figures.cost_by_size(SIZES),
    "encryption_error": lambda: figures.encryption_error(ERRORS),
    "exclusions": lambda: figures.exclusions(EXCLUDED),
    "hospitals_at_a_glance": lambda: figures.hospitals_at_a_glance(a_federation()),
    "images": lambda: figures.images(PICTURES, dict.fromkeys(PICTURES, "12.3 dB")),
    "local_global_distance": lambda: plots.local_global_distance(evaluation.stack(RUNS)),
    "paired_differences": lambda: figures.paired_differences(
        evaluation.paired_differences(TABLE, "centralized"), "centralized", margin=0.02
    ),
    "privacy_panel": lambda: figures.privacy_panel(SUCCESS),
    "remedies": lambda: figures.remedies(LEFT, PRICES),
    "rows_read": lambda: figures.rows_read(LEAKS),
    "server_view": lambda: figures.server_view(UPDATE, BYTES, NAMES),
    "server_view of many": lambda: figures.server_view(np.linspace(-1, 1, 241), BYTES),
    "spread": lambda: figures.spread(TABLE),
    "staircase": lambda: figures.staircase(STEPS, {"plain, 12 bits": 1.5}),
    "training_gain": lambda: figures.training_gain(TABLE, dict(zip(HOSPITALS, (303, 294, 123, 200), strict=True))),
    "workflow": diagrams.workflow,
}
drawn = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


def words(figure):
    """Find every text that is shown: tick labels only where their tick is in view."""
    out_of_view = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if not axes.axison or not low <= tick.get_loc() <= high:
                    out_of_view |= {tick.label1, tick.label2}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in shown if text not in out_of_view]


@drawn
def test_text_is_large_enough_and_neither_cut_off_nor_on_top_of_other_text(draw):
    figure = draw()
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in words(figure)]
    assert len(boxes) > 5
    assert min(text.get_fontsize() for text in words(figure)) >= 8
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, f"{text!r} is cut off"
    for number, (text, box) in enumerate(boxes):
        for other, its_box in boxes[:number]:
            across = min(box.x1, its_box.x1) - max(box.x0, its_box.x0)
            along = min(box.y1, its_box.y1) - max(box.y0, its_box.y0)
            assert across < 1.5 or along < 3, f"{text!r} lies on {other!r}"


@drawn
def test_figures_say_what_they_show_and_axes_have_labels(draw):
    figure = draw()
    assert len(figure.get_suptitle()) > 10
    plain = [axes for axes in figure.axes if axes.axison]
    assert not plain or any(axes.get_xlabel() or axes.get_ylabel() for axes in plain)


@drawn
def test_the_same_bytes_every_time(draw, tmp_path):
    first, second = (plots.save(draw(), "x", TABLE, folder=tmp_path / name) for name in "ab")
    for ending in ("png", "svg", "csv"):
        assert first[ending].read_bytes() == second[ending].read_bytes()


def test_saved_files_carry_no_date_and_no_version(tmp_path):
    paths = plots.save(DRAWN["encryption_error"](), "error", ERRORS, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"error.png", "error.svg", "error.csv"}
    for ending in ("png", "svg"):
        content = paths[ending].read_bytes().lower()
        assert matplotlib.__version__.encode() not in content
        assert b"matplotlib.org" not in content
        assert b"<dc:date>" not in content
    assert b"dejavu" in paths["svg"].read_bytes().lower()  # glyphs are drawn, so no reader needs the font


def test_the_table_beside_a_figure_is_plain_csv(tmp_path):
    table = pd.DataFrame({"method": ["ä"], "value": [1 / 3], "bytes": [12_345_678]})
    paths = plots.save(DRAWN["encryption_error"](), "x", table, folder=tmp_path)
    assert paths["csv"].read_bytes() == "method,value,bytes\nä,0.33333,12345678\n".encode()


def test_where_figures_go(tmp_path, monkeypatch):
    figure = DRAWN["encryption_error"]()
    monkeypatch.setenv("FEDKIT_FIGURES", str(tmp_path / "here"))
    assert plots.save(figure, "x", ERRORS)["png"] == tmp_path / "here" / "x.png"
    assert plots.save(figure, "x", ERRORS, measured=True)["csv"] == tmp_path / "here" / "measured" / "x.csv"
    monkeypatch.delenv("FEDKIT_FIGURES")
    installed = tmp_path / "site-packages" / "fedkit" / "plots.py"
    monkeypatch.setattr(plots, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    assert plots.save(figure, "x", ERRORS)["svg"].resolve() == tmp_path / "figures" / "x.svg"
    installed.parent.mkdir(parents=True)
    (installed.parent.parent / "pyproject.toml").touch()
    assert plots.save(figure, "x", ERRORS)["svg"] == tmp_path / "site-packages" / "figures" / "x.svg"


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    before = dict(matplotlib.rcParams)
    plots.save(DRAWN["convergence"](), "x", TABLE, folder=tmp_path)
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_a_reader_s_own_settings_do_not_change_a_figure(tmp_path):
    usual = plots.save(DRAWN["auroc_forest"](), "x", TABLE, folder=tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "font.family": "serif", "axes.grid": True, "savefig.dpi": 30}):
        odd = plots.save(DRAWN["auroc_forest"](), "x", TABLE, folder=tmp_path / "b")
    assert usual["png"].read_bytes() == odd["png"].read_bytes()


def test_looks_differ_in_colour_marker_and_line():
    looks = plots.looks([*METHODS, "krum", "median"])
    assert list(looks) == ["local", "centralized", "federated", "federated + CKKS", "federated + BFV", "krum", "median"]
    for trait in ("color", "marker"):
        assert len({getattr(look, trait) for look in looks.values()}) == len(looks)
    # Centralized and federated share a full line; black and blue differ in grey as well.
    assert len({look.line for look in looks.values()}) == len(looks) - 1
    grey = {method: np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for method, look in looks.items()}
    assert abs(grey["centralized"] - grey["federated"]) > 0.25
    with pytest.raises(ValueError, match="No look left for 'd'"):
        plots.looks("abcd")


def test_a_method_has_one_colour_in_every_figure():
    for name in ("auroc_forest", "convergence", "spread", "calibration"):
        lines = DRAWN[name]().legends[0].get_lines()
        assert {line.get_label(): line.get_color() for line in lines} == plots.COLORS


def test_each_panel_of_distances_shows_all_of_its_lines():
    metrics = evaluation.stack(RUNS).query("metric == 'distance' and method in ('local', 'federated')")
    far = metrics.assign(value=metrics["value"].where(metrics["method"] == "local", 3 * metrics["value"]))
    for axes in plots.local_global_distance(far).axes:
        low, high = axes.get_ylim()
        assert low == 0
        assert max(line.get_ydata().max() for line in axes.lines) < high


def test_forest_draws_the_numbers_of_the_table():
    summary = evaluation.summary(TABLE)
    axes = figures.auroc_forest(summary).axes[0]
    dots = sorted(float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1)
    assert dots == pytest.approx(sorted(summary["mean"]), abs=1e-4)


def test_paired_differences_refuses_a_metric_whose_margin_would_be_on_the_wrong_side():
    with pytest.raises(ValueError, match="Higher values of 'brier' are not better"):
        figures.paired_differences(TABLE, "centralized", 0.02, metric="brier")


def test_figures_say_what_they_cannot_draw():
    with pytest.raises(ValueError, match="no rows of the metric 'brier'"):
        figures.spread(TABLE, metric="brier")
    with pytest.raises(ValueError, match="No column 'weight'"):
        figures.hospitals_at_a_glance(a_federation(), column="weight")
    with pytest.raises(ValueError, match="6 hospitals do not fit"):
        diagrams.architecture("ABCDEF")


def test_server_view_counts_what_is_sent():
    figure = figures.server_view(UPDATE, bytes(range(256)) * 10, NAMES)
    plain, secret = figure.axes
    assert (plain.get_title("left"), secret.get_title("left")) == (
        "Plain: 11 numbers, 44 bytes",
        "Encrypted: 2,560 bytes",
    )
    assert "8.000 of 8 bits" in secret.get_xlabel()
    assert [bar.get_width() for bar in plain.patches if bar.get_height() < 0.9] == pytest.approx(UPDATE)


def test_the_staircase_draws_its_numbers_and_the_plain_line():
    axes = figures.staircase(STEPS, {"plain, 12 bits": 1.5}).axes[0]
    treads = [bar.get_y() + bar.get_height() for bar in axes.patches]
    assert treads == pytest.approx([57.4, 32.1, 1.63]), "three digits, which do not move with the luck of compression"
    assert [line.get_ydata()[0] for line in axes.lines] == [4, 1.5]
    assert {"57.4", "÷ 1.8", "plain float32: 4"} <= {text.get_text() for text in words(axes.figure)}
    above, _, below = (bar.get_facecolor() for bar in axes.patches)
    assert above != below


def test_cost_by_size_draws_both_ways():
    left, right = figures.cost_by_size(SIZES).axes
    assert sorted(line.get_ydata()[-1] for line in left.lines[:3]) == pytest.approx([3.5, 16, 57.4])
    downs = [line for line in right.lines[:6] if line.get_linestyle() != "-"]
    assert sorted(line.get_ydata()[-1] for line in downs) == pytest.approx([6.06, 18.6, 60])


def test_attackers_are_drawn_as_the_table_says():
    (axes,) = figures.auroc_by_attackers(ATTACKED).axes
    drawn = {tuple(line.get_ydata()) for line in axes.lines}
    assert {(0.87, 0.2), (0.85, 0.83), (0.84, 0.4)} <= drawn
    assert {"malicious hospitals", "a coin", "median of 5 x BFV"} <= {text.get_text() for text in words(axes.figure)}
    with pytest.raises(ValueError, match="no look for 'mode'"):
        figures.auroc_by_attackers(ATTACKED.assign(method="mode"))


def test_a_hidden_backdoor_is_beside_its_auroc():
    left, right = figures.backdoor(HIDDEN).axes
    assert left.lines[0].get_xdata() == pytest.approx([0.8, 0.79, 0.8])
    assert right.lines[0].get_xdata() == pytest.approx([0.4, 0.9, 0.5])
    with pytest.raises(ValueError, match="no rows of the metric 'backdoor'"):
        figures.backdoor(HIDDEN.query("metric == 'auroc'"))


def test_an_honest_hospital_s_exclusion_does_not_look_like_a_culprit_s():
    wrongly, rightly = figures.exclusions(EXCLUDED).axes
    bars = [[bar for bar in panel.patches if bar.get_height() == pytest.approx(0.6)] for panel in (wrongly, rightly)]
    assert [bar.get_width() for bar in bars[0]] == [0, 0, 1, 0]
    assert [bar.get_width() for bar in bars[1]] == [0, 1, 0, 0]
    assert bars[0][2].get_facecolor() != bars[1][1].get_facecolor()
    assert "malicious: 100%" in {text.get_text() for text in words(rightly.figure)}
