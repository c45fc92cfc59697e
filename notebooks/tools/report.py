"""One page, ``build/report.html``, with every figure, its numbers, and what computed them; and the README's numbers.

What a figure shows is said once: in its notebook, below the cell that saves it (*In the picture: ...*).
"""

import base64
import re
import sys
from pathlib import Path

import jinja2
import jupytext
import pandas as pd

import tools
from fedkit.compat import environment
from tools import pairing

START, END = "<!-- numbers: written by `make report` from figures/, do not edit -->", "<!-- /numbers -->"


def captions(text: str) -> dict[str, str]:
    """Read in a notebook's text which figures it saves -> what is in the picture (ValueError where it does not say)."""
    found = {}
    for part in text.split("plots.save(")[1:]:
        name = "measured/" * ("measured=True" in part.partition("\n")[0]) + re.match(r'\w+, "(\w+)"', part)[1]
        shown = re.search(r"^\*In the picture\W (.+?\.)\*", part, flags=re.DOTALL | re.MULTILINE)
        if not shown:
            raise ValueError(f"Say below the cell that saves the figure {name} what it shows: *In the picture: ...*")
        found[name] = shown[1][0].upper() + shown[1][1:]
    return found


def page(figures: Path) -> str:
    """Put the page together from the notebooks' words and the files in `figures` (FileNotFoundError if one lacks)."""
    chapters = []
    for name in tools.names():
        text = "\n".join(cell.source for cell in jupytext.read(pairing.source(name)).cells)
        shown = []
        for figure, caption in captions(text).items():
            image, numbers = (figures / f"{figure}.png").read_bytes(), pd.read_csv(figures / f"{figure}.csv")
            shown.append((figure, caption, base64.b64encode(image).decode(), len(numbers), _table(numbers)))
        chapters += [(re.search(r"# (.+)", text)[1], shown)] if shown else []
    versions = _table(pd.DataFrame(environment.versions().items(), columns=["what", "version"]))
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return jinja2.Template(template, autoescape=True).render(chapters=chapters, versions=versions)


def _table(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False, border=0, na_rep="", max_rows=200, float_format="{:.4g}".format)


def headline(figures: Path) -> str:
    """Sum the report up for the README: AUROC by hospital and method, and the differences to centralised."""
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
