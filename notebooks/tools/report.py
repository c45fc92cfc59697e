"""One page, ``build/report.html``, with every figure, its numbers, and what computed them; and the README's numbers.

What a figure shows is said once, where a notebook saves it; the picture carries it as its description.
"""

import ast
import base64
import sys
from io import BytesIO
from pathlib import Path

import jinja2
import jupytext
import pandas as pd
from PIL import Image

import tools
from fedkit.compat import environment
from tools import pairing

START, END = "<!-- numbers: written by `make report` from figures/, do not edit -->", "<!-- /numbers -->"


def drawn(name: str) -> list[str]:
    """List the figures that a notebook saves, in its order: "gain", "measured/seconds"."""
    code = [cell.source for cell in jupytext.read(pairing.source(name)).cells if cell.cell_type == "code"]
    calls = [node for text in code for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    saves = [call for call in calls if ast.unparse(call.func) == "plots.save"]
    return ["measured/" * any(one.arg == "measured" for one in call.keywords) + call.args[1].value for call in saves]


def page(figures: Path) -> str:
    """Put the page together from the notebooks' words and the files in `figures` (FileNotFoundError if one lacks)."""
    chapters = []
    for name in tools.names():
        shown = []
        for figure in drawn(name):
            image, numbers = (figures / f"{figure}.png").read_bytes(), pd.read_csv(figures / f"{figure}.csv")
            with Image.open(BytesIO(image)) as picture:
                caption = picture.text["Description"]
            shown.append((figure, caption, base64.b64encode(image).decode(), len(numbers), _table(numbers)))
        title = pairing.source(name).read_text(encoding="utf-8").partition("\n# # ")[2].partition("\n")[0]
        chapters += [(title, shown)] if shown else []
    versions = _table(pd.DataFrame(environment.versions().items(), columns=["what", "version"]))
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return jinja2.Template(template, autoescape=True).render(chapters=chapters, versions=versions)


def _table(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False, border=0, na_rep="", max_rows=200, float_format="{:.4g}".format)


def headline(figures: Path) -> str:
    """Sum the report up for the README: AUROC by hospital and method, differences to centralised, and accuracy."""
    auroc = pd.read_csv(figures / "auroc_forest.csv").query("metric == 'auroc'")
    differences = pd.read_csv(figures / "paired_differences.csv").query("metric == 'auroc' and method == 'federated'")
    methods, means = list(auroc["method"].unique()), auroc.set_index(["hospital", "method"])["mean"]
    lines = [
        f"AUROC on held-out patients, mean of {max(auroc.n)} splits (`make figures`, notebook 04); the last column is\n"
        "federated minus centralised on the same splits, with its 95% interval:\n",
        f"| hospital | {' | '.join(methods)} | difference |\n|---|{'---|' * len(methods)}---|",
    ]
    for row in differences.itertuples():
        cells = [row.hospital, *(f"{means[row.hospital, method]:.2f}" for method in methods)]
        lines.append(f"| {' | '.join(cells)} | {row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}] |")
    right = pd.read_csv(figures / "accuracy_forest.csv").pivot_table(index="hospital", columns="method", values="mean")
    columns = [*methods, "most frequent label"]
    lines += [
        "\nAccuracy of the same models on the same patients; the last column is a guess, which says the most frequent\n"
        "label of a hospital to all of its patients:\n",
        f"| hospital | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}",
    ]
    lines += [
        f"| {name} | {' | '.join(f'{right.loc[name, one]:.2f}' for one in columns)} |" for name in differences.hospital
    ]
    return "\n".join(lines)


def renewed(readme: str, numbers: str) -> str:
    """Put the numbers between the README's two marks (ValueError if they are not there)."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md must hold the marks {START!r} and {END!r}, between which the numbers stand.")
    return f"{before}{start}\n{numbers}\n{end}{after}"


if __name__ == "__main__":
    figures, readme, built = (tools.root() / name for name in ("figures", "README.md", "build/report.html"))
    built.parent.mkdir(exist_ok=True)
    try:
        built.write_text(page(figures), encoding="utf-8")
        readme.write_text(renewed(readme.read_text(encoding="utf-8"), headline(figures)), encoding="utf-8")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    print("The report is in build/report.html.")
