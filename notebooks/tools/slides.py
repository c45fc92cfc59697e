"""A deck a notebook for the projector: its goals, what is tagged `slide`, its pictures, and the questions of its quiz.

It runs in ``.venv-site``, as `pages` does; what a slide shows was computed when the notebook was executed.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tools import pages

LONGEST = 16  # lines of printed output, and rows of a table: more cannot be read from the last row of seats


def deck(found: dict) -> dict:
    """Return a notebook of slides: one behind each heading of the first order."""
    first, *cells = found["cells"]
    goals = re.search(r"By the end you can:.*?(?=\n## |\Z)", first["source"], re.DOTALL)[0]
    made = [_words(f"# {pages.title(found)}\n\n{goals}")]
    section = before = ""
    for cell in cells:
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        if "quiz" in tags:
            made += [_words(slide) for slide in questions(source)]
        elif cell["cell_type"] == "markdown":
            section = (re.findall(r"^## (.*)", source, re.MULTILINE) or [section])[-1]
            before = source.rpartition("\n\n")[2] if _is_prose(source.rpartition("\n\n")[2]) else ""
            continue
        elif "slide" in tags or any("<img " in _html(one) for one in cell["outputs"]):
            shown = [
                one for one in cell["outputs"] if "<img " in _html(one) or ("slide" in tags and _lines(one) <= LONGEST)
            ]
            heading = _words(f"# {section}\n\n{before}")
            if "slide" in tags:  # with what comes out of it, if there is room
                fits = source.count("\n") + sum(map(_lines, shown)) < LONGEST
                made += [heading, {**cell, "outputs": shown if fits else []}]
                shown, heading = [] if fits else shown, _words(f"# {section}")
            for one in shown:
                made += [heading, {**cell, "metadata": {"tags": ["remove-input"]}, "outputs": [one]}]
        before = ""
    return {**found, "cells": [{**cell, "id": f"slide-{number}"} for number, cell in enumerate(made)]}


def questions(quiz: str) -> list[str]:
    """Return a slide a question, with its answers, for a show of hands; what is right is in the notebook."""
    slides = []
    for part in re.split(r"^\*\*(?=\d+\. )", quiz, flags=re.MULTILINE)[1:]:
        asked = part.partition("**")[0]
        answers = re.findall(r"<summary>(.*?)</summary>", part, re.DOTALL)
        letters = [f"{letter}. {' '.join(answer.split())}" for letter, answer in zip("ABCDE", answers, strict=False)]
        slides.append(f"# {' '.join(asked.split())}\n\n" + "\n\n".join(letters))
    return slides


def _words(text: str) -> dict:
    # Links lead out of a deck: on a slide their words are enough.
    return {"cell_type": "markdown", "metadata": {}, "source": re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)}


def _is_prose(paragraph: str) -> bool:
    """Whether it can be read aloud in one breath: no heading, list or table, and not long."""
    return not paragraph.startswith(("#", "-", "|", "1.", "<", "**", "*")) and len(paragraph.split()) <= 45


def _html(output: dict) -> str:
    return "".join(output.get("data", {}).get("text/html", ""))


def _lines(output: dict) -> int:
    """Return how many lines of a slide an output takes: a picture takes all."""
    text = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
    return LONGEST if "<img " in _html(output) else max(text.count("\n"), _html(output).count("<tr"))


def lay(out: Path) -> None:
    """Lay every deck out in `out`, which is emptied, and a page that leads to them."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    titles = {}
    for path in sorted((pages.ROOT / "notebooks").glob("[0-9]*.ipynb")):
        found = pages.notebook(path)
        (out / path.name).write_text(json.dumps(deck(found)), encoding="utf-8")
        titles[path.stem] = pages.title(found)
    listed = "\\\n".join(f"[{title}]({name}.ipynb)" for name, title in titles.items())
    (out / "index.md").write_text(
        f"# fedkit\n\n{listed}\n\n```{{toctree}}\n:hidden:\n\n" + "\n".join(titles) + "\n```\n", encoding="utf-8"
    )


if __name__ == "__main__":
    lay(Path(sys.argv[1]))
