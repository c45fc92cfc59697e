"""Lay the pages of the site out for Sphinx: stored notebooks, Markdown pages, a gallery, and a page a module.

The folders are those of the repository, so that a link that works there works on the site. It runs in ``.venv-site``,
without fedkit's needs: the modules are read, and not imported.
"""

import ast
import fnmatch
import html
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "notebooks" / "site"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
COPIED = (
    "*.md",
    "notebooks/*.md",
    "notebooks/teacher/README.md",
    "data/*/README.md",
)  # pages that are there as they are
# A list of pages at the side, under these words; the notebooks come after the syllabus.
SIDE = {
    "Course": ["notebooks/README", "notebooks/[0-9]*", "notebooks/glossary"],
    "Teach": ["notebooks/teacher/README", "notebooks/classroom"],
    "Carry on": ["notebooks/network", "CONTRIBUTING", "CHANGELOG"],
    "Trust": ["SECURITY", "notebooks/compare", "data/*/README"],
    "Reference": ["README", "gallery", "api/index"],
}
MARKING = ROOT / "notebooks" / "teacher" / "marking.md"  # it tells answers: it is read in the repository
CALLED = {"README": "Install and run it <README>"}
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"  # shipped: the site asks no other host


def notebook(path: Path) -> dict:
    """Read a stored notebook; a folded cell's title is its first line."""
    found = json.loads(path.read_text(encoding="utf-8"))
    for cell in found["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = linked(source.replace(BADGE, "../_colab.svg"), path)
        elif "plumbing" in cell["metadata"].get("tags", []):
            title = source.partition("\n")[0].removeprefix("# @title ")
            cell["metadata"]["mystnb"] = {"code_prompt_show": title, "code_prompt_hide": title}
    return found


def linked(text: str, page: Path) -> str:
    """Lead a link to a folder, or to a file that is no page, to the repository: it is not on the site."""

    def elsewhere(match: re.Match) -> str:
        there = (page.parent / match[1]).resolve()
        if there.is_dir() or (there.is_file() and there.suffix not in (".md", ".ipynb", ".png")) or there == MARKING:
            return f"]({REPOSITORY}/blob/main/{there.relative_to(ROOT)})"
        return match[0]

    return re.sub(r"\]\((?!https?:|#)([^)#]+)\)", elsewhere, text)


def figures(cells: list[dict]) -> list[tuple[str, str]]:
    """Return the figures that a notebook saves, in its order: the file's name, and its words."""
    found = []
    for cell in cells:
        called = [node for node in ast.walk(ast.parse("".join(cell["source"]))) if isinstance(node, ast.Call)]
        for call in called:
            if ast.unparse(call.func) == "plots.save":
                shown = "".join("".join(one.get("data", {}).get("text/html", "")) for one in cell["outputs"])
                words = html.unescape(re.search(r'<img alt="([^"]*)"', shown)[1])
                measured = any(one.arg == "measured" for one in call.keywords)
                found.append(("measured/" * measured + call.args[1].value, words))
    return found


def gallery(notebooks: dict[str, dict]) -> str:
    """Write the page with every figure of the report, each leading to the notebook that draws it."""
    page = ["# Figures", "Every figure of the report. Each leads to the notebook that computes it (`make figures`)."]
    for name, found in notebooks.items():
        drawn = figures([cell for cell in found["cells"] if cell["cell_type"] == "code"])
        if drawn:
            page += [f"## [{title(found)}](notebooks/{name}.ipynb)", "::::{container} gallery"]
            page += [
                # The words stand below for all: a screen reader need not say them twice.
                f":::{{figure}} figures/{figure}.png\n:alt: The figure {figure.rpartition('/')[2]}\n"
                f":target: notebooks/{name}.html\n\n{words}\n:::"
                for figure, words in drawn
            ]
            page += ["::::"]
    return "\n\n".join(page) + "\n"


def title(found: dict) -> str:
    """Return a notebook's title."""
    return "".join(found["cells"][0]["source"]).partition("\n")[0].removeprefix("# ")


def lay(out: Path) -> None:
    """Lay everything out in `out`, which is emptied."""
    from tools import reference  # which needs griffe, and that is in .venv-site alone

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    stored = {path.stem: notebook(path) for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
    pages = {f"notebooks/{name}.ipynb": json.dumps(found) for name, found in stored.items()}
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            pages[str(path.relative_to(ROOT))] = linked(path.read_text(encoding="utf-8"), path)
    pages |= {"gallery.md": gallery(stored)}
    pages |= reference.pages(ROOT)
    names = [str(Path(page).with_suffix("")) for page in sorted(pages)]
    pages["index.md"] = (SITE / "index.md").read_text(encoding="utf-8") + "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
        + "\n".join(CALLED.get(page, page) for one in side for page in names if fnmatch.fnmatchcase(page, one))
        + "\n```\n"
        for caption, side in SIDE.items()
    )
    for name, text in pages.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    shutil.copy(SITE / "static" / "colab.svg", out / "_colab.svg")
    shutil.copytree(ROOT / "figures", out / "figures", ignore=shutil.ignore_patterns("*.svg", "*.csv", "*.json"))


if __name__ == "__main__":
    lay(Path(sys.argv[1]))
