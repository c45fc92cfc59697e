import warnings
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables._g_l_y_f import Glyph
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgb
from matplotlib.font_manager import fontManager, get_font_names
from matplotlib.text import Text

from fedkit import evaluation, plots
from fedkit.chapters import diagrams, figures
from fedkit.chapters.figures.studies import study_grid

HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
METHODS = ("federated + BFV", "local", "centralized", "federated + CKKS", "federated")
ODD = ("A_$x_$ ^2", r"_Cost \$1 to $2 <b> & \frac", "北京协和医院", "مستشفى", "🏥 e\u0301\u202e St.\nMary\x00", "_")
LONG = (
    "W" * 80,
    "University Hospital of the Holy Spirit and the Seven Mountains, Campus North-East",
    "m" * 79,
    "i" * 200,
)
RULES = ("median", "mean", "median of 5 x BFV")


class World:
    """Tables that every picture can be drawn from; at an undefined hospital all are ill, and AUROC is NaN."""

    def __init__(self, hospitals=HOSPITALS, methods=METHODS, seeds=(1, 0, 2), undefined=()):
        self.hospitals, self.methods, self.undefined = hospitals, methods, undefined
        self.one, self.others = len(seeds) == 1, [*dict.fromkeys(["local", *methods])][:3]
        self.runs = [self.run(method, seed) for method in methods for seed in seeds]
        self.table = evaluation.table(self.runs, ["auroc"])

    def run(self, method, seed):
        random = np.random.default_rng([len(method), seed])
        rows, predictions, ledger = [], [], []
        for number, hospital in enumerate(self.hospitals):
            for round in range(1, 6):
                value = 0.7 + min(number, 4) / 20 + round / 50 + random.normal() / 50
                rows += [(round, hospital, "auroc", np.nan if hospital in self.undefined else value)]
                rows += [(round, hospital, "distance", (1 + number) / round)]
            for label in (hospital in self.undefined, 1) * 10:
                probability = float(np.clip(0.3 + 0.4 * label + random.normal() / 5, 0.01, 0.99))
                predictions.append((hospital, int(label), probability))
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

    def intervals(self, rows, *columns):
        """A table of rows (*columns, mean); of one split there are no intervals, of an undefined hospital no means."""
        table = pd.DataFrame(rows, columns=[*columns, "mean"]).assign(n=1 if self.one else 5)
        if self.undefined:
            table.loc[table[columns[0]] == table[columns[0]].iloc[0], "mean"] = np.nan
        wide = np.nan if self.one else 0.05
        return table.assign(low=(table["mean"] - wide).clip(-1), high=(table["mean"] + wide).clip(upper=1))

    def federation(self):
        random = np.random.default_rng(0)
        for number, name in enumerate(self.hospitals):
            columns = ["age", "chol", "fbs", "cp"]
            table = pd.DataFrame(random.normal(50, 9, size=(100 + 60 * number, 4)), columns=columns)
            table.loc[: 20 * number, "chol"] = np.nan
            table["age"] *= np.nan if name in self.undefined else 1
            ill = (random.random(len(table)) < 0.5) | (name in self.undefined)
            yield SimpleNamespace(name=name, table=table, labels=ill.astype(int))

    def attacked(self):
        rows = [(rule, count, 0.85 - 0.3 * (rule == "mean") * count) for rule in RULES for count in (0, 1)]
        return self.intervals(rows, "method", "attackers")

    def hidden(self):
        rows = [(case, metric, value) for case in self.methods for metric, value in (("auroc", 0.8), ("backdoor", 0.4))]
        return self.intervals(rows, "method", "metric")

    def excluded(self):
        cases = {"cosine, all honest": self.hospitals[-1], "influence, flipped": self.hospitals[0]}
        rows = [
            (case, name, "flip" in case and name == guilty, np.nan if name in self.undefined else float(name == guilty))
            for case, guilty in cases.items()
            for name in self.hospitals
        ]
        return pd.DataFrame(rows, columns=["case", "hospital", "malicious", "excluded"])

    def leaks(self, *columns):
        rows = [(name, count, 1 / count**power) for power, name in enumerate(self.others) for count in (1, 2, 4, 8)]
        return self.intervals(rows, *columns)

    def remedies(self):
        names = ("hospitals in the sum", "steps in one update", "noise on each number")
        left = self.leaks("attack", "amount").assign(measure="share read exactly")
        prices = self.intervals([(name, -0.01 * number) for number, name in enumerate(self.others)], "remedy")
        return pd.concat(left.assign(remedy=name) for name in names), prices

    def rounded(self):
        rows = [(rule, bits, -(0.5**bits)) for rule in self.others for bits in (5, 8, 12)]
        return self.intervals(rows, "rounding", "bits").assign(distance=lambda table: 2.0 ** -table["bits"])

    def success(self):
        attacks = {"a row": 0, "a share": 0.1, "a member": 0.5}
        rows = [(method, attack, 0.8) for attack in attacks for method in self.methods]
        return self.intervals(rows, "method", "attack").assign(chance=lambda table: table["attack"].map(attacks))

    def sizes(self):
        rows = [
            (method, size, hospitals, cost + 90 / size, cost + 90 / size + hospitals / 100)
            for method, cost in zip(self.others, (16, 3.5, 57.4), strict=False)
            for size in (10, 1000, 1_000_000)
            for hospitals in (2, 16, 256)
        ]
        return pd.DataFrame(rows, columns=["method", "numbers", "hospitals", "up", "down"])

    def errors(self):
        rows = [
            (name, size, error) for name, error in zip(self.others, (4e-9, 0.0), strict=False) for size in (14, 1000)
        ]
        return pd.DataFrame(rows, columns=["scheme", "parameters", "error"])

    def letters(self):
        states = ["counted", "posted", "late", "missing", "awaited"]
        rows = [(round, name, states[round]) for round in range(5) for name in self.hospitals]
        return pd.DataFrame(rows, columns=["round", "hospital", "state"])


PLAIN = World()
WORLDS = {
    "plain": PLAIN,
    "one seed": World(seeds=(0,)),
    "one hospital of one class": World(undefined=("Switzerland",)),
    "only hospitals of one class": World(undefined=HOSPITALS),
    "odd names": World(ODD, ("local", "centralized", "federated", *ODD[:3])),
    "long names": World(LONG, ("local", "centralized", "federated", *LONG[:3])),
    "one hospital": World(("Cleveland",)),
    "thirty hospitals": World([f"Hospital {n}" for n in range(30)], ("local", "centralized", "federated"), (0, 1)),
}
UPDATE, BYTES = np.linspace(-0.3, 0.2, 11), np.random.default_rng(0).bytes(15_600)
WEIGHTS = ["age", "trestbps", "chol", "thalach", "oldpeak", "sex = 1", "cp = 2", "cp = 3", "cp = 4", "fbs = 1", "bias"]
STEPS = pd.DataFrame({"step": ["as it is sent", "one prime", "four in one"], "bytes_per_number": [57.41, 32.1, 1.634]})


def staircase(world):
    return figures.staircase(STEPS.assign(step=world.others), {"plain, 12 bits": 1.5})


def images(world):
    return figures.images(dict.fromkeys(world.others, np.eye(8)), dict.fromkeys(world.others, "12.3 dB"))


def paired(world):
    return figures.paired_differences(evaluation.paired_differences(world.table, "centralized"), "centralized", 0.02)


def gain(world):
    return figures.training_gain(world.table, {name: 300 - n for n, name in enumerate(world.hospitals)})


# Pictures with hospitals, or with values that may not be defined; those with names alone; those with neither.
DRAWN = {
    "accuracy_by_bits": lambda world: figures.accuracy_by_bits(world.rounded()),
    "architecture": lambda world: diagrams.architecture(world.hospitals),
    "auroc_by_attackers": lambda world: figures.auroc_by_attackers(world.attacked()),
    "auroc_forest": lambda world: plots.auroc_forest(evaluation.summary(world.table)),
    "backdoor": lambda world: figures.backdoor(world.hidden()),
    "calibration": lambda w: figures.calibration(evaluation.calibration_curve(evaluation.stack(w.runs, "predictions"))),
    "convergence": lambda world: plots.convergence(evaluation.stack(world.runs)),
    "exclusions": lambda world: figures.exclusions(world.excluded()),
    "hospitals_at_a_glance": lambda world: figures.hospitals_at_a_glance(world.federation()),
    "local_global_distance": lambda world: plots.local_global_distance(evaluation.stack(world.runs)),
    "paired_differences": paired,
    "privacy_panel": lambda world: figures.privacy_panel(world.success()),
    "remedies": lambda world: figures.remedies(*world.remedies()),
    "rows_read": lambda world: figures.rows_read(world.leaks("model", "patients")),
    "spread": lambda world: figures.spread(world.table),
    "study_grid": lambda world: study_grid(world.letters(), f"round 3 of 4: waiting for {', '.join(world.hospitals)}"),
    "training_gain": gain,
}
NAMED = {
    "cost_by_method_and_phase": lambda world: figures.cost_by_method_and_phase(evaluation.costs(world.runs)),
    "cost_by_size": lambda world: figures.cost_by_size(world.sizes()),
    "encryption_error": lambda world: figures.encryption_error(world.errors()),
    "images": images,
    "server_view": lambda world: figures.server_view(UPDATE, BYTES, [*world.others, *WEIGHTS[3:]]),
    "staircase": staircase,
}
FIXED = {
    "architecture, in the clear": lambda _: diagrams.architecture(encrypted=False),
    "architecture of five": lambda _: diagrams.architecture(("One", "Two", "Three", "Four", "Five")),
    "cost without a message": lambda w: figures.cost_by_method_and_phase(evaluation.costs(w.runs).query("bytes == 0")),
    "server_view of many": lambda _: figures.server_view(np.linspace(-1, 1, 241), BYTES),
    "workflow": lambda _: diagrams.workflow(),
}
ALL = DRAWN | NAMED | FIXED
# What is drawn even if a hospital's AUROC is not defined; a line that is not there leaves its place to others.
ALWAYS = {"architecture", "calibration", "local_global_distance", "study_grid", *NAMED}
ALWAYS |= {"accuracy_by_bits", "auroc_by_attackers", "rows_read"}
CASES = [(name, world) for name in DRAWN for world in WORLDS]
CASES += [(name, world) for name in NAMED for world in ("plain", "odd names", "long names")]
CASES += [(name, "plain") for name in FIXED]


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


def check_texts(figure, formulas):
    """Text is large enough, neither cut off nor on top of other text, and no name became a formula."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in words(figure)]
    assert len(boxes) > 5
    assert min(text.get_fontsize() for text in words(figure)) >= 8
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        assert "nan" not in text
        assert formulas or not is_math_text(text) or "mathdefault" in text, f"{text!r} is a formula"
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, f"{text!r} is cut off"
    for number, (text, box) in enumerate(boxes):
        for other, its_box in boxes[:number]:
            across = min(box.x1, its_box.x1) - max(box.x0, its_box.x0)
            along = min(box.y1, its_box.y1) - max(box.y0, its_box.y0)
            assert across < 1.5 or along < 3, f"{text!r} lies on {other!r}"


@pytest.mark.parametrize(("name", "world"), CASES)
def test_every_picture_of_every_world_can_be_read(name, world, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = ALL[name](WORLDS[world])
        figure.canvas.draw()
    assert not caplog.records
    check_texts(figure, formulas=name == "workflow")
    assert len(figure.get_suptitle()) > 10
    plain = [axes for axes in figure.axes if axes.axison]
    assert not plain or any(axes.get_xlabel() or axes.get_ylabel() for axes in plain)
    said = {"not defined", "not measured"} & {text.get_text().removeprefix("malicious: ") for text in words(figure)}
    assert bool(said) == (("one class" in world and name not in ALWAYS) or name == "cost without a message")


@pytest.mark.parametrize("name", ALL)
def test_the_same_bytes_every_time(name, tmp_path):
    first, second = (plots.save(ALL[name](PLAIN), "x", PLAIN.table, folder=tmp_path / folder) for folder in "ab")
    for ending in ("png", "svg", "csv"):
        assert first[ending].read_bytes() == second[ending].read_bytes()


def save(name, folder, world=PLAIN, **how):
    return plots.save(ALL[name](world), "x", PLAIN.table, folder=folder, **how)


def test_names_are_what_is_drawn():
    assert [plots.shown(name) for name in ("Cleveland", " a\n\tb ", "e\u0301", "a\u202eb", 7)] == [
        "Cleveland", "a b", "é", "ab", "7"
    ]  # fmt: skip
    assert plots.shown("北京🏥\x00x") == "5317·4EAC·1F3E5·0000x", "told apart, though no font has them"
    names = [plots.shown(name) for name in LONG]
    assert all("…" in name for name in names)
    assert (names[1][:10], names[1][-4:]) == ("University", "East")
    assert max(map(plots._width, names)) <= plots.ROOM
    figure = DRAWN["auroc_forest"](WORLDS["odd names"])
    assert {r"A_\$x_\$ ^2", "\u200a" + r"_Cost \\$1 to \$2 <b> & \frac"} <= {text.get_text() for text in words(figure)}


def test_names_leave_the_svg_well_formed(tmp_path):
    ElementTree.parse(save("auroc_forest", tmp_path, WORLDS["odd names"])["svg"])


def test_a_font_that_has_the_signs_is_used_and_changes_no_other_picture(tmp_path, monkeypatch):
    assert set(plots.STYLE["font.family"]) <= set(get_font_names()), "a family that is missing is warned of"
    usual = save("auroc_forest", tmp_path / "usual")
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "north", "capital"])
    font.setupCharacterMap({ord("北"): "north", ord("京"): "capital"})
    font.setupGlyf(dict.fromkeys([".notdef", "north", "capital"], Glyph()))
    font.setupHorizontalMetrics(dict.fromkeys([".notdef", "north", "capital"], (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Made Up", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(tmp_path / "made_up.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist])
    fontManager.addfont(tmp_path / "made_up.ttf")
    monkeypatch.setitem(plots.STYLE, "font.family", ["DejaVu Sans", "Made Up"])
    assert plots.shown("北京院") == "北京9662"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save("auroc_forest", tmp_path, World(("北京", "b")))
    again = save("auroc_forest", tmp_path / "again")
    assert all(usual[ending].read_bytes() == again[ending].read_bytes() for ending in ("png", "svg"))


def test_saved_files_carry_no_date_and_no_version(tmp_path):
    paths = save("encryption_error", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "x.svg", "x.csv"}
    for ending in ("png", "svg"):
        content = paths[ending].read_bytes().lower()
        assert matplotlib.__version__.encode() not in content
        assert b"matplotlib.org" not in content
        assert b"<dc:date>" not in content
    assert b"dejavu" in paths["svg"].read_bytes().lower()  # glyphs are drawn, so no reader needs the font


def test_the_table_beside_a_figure_is_plain_csv(tmp_path):
    table = pd.DataFrame({"method": ["ä"], "value": [1 / 3], "bytes": [12_345_678]})
    paths = plots.save(plt.Figure(), "x", table, folder=tmp_path)
    assert paths["csv"].read_bytes() == "method,value,bytes\nä,0.33333,12345678\n".encode()


def test_where_figures_go(tmp_path, monkeypatch):
    def put(**how):
        return plots.save(plt.Figure(), "x", PLAIN.table, **how)["png"]

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEDKIT_FIGURES", str(tmp_path / "here"))
    assert put() == tmp_path / "here" / "x.png"
    assert put(measured=True) == tmp_path / "here" / "measured" / "x.png"
    monkeypatch.setenv("FEDKIT_FIGURES", "~/there")
    assert put() == tmp_path / "home" / "there" / "x.png"
    assert put(folder="~") == tmp_path / "home" / "x.png"
    monkeypatch.delenv("FEDKIT_FIGURES")
    installed = tmp_path / "site-packages" / "fedkit" / "plots.py"
    monkeypatch.setattr(plots, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    assert put().resolve() == tmp_path / "figures" / "x.png"
    installed.parent.mkdir(parents=True)
    (installed.parent.parent / "pyproject.toml").touch()
    assert put() == tmp_path / "site-packages" / "figures" / "x.png"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", r"a\b", "/a", "C:a", "a\n", ".a", "~a", "a."])
def test_a_name_that_is_no_file_name_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="is no plain file name"):
        plots.save(plt.Figure(), name, PLAIN.table, folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    before = dict(matplotlib.rcParams)
    save("convergence", tmp_path)
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_a_reader_s_own_settings_do_not_change_a_figure(tmp_path):
    usual = save("auroc_forest", tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "font.family": "serif", "axes.grid": True, "savefig.dpi": 30}):
        odd = save("auroc_forest", tmp_path / "b")
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
        lines = DRAWN[name](PLAIN).legends[0].get_lines()
        assert {line.get_label(): line.get_color() for line in lines} == {
            method: look.color for method, look in plots.LOOKS.items()
        }


def test_each_panel_of_distances_shows_all_of_its_lines():
    metrics = evaluation.stack(PLAIN.runs).query("metric == 'distance' and method in ('local', 'federated')")
    far = metrics.assign(value=metrics["value"].where(metrics["method"] == "local", 3 * metrics["value"]))
    for axes in plots.local_global_distance(far).axes:
        low, high = axes.get_ylim()
        assert low == 0
        assert max(line.get_ydata().max() for line in axes.lines) < high


def test_forest_draws_the_numbers_of_the_table():
    summary = evaluation.summary(PLAIN.table)
    axes = plots.auroc_forest(summary).axes[0]
    dots = sorted(float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1)
    assert dots == pytest.approx(sorted(summary["mean"]), abs=1e-4)
    ends = sorted(float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 2)
    assert ends == pytest.approx(sorted(summary["low"]), abs=1e-4)


def test_figures_say_what_they_cannot_draw():
    with pytest.raises(ValueError, match="no rows of the metric 'brier'"):
        figures.spread(PLAIN.table, metric="brier")
    with pytest.raises(ValueError, match="No column 'weight'"):
        figures.hospitals_at_a_glance(PLAIN.federation(), column="weight")
    with pytest.raises(ValueError, match="Higher values of 'brier' are not better"):
        figures.paired_differences(PLAIN.table, "centralized", 0.02, metric="brier")
    with pytest.raises(ValueError, match="no look for 'mode'"):
        figures.auroc_by_attackers(PLAIN.attacked().assign(method="mode"))
    with pytest.raises(ValueError, match="no rows of the metric 'backdoor'"):
        figures.backdoor(PLAIN.hidden().query("metric == 'auroc'"))


def test_of_many_hospitals_the_architecture_names_four():
    drawn = {text.get_text() for text in words(diagrams.architecture("ABCDEF"))}
    assert drawn & {*"ABCDEF", "and 2 more"} == {*"ABCD", "and 2 more"}


def test_server_view_counts_what_is_sent():
    figure = figures.server_view(UPDATE, bytes(range(256)) * 10, WEIGHTS)
    plain, secret = figure.axes
    assert plain.get_title("left") == "Plain: 11 numbers, 44 bytes"
    assert secret.get_title("left") == "Encrypted: 2,560 bytes"
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
    left, right = NAMED["cost_by_size"](PLAIN).axes
    assert sorted(line.get_ydata()[-1] for line in left.lines[:3]) == pytest.approx([3.5, 16, 57.4])
    downs = [line for line in right.lines[:6] if line.get_linestyle() != "-"]
    assert sorted(line.get_ydata()[-1] for line in downs) == pytest.approx([6.06, 18.6, 60])


def test_attackers_are_drawn_as_the_table_says():
    (axes,) = DRAWN["auroc_by_attackers"](PLAIN).axes
    assert {(0.85, 0.85), (0.85, 0.55)} <= {tuple(line.get_ydata()) for line in axes.lines}
    assert {"malicious hospitals", "a coin", "median of 5 x BFV"} <= {text.get_text() for text in words(axes.figure)}


def test_a_hidden_backdoor_is_beside_its_auroc():
    left, right = DRAWN["backdoor"](PLAIN).axes
    assert left.lines[0].get_xdata() == pytest.approx([0.8] * 5)
    assert right.lines[0].get_xdata() == pytest.approx([0.4] * 5)


def test_an_honest_hospital_s_exclusion_does_not_look_like_a_culprit_s():
    wrongly, rightly = DRAWN["exclusions"](PLAIN).axes
    bars = [[bar for bar in panel.patches if bar.get_height() == pytest.approx(0.6)] for panel in (wrongly, rightly)]
    assert [bar.get_width() for bar in bars[0]] == [0, 0, 0, 1]
    assert [bar.get_width() for bar in bars[1]] == [1, 0, 0, 0]
    assert bars[0][3].get_facecolor() != bars[1][0].get_facecolor()
    assert "malicious: 100%" in {text.get_text() for text in words(rightly.figure)}
