import io
import warnings
from base64 import b64decode
from itertools import product
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
from PIL import Image

from fedkit import evaluation, plots
from fedkit.chapters import clock, diagrams, figures
from fedkit.chapters.figures.studies import study_grid

ALT = "A line a hospital; all of them rise from the left to the right."
HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
METHODS = ("federated + BFV", "local", "centralized", "federated + CKKS", "federated")
ODD = ("A_$x_$ ^2", r"_Cost \$1 to $2 <b> & \frac", "北京协和医院", "مستشفى", "🏥 e\u0301\u202e St.\nMary\x00", "_")
HOLY = "University Hospital of the Holy Spirit and the Seven Mountains, Campus North-East"
LONG = ("W" * 80, HOLY, "m" * 79, "i" * 200)
RULES = ("median", "mean", "median of 5 x BFV")
COLUMNS = {
    "metrics": ["round", "hospital", "metric", "value"],
    "predictions": ["hospital", "label", "probability"],
    "ledger": ["round", "hospital", "direction", "phase", "bytes", "seconds"],
}
SPENT = [(0, "peer", "keys", 300_000, 0.01), (1, "", "train", 0, 0.3), (1, "up", "send", 60_000, 0)]
SPENT += [(1, "down", "send", 60_000, 0), (1, "", "encrypt", 0, 0.02), (1, "", "decrypt", 0, 2e-4)]


DATED = {"kind": ["Condition", "Observation"] * 2, "diabetes": ["yes", "no"] * 2, "days": [-365, 0, 90, 0]}
DATED = pd.DataFrame(DATED | {"records": [1, 900, 3, 1]})
HILLS = pd.DataFrame({"epsilon": [1.0] * 3 + [8.0] * 3, "read": [-1.0, 0.5, 2.0] * 2})
HILLS = HILLS.assign(without=[0.2, 0.4, 0.1] * 2, **{"with": [0.1, 0.4, 0.2] * 2})


class World:
    """Tables that every picture can be drawn from; at an undefined hospital all are ill, and AUROC is NaN."""

    def __init__(self, hospitals=HOSPITALS, methods=METHODS, seeds=(1, 0, 2), undefined=()):
        self.hospitals, self.methods, self.undefined = hospitals, methods, undefined
        self.one, self.others = len(seeds) == 1, [*dict.fromkeys(["local", *methods])][:3]
        self.runs = [self.run(method, seed) for method in methods for seed in seeds]
        self.table = evaluation.table(self.runs, ["auroc"])

    def run(self, method, seed):
        random, rows = np.random.default_rng([len(method), seed]), {part: [] for part in COLUMNS}
        for number, name in enumerate(self.hospitals):
            ill = name in self.undefined
            for round in range(1, 6):
                value = 0.7 + min(number, 4) / 20 + round / 50 + random.normal() / 50
                rows["metrics"] += [(round, name, "auroc", np.nan if ill else value)]
                rows["metrics"] += [(round, name, "distance", (1 + number) / round)]
            for label in (int(ill), 1) * 10:
                probability = np.clip(0.3 + 0.4 * label + random.normal() / 5, 0.01, 0.99)
                rows["predictions"] += [(name, label, float(probability))]
            rows["ledger"] += [(round, name, *spent) for round, *spent in SPENT]
        tables = {part: pd.DataFrame(rows[part], columns=columns) for part, columns in COLUMNS.items()}
        return SimpleNamespace(method=method, settings={"seed": seed}, **tables)

    def values(self, columns, *levels, mean):
        """A table of every case, and its mean, which is not defined for the first one if a hospital's is not."""
        table = pd.DataFrame([(*case, mean(*case)) for case in product(*levels)], columns=[*columns, "mean"])
        if self.undefined:
            table.loc[table[columns[0]] == levels[0][0], "mean"] = np.nan
        wide = np.nan if self.one else 0.05  # of one split there are no intervals
        low, high = (table["mean"] - wide).clip(-1), (table["mean"] + wide).clip(upper=1)
        return table.assign(n=1 if self.one else 5, low=low, high=high)

    def federation(self):
        random = np.random.default_rng(0)
        for number, name in enumerate(self.hospitals):
            table = pd.DataFrame(random.normal(50, 9, (100 + 60 * number, 4)), columns=["age", "chol", "fbs", "cp"])
            table.loc[: 20 * number, "chol"] = np.nan
            table["age"] *= np.nan if name in self.undefined else 1
            ill = (random.random(len(table)) < 0.5) | (name in self.undefined)
            yield SimpleNamespace(name=name, table=table, labels=ill.astype(int))

    def attacked(self):
        columns = ["method", "attackers"]
        return self.values(columns, RULES, (0, 1), mean=lambda rule, count: 0.85 - 0.3 * (rule == "mean") * count)

    def hidden(self):
        means = {"auroc": 0.8, "backdoor": 0.4}
        return self.values(["method", "metric"], self.methods, means, mean=lambda _, metric: means[metric])

    def leaks(self, *columns):
        powers = {name: power for power, name in enumerate(self.others)}
        return self.values(columns, self.others, (1, 2, 4, 8), mean=lambda name, count: 1 / count ** powers[name])


PLAIN = World()
WORLDS = {
    "plain": PLAIN,
    "odd names": World(ODD, ("local", "centralized", "federated", *ODD[:3])),
    "long names": World(LONG, ("local", "centralized", "federated", *LONG[:3])),
    "one seed": World(seeds=(0,)),
    "one hospital of one class": World(undefined=("Switzerland",)),
    "only hospitals of one class": World(undefined=HOSPITALS),
    "one hospital": World(("Cleveland",)),
    "thirty hospitals": World([f"Hospital {n}" for n in range(30)], ("local", "centralized", "federated"), (0, 1)),
}
UPDATE, BYTES = np.linspace(-0.3, 0.2, 11), np.random.default_rng(0).bytes(15_600)
WEIGHTS = ["age", "trestbps", "chol", "thalach", "oldpeak", "sex = 1", "cp = 2", "cp = 3", "cp = 4", "fbs = 1", "bias"]
STEPS = pd.DataFrame({"step": ["as it is sent", "one prime", "four in one"], "bytes_per_number": [57.41, 32.1, 1.634]})


def excluded(world):
    """Of honest hospitals the last one is excluded; the first, once it is malicious."""
    cases = [("cosine, all honest", world.hospitals[-1], False), ("influence, flipped", world.hospitals[0], True)]
    rows = [
        (case, name, flipped and name == other, np.nan if name in world.undefined else float(name == other))
        for case, other, flipped in cases
        for name in world.hospitals
    ]
    return figures.exclusions(pd.DataFrame(rows, columns=["case", "hospital", "malicious", "excluded"]))


def success(world):
    attacks = {"a row": 0, "a share": 0.1, "a member": 0.5}
    table = world.values(["method", "attack"], world.methods, attacks, mean=lambda *_: 0.8)
    return figures.privacy_panel(table.assign(chance=table["attack"].map(attacks)))


def remedies(world):
    left = world.leaks("attack", "amount").assign(measure="share read exactly")
    names = ("hospitals in the sum", "steps in one update", "noise on each number")
    prices = world.values(["remedy"], world.others, mean=lambda name: -0.01 * world.others.index(name))
    return figures.remedies(pd.concat(left.assign(remedy=name) for name in names), prices)


def rounded(world):
    table = world.values(["rounding", "bits"], world.others, (5, 8, 12), mean=lambda _, bits: -(0.5**bits))
    return figures.accuracy_by_bits(table.assign(distance=2.0 ** -table["bits"]))


def sizes(world):
    costs = dict(zip(world.others, (16, 3.5, 57.4), strict=True))
    table = pd.DataFrame(product(costs, (10, 1000, 10**6), (2, 16, 256)), columns=["method", "numbers", "hospitals"])
    up = table["method"].map(costs) + 90 / table["numbers"]
    return figures.cost_by_size(table.assign(up=up, down=up + table["hospitals"] / 100))


def errors(world):
    rows = [(name, size, error) for name, error in zip(world.others, (4e-9, 0.0), strict=False) for size in (14, 1000)]
    return figures.encryption_error(pd.DataFrame(rows, columns=["scheme", "parameters", "error"]))


def letters(world):
    states = ["counted", "posted", "late", "missing", "awaited"]
    rows = [(round, name, state) for (round, state), name in product(enumerate(states), world.hospitals)]
    waiting = f"round 3 of 4: waiting for {', '.join(world.hospitals)}"
    return study_grid(pd.DataFrame(rows, columns=["number", "hospital", "state"]), waiting)


def differing(world):
    cells = {"least": [0.5, np.nan, np.nan], "apart": [-2.5, 0.25, np.nan], "levels": ["", "a 3", ""]}
    rows = pd.MultiIndex.from_product([["age, years", "ward", "empty"], world.hospitals], names=["column", "hospital"])
    many = {name: np.repeat(values, len(world.hospitals)) for name, values in cells.items()}
    return plots.differences(pd.DataFrame(many, index=rows).reset_index())


def paired(world):
    return figures.paired_differences(evaluation.paired_differences(world.table, "centralized"), "centralized", 0.02)


def gain(world):
    return figures.training_gain(world.table, {name: 300 - n for n, name in enumerate(world.hospitals)})


def waiting(world):
    cost = pd.DataFrame({"present": 1.0, "busy": 2.0, "bytes": 10.0, "both": 3.0}, list(world.hospitals))
    cost.iloc[-1] = (1.0, 9.0, 10.0, 10.0)
    every = {"all": clock.rounds(cost, 30), "three seconds": clock.rounds(cost, 30, deadline=4.0)}
    return figures.timeline(every)


def spent(world):
    rows = [(at, 10.0 * at, 3.0 * at, 1 / (at + 10)) for at in (1, 10, 100)]
    each = pd.DataFrame(rows, columns=["seconds", "kB", "busy", "log_loss"])
    places = [each.assign(slow=slow, policy=name) for slow in ("Cleveland", "Hungary") for name in world.others]
    return figures.score_by_cost(pd.concat(places))


def priced(world):
    levels = ("4", "50"), ("auroc", "calibration"), world.others, (0.25, 1.0, np.inf)
    table = world.values(["group", "measure", "line", "epsilon"], *levels, mean=lambda *case: 0.7 + len(case[2]) / 999)
    titles = {(group, measure): f"{group}: {measure}" for group in levels[0] for measure in levels[1]}
    return figures.by_epsilon(table, "What privacy costs", titles)


# Pictures of values at hospitals; of values alone, which may not be defined; of hospitals alone;
# of other names; of none.
BOTH = {
    "auroc_forest": lambda world: figures.auroc_forest(evaluation.summary(world.table)),
    "calibration": lambda w: figures.calibration(evaluation.calibration_curve(evaluation.stack(w.runs, "predictions"))),
    "convergence": lambda world: figures.convergence(evaluation.stack(world.runs)),
    "exclusions": excluded,
    "hospitals_at_a_glance": lambda world: figures.hospitals_at_a_glance(world.federation()),
    "local_global_distance": lambda world: figures.local_global_distance(evaluation.stack(world.runs)),
    "paired_differences": paired,
    "spread": lambda world: figures.spread(world.table),
    "training_gain": gain,
}
VALUES = {
    "accuracy_by_bits": rounded,
    "auroc_by_attackers": lambda world: figures.auroc_by_attackers(world.attacked()),
    "backdoor": lambda world: figures.backdoor(world.hidden()),
    "privacy_panel": success,
    "remedies": remedies,
    "rows_read": lambda world: figures.rows_read(world.leaks("model", "patients")),
}
PLACES = {
    "architecture": lambda world: diagrams.architecture(world.hospitals),
    "differences": differing,
    "study_grid": letters,
    "timeline": waiting,
}
NAMED = {
    "by_epsilon": priced,
    "cost_by_method_and_phase": lambda world: figures.cost_by_method_and_phase(evaluation.costs(world.runs)),
    "cost_by_size": sizes,
    "encryption_error": errors,
    "images": lambda w: figures.images(dict.fromkeys(w.others, np.eye(8)), dict.fromkeys(w.others, "12.3 dB")),
    "score_by_cost": spent,
    "server_view": lambda world: figures.server_view(UPDATE, BYTES, [*world.others, *WEIGHTS[3:]]),
    "staircase": lambda world: figures.staircase(STEPS.assign(step=world.others), {"plain, 12 bits": 1.5}),
}
FIXED = {
    "around_index": lambda _: figures.around_index(DATED),
    "two_hills": lambda _: figures.two_hills(HILLS),
    "architecture, in the clear": lambda _: diagrams.architecture(encrypted=False),
    "architecture of five": lambda _: diagrams.architecture(("One", "Two", "Three", "Four", "Five")),
    "cost without a message": lambda w: figures.cost_by_method_and_phase(evaluation.costs(w.runs).query("bytes == 0")),
    "workflow": lambda _: diagrams.workflow(),
}
ALL = BOTH | VALUES | PLACES | NAMED | FIXED
# What is drawn even if a hospital's AUROC is not defined; a line that is not there leaves its place to others.
ALWAYS = {"calibration", "local_global_distance", "accuracy_by_bits", "auroc_by_attackers", "rows_read"}
# Each in the worlds that are not the same to it.
CASES = [(name, world) for name in BOTH for world in WORLDS]
CASES += [(name, world) for name in VALUES for world in [*WORLDS][:5]]
CASES += [(name, world) for name in PLACES for world in [*WORLDS][:3] + [*WORLDS][6:]]
CASES += [(name, world) for name in NAMED for world in [*WORLDS][:3]]
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


def svg(figure):
    file = io.BytesIO()
    with matplotlib.rc_context(plots.STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


@pytest.mark.parametrize(("name", "world"), CASES)
def test_every_picture_of_every_world_can_be_read(name, world, caplog):
    """Text is large enough, neither cut off nor on top of other text, and no name became a formula."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = ALL[name](WORLDS[world])
        if world == "plain":
            assert svg(figure) == svg(ALL[name](PLAIN)), "not the same bytes every time"
        figure.draw_without_rendering()
    assert not caplog.records
    shown = words(figure)
    boxes = [(text.get_text(), text.get_window_extent().extents) for text in shown]
    assert len(boxes) > 5
    assert min(text.get_fontsize() for text in shown) >= 8
    width, height = figure.get_size_inches() * figure.dpi
    for number, (text, (left, foot, right, top)) in enumerate(boxes):
        assert "nan" not in text
        assert name == "workflow" or not is_math_text(text) or "mathdefault" in text, f"{text!r} is a formula"
        assert min(left, foot) > -1, f"{text!r} is cut off"
        assert right < width + 1, f"{text!r} is cut off"
        assert top < height + 1, f"{text!r} is cut off"
        for other, (its_left, its_foot, its_right, its_top) in boxes[:number]:
            across, along = min(right, its_right) - max(left, its_left), min(top, its_top) - max(foot, its_foot)
            assert across < 1.5 or along < 3, f"{text!r} lies on {other!r}"
    assert len(figure.get_suptitle()) > 10
    plain = [axes for axes in figure.axes if axes.axison]
    assert not plain or any(axes.get_xlabel() or axes.get_ylabel() for axes in plain)
    assert all(axes.has_data() or axes.texts for axes in plain), "a panel is empty"
    said = {"not defined", "not measured"} & {text.removeprefix("malicious: ") for text, _ in boxes}
    undefined = "one class" in world and name in {*BOTH, *VALUES} - ALWAYS
    assert bool(said) == (undefined or name == "cost without a message")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return save("auroc_forest", tmp_path_factory.mktemp("usual"))


def save(name, folder, world=PLAIN):
    plots.save(ALL[name](world), "x", PLAIN.table, ALT, folder=folder)
    return {ending: folder / f"x.{ending}" for ending in ("png", "svg", "csv")}


def test_names_are_what_is_drawn():
    assert [plots.shown(name) for name in ("Cleveland", " a\n\tb ", "e\u0301", "a\u202eb", 7)] == [
        "Cleveland", "a b", "é", "ab", "7"
    ]  # fmt: skip
    assert plots.shown("北京🏥\x00x") == "5317·4EAC·1F3E5·0000x", "told apart, though no font has them"
    names = [plots.shown(name) for name in LONG]
    assert all("…" in name for name in names)
    assert (names[1][:10], names[1][-4:]) == ("University", "East")
    assert max(map(plots._width, names)) <= plots.ROOM
    figure = ALL["auroc_forest"](WORLDS["odd names"])
    assert {r"A_\$x_\$ ^2", "\u200a" + r"_Cost \\$1 to \$2 <b> & \frac"} <= {text.get_text() for text in words(figure)}


def test_a_font_that_has_the_signs_is_used_and_changes_no_other_picture(usual, tmp_path, monkeypatch):
    assert set(plots.STYLE["font.family"]) <= set(get_font_names()), "a family that is missing is warned of"
    font = FontBuilder(1000, isTTF=True)
    glyphs = [".notdef", "north", "capital"]
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord("北"): "north", ord("京"): "capital"})
    font.setupGlyf(dict.fromkeys(glyphs, Glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
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
    assert all(usual[ending].read_bytes() == again[ending].read_bytes() for ending in usual)


def test_saved_files_carry_no_date_and_no_version_and_the_svg_is_well_formed(tmp_path):
    paths = save("encryption_error", tmp_path, WORLDS["odd names"])
    assert {path.name for path in tmp_path.iterdir()} == {"x.png", "x.svg", "x.csv"}
    for ending in ("png", "svg"):
        content = paths[ending].read_bytes().lower()
        for told in (matplotlib.__version__.encode(), b"matplotlib.org", b"<dc:date>"):
            assert told not in content
    assert b"dejavu" in content  # glyphs are drawn, so no reader needs the font
    ElementTree.parse(paths["svg"])


def test_the_table_beside_a_figure_is_plain_csv(tmp_path):
    table = pd.DataFrame({"method": ["ä"], "value": [1 / 3], "bytes": [12_345_678]})
    plots.save(plt.Figure(), "x", table, ALT, folder=tmp_path)
    assert (tmp_path / "x.csv").read_bytes() == "method,value,bytes\nä,0.33333,12345678\n".encode()


def test_a_picture_carries_words_for_whoever_cannot_see_it(tmp_path):
    words = 'Two "lines" rise <together>, to 0.84 – näher\n  kommen sie nie.'
    picture = plots.save(plt.Figure((6, 4)), "x", PLAIN.table, words, folder=tmp_path)
    one_line = " ".join(words.split())
    html = ElementTree.fromstring(picture._repr_html_().replace('">', '"/>'))
    assert (html.get("alt"), html.get("width"), repr(picture)) == (one_line, "576", one_line)
    assert b64decode(html.get("src").partition(",")[2]) == (tmp_path / "x.png").read_bytes()
    assert Image.open(tmp_path / "x.png").text["Description"] == one_line
    said = [node.text for node in ElementTree.parse(tmp_path / "x.svg").iter() if node.tag.endswith("description")]
    assert said == [one_line]


WORDLESS = ["", "figures/x.png", "A plot.", "Many words about a picture, and no end of them"]
NAMELESS = ["", ".", "..", "a/b", r"a\b", "/a", "C:a", "a\n", ".a", "~a", "a."]


@pytest.mark.parametrize(("name", "alt"), [("x", alt) for alt in WORDLESS] + [(name, ALT) for name in NAMELESS])
def test_a_picture_without_a_sentence_or_a_file_name_is_refused_before_anything_is_written(name, alt, tmp_path):
    with pytest.raises(ValueError, match="is no plain file name" if alt == ALT else "Say in a sentence what is to be"):
        plots.save(plt.Figure(), name, PLAIN.table, alt, folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_where_figures_go(tmp_path, monkeypatch):
    def put(**how):
        plots.save(plt.Figure(), "x", PLAIN.table, ALT, **how)
        (found,) = tmp_path.rglob("x.png")
        for written in tmp_path.rglob("x.*"):
            written.unlink()
        return found.relative_to(tmp_path).as_posix()

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEDKIT_FIGURES", str(tmp_path / "here"))
    assert (put(), put(measured=True)) == ("here/x.png", "here/measured/x.png")
    monkeypatch.setenv("FEDKIT_FIGURES", "~/there")
    assert (put(), put(folder="~")) == ("home/there/x.png", "home/x.png")
    monkeypatch.delenv("FEDKIT_FIGURES")
    installed = tmp_path / "site-packages" / "fedkit" / "plots.py"
    monkeypatch.setattr(plots, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    assert put() == "figures/x.png"
    installed.parent.mkdir(parents=True)
    (installed.parent.parent / "pyproject.toml").touch()
    assert put() == "site-packages/figures/x.png"


def test_a_reader_s_own_settings_change_no_figure_and_are_left_as_they_were(usual, tmp_path):
    with matplotlib.rc_context({"font.size": 20, "font.family": "serif", "axes.grid": True, "savefig.dpi": 30}):
        before = dict(matplotlib.rcParams)
        odd = save("auroc_forest", tmp_path)
        assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
    assert all(usual[ending].read_bytes() == odd[ending].read_bytes() for ending in usual)


def test_looks_differ_in_colour_marker_and_line():
    looks = plots.looks([*METHODS, "krum", "median"])
    assert list(looks) == ["local", "centralized", "federated", "federated + CKKS", "federated + BFV", "krum", "median"]
    for trait in ("color", "marker"):
        assert len({getattr(look, trait) for look in looks.values()}) == len(looks)
    # Centralized and federated share a full line; black and blue differ in grey as well.
    assert len({look.line for look in looks.values()}) == len(looks) - 1
    grey = {method: np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for method, look in looks.items()}
    assert abs(grey["centralized"] - grey["federated"]) > 0.25
    with pytest.raises(ValueError, match="No look left for 'e'"):
        plots.looks("abcde")


def test_a_method_has_one_colour_in_every_figure():
    for name in ("auroc_forest", "convergence", "spread", "calibration"):
        lines = ALL[name](PLAIN).legends[0].get_lines()
        assert {line.get_label(): line.get_color() for line in lines} == {
            method: look.color for method, look in plots.LOOKS.items()
        }


def test_each_panel_of_distances_shows_all_of_its_lines():
    metrics = evaluation.stack(PLAIN.runs).query("metric == 'distance' and method in ('local', 'federated')")
    far = metrics.assign(value=metrics["value"].where(metrics["method"] == "local", 3 * metrics["value"]))
    for axes in figures.local_global_distance(far).axes:
        assert axes.get_ylim()[0] == 0
        assert max(line.get_ydata().max() for line in axes.lines) < axes.get_ylim()[1]


def test_forest_draws_the_numbers_of_the_table():
    summary = evaluation.summary(PLAIN.table)
    lines = figures.auroc_forest(summary).axes[0].lines
    for column, points in (("mean", 1), ("low", 2)):
        drawn = sorted(float(line.get_xdata()[0]) for line in lines if len(line.get_xdata()) == points)
        assert drawn == pytest.approx(sorted(summary[column]), abs=1e-4)


UNDRAWN = {
    "no rows of the metric 'brier'": lambda: figures.spread(PLAIN.table, metric="brier"),
    "No column 'weight'": lambda: figures.hospitals_at_a_glance(PLAIN.federation(), column="weight"),
    "values of 'brier' are not": lambda: figures.paired_differences(PLAIN.table, "centralized", 0.02, metric="brier"),
    "no look for 'mode'": lambda: figures.auroc_by_attackers(PLAIN.attacked().assign(method="mode")),
    "no rows of the metric 'backdoor'": lambda: figures.backdoor(PLAIN.hidden().query("metric == 'auroc'")),
}


@pytest.mark.parametrize("sentence", UNDRAWN)
def test_figures_say_what_they_cannot_draw(sentence):
    with pytest.raises(ValueError, match=sentence):
        UNDRAWN[sentence]()


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
    left, right = ALL["cost_by_size"](PLAIN).axes
    assert sorted(line.get_ydata()[-1] for line in left.lines[:3]) == pytest.approx([3.5, 16, 57.4])
    downs = [line for line in right.lines[:6] if line.get_linestyle() != "-"]
    assert sorted(line.get_ydata()[-1] for line in downs) == pytest.approx([6.06, 18.6, 60])


def test_attackers_and_a_hidden_backdoor_are_drawn_as_the_tables_say():
    (axes,) = ALL["auroc_by_attackers"](PLAIN).axes
    assert {(0.85, 0.85), (0.85, 0.55)} <= {tuple(line.get_ydata()) for line in axes.lines}
    assert {"malicious hospitals", "a coin", "median of 5 x BFV"} <= {text.get_text() for text in words(axes.figure)}
    for axes, value in zip(ALL["backdoor"](PLAIN).axes, (0.8, 0.4), strict=True):
        assert axes.lines[0].get_xdata() == pytest.approx([value] * 5)


def test_an_honest_hospital_s_exclusion_does_not_look_like_a_culprit_s():
    wrongly, rightly = (
        [bar for bar in panel.patches if bar.get_height() == pytest.approx(0.6)]
        for panel in ALL["exclusions"](PLAIN).axes
    )
    assert [bar.get_width() for bar in wrongly + rightly] == [0, 0, 0, 1, 1, 0, 0, 0]
    assert wrongly[3].get_facecolor() != rightly[0].get_facecolor()
    assert "malicious: 100%" in {text.get_text() for text in words(rightly[0].figure)}
