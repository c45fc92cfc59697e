"""One self-contained page with the report's figures, their numbers, and what computed them.

``make report`` runs ``python -m tools.report``. The page is put together from
``figures/`` alone, so it shows the runs that ``make figures`` made and no others.
"""

import base64
import html
import sys
from pathlib import Path

import pandas as pd

import tools
from fedkit.compat import environment

# Order of the page: figure, heading, and what to look for in it.
CHAPTERS = {
    "The hospitals": [
        ("hospitals_at_a_glance", "Four hospitals, as they are: their sizes, labels, ages and gaps differ."),
        ("hospital_left_out", "A hospital tested with a model that never saw it, beside one that did."),
    ],
    "How they train together": [
        ("architecture", "Who holds what: rows and the secret key stay at the hospitals, and the server has neither."),
        ("workflow", "One encrypted round, step by step."),
        ("convergence", "AUROC after each round, a hospital at a time; the band holds the seeds."),
        ("local_global_distance", "How far each hospital's own model is from the shared one after each round."),
        ("training_gain", "What a hospital gains over training alone."),
    ],
    "How well the models predict": [
        ("auroc_forest", "AUROC by hospital and method, with 95% intervals over the seeds' splits."),
        ("paired_differences", "Differences from the centralised model on the same splits, and the margin."),
        ("spread", "Each seed's AUROC: how much the split alone decides."),
        ("encrypted_rounds", "AUROC after each round, plain and encrypted: the lines lie on each other."),
        ("calibration", "Predicted probabilities against observed shares."),
    ],
    "What encryption does, and what it costs": [
        ("measured/server_view", "One hospital's update as the server sees it, before and after encryption."),
        ("measured/encryption_error", "Distance of the decrypted mean from the plain one, by number of parameters."),
        ("measured/cost_by_method_and_phase", "Bytes and seconds of a run, by what they were spent on."),
        ("staircase", "From a framework's default to less than a plain number: bytes a number, an idea a step."),
        ("accuracy_by_bits", "What few bits do to a model: AUROC against plain training, and the weights' distance."),
        ("cost_by_size", "Bytes a number, by size of the model and number of hospitals, up and down."),
    ],
    "What a curious server or hospital reads": [
        ("rows_read", "Patients whose row is read exactly from one update, by model and batch; encrypted: none."),
        ("measured/image_from_update", "A head found by its gradient, and what the same search finds in a ciphertext."),
        ("remedies", "What remedies leave to an attacker, and what they cost."),
        ("measured/privacy_panel", "How well three attacks do against each method."),
    ],
    "What malicious hospitals do, and who stops them": [
        ("auroc_by_attackers", "AUROC against the number of malicious hospitals among ten, by rule."),
        ("backdoor", "A backdoor's success beside the AUROC behind which it hides, by rule."),
        ("exclusions", "How often screening excludes each hospital: rightly, and wrongly."),
    ],
    "A study in a shared folder": [
        ("study_in_a_folder", "Who has posted in which round, with one hospital down: what a class sees."),
    ],
}
LONG_TABLE = 200
START, END = "<!-- numbers: written by `make report` from figures/, do not edit -->", "<!-- /numbers -->"

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { line-height: 1.2 } h2 { margin-top: 3rem; border-bottom: 1px solid #ddd }
figure { margin: 2rem 0 } figure img { width: 100%; height: auto }
figcaption { font-weight: 600; margin-bottom: .5rem }
details { margin-top: .5rem } summary { cursor: pointer; color: #555 }
div.table { overflow-x: auto } table { border-collapse: collapse; font-size: 13px }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #eee }
"""


def page(figures: Path) -> str:
    """Put the page together.

    Parameters
    ----------
    figures
        The folder that ``make figures`` fills.

    Returns
    -------
    str
        HTML that needs no other file.

    Raises
    ------
    FileNotFoundError
        If a figure or its table is missing.
    """
    chapters = []
    for heading, entries in CHAPTERS.items():
        shown = "".join(_figure(figures, name, caption) for name, caption in entries)
        chapters.append(f"<h2>{html.escape(heading)}</h2>\n{shown}")
    versions = pd.DataFrame(environment.versions().items(), columns=["what", "version"])
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>fedkit: the report</title><style>{STYLE}</style></head>
<body>
<h1>Federated learning at four hospitals, with and without encryption</h1>
<p>Every figure below was drawn by a notebook, from the table under it. <code>make figures</code> makes them
again; a figure whose numbers are seconds or random noise differs a little each time. The data are UCI Heart
Disease (CC BY 4.0; Janosi, Steinbrunn, Pfisterer, Detrano 1988). Nothing here is a clinical claim.</p>
{"".join(chapters)}
<h2>What computed this</h2>
{_table(versions)}
</body>
</html>
"""


def _figure(figures: Path, name: str, caption: str) -> str:
    picture, table = figures / f"{name}.png", figures / f"{name}.csv"
    for path in (picture, table):
        if not path.is_file():
            raise FileNotFoundError(f"The report needs {path.name}, which is not there. Run 'make figures' first.")
    image = base64.b64encode(picture.read_bytes()).decode()
    numbers = pd.read_csv(table)
    rows = f"{len(numbers)} rows" if len(numbers) <= LONG_TABLE else f"first {LONG_TABLE} of {len(numbers)} rows"
    return (
        f'<figure id="{Path(name).name}"><figcaption>{html.escape(caption)}</figcaption>'
        f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{image}">'
        f"<details><summary>The numbers ({rows} of {table.name})</summary>{_table(numbers.head(LONG_TABLE))}</details>"
        "</figure>\n"
    )


def _table(frame: pd.DataFrame) -> str:
    return f'<div class="table">{frame.to_html(index=False, border=0, na_rep="", float_format="{:.4g}".format)}</div>'


def headline(figures: Path) -> str:
    """Sum the report up for the README, from the tables of two figures.

    Parameters
    ----------
    figures
        The folder that ``make figures`` fills.

    Returns
    -------
    str
        Markdown: AUROC by hospital and method, and the differences to centralised.
    """
    auroc = pd.read_csv(figures / "auroc_forest.csv").query("metric == 'auroc'")
    differences = pd.read_csv(figures / "paired_differences.csv").query("metric == 'auroc' and method == 'federated'")
    methods, splits = list(dict.fromkeys(auroc["method"])), auroc["n"].max()
    means = auroc.set_index(["hospital", "method"])["mean"]
    gaps = {row.hospital: f"{row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" for row in differences.itertuples()}
    lines = [
        f"AUROC on held-out patients, mean of {splits} splits (`make figures`, notebook 04); the last column is",
        "federated minus centralised on the same splits, with its 95% interval:",
        "",
        f"| hospital | {' | '.join(methods)} | difference |",
        f"|---|{'---|' * len(methods)}---|",
    ]
    for hospital in dict.fromkeys(auroc["hospital"]):
        row = [f"{means[hospital, method]:.2f}" for method in methods]
        lines.append(f"| {hospital} | {' | '.join(row)} | {gaps[hospital]} |")
    return "\n".join(lines)


def renewed(readme: str, numbers: str) -> str:
    """Put the numbers between the README's two marks.

    Raises
    ------
    ValueError
        If the marks are not there.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md must hold the marks {START!r} and {END!r}, between which the numbers stand.")
    return f"{before}{start}\n{numbers}\n{end}{after}"


def main() -> int:
    """Write build/report.html of this checkout, and the numbers in its README."""
    root = tools.root()
    path, readme = root / "build" / "report.html", root / "README.md"
    try:
        text = page(root / "figures")
        readme.write_text(renewed(readme.read_text(encoding="utf-8"), headline(root / "figures")), encoding="utf-8")
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"The report is in {path.relative_to(root)} ({len(text) / 1e6:.1f} MB, one file).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
