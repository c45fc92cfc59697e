"""What a page says in sentences: how hard it is to read, and how long that takes.

Pages are the notebooks' Markdown (both copies) and the Markdown files that readers are sent to. Of a page, code,
formulas, comments, the report's numbers and the addresses of links are no prose. Headings and tables have words, but
no sentences.
"""

import ast
import json
import math
import os
import re
import sys
from collections import Counter
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

from wordfreq import zipf_frequency

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "notebooks"))  # where pytest does not
import tools  # noqa: E402
from tools import pairing  # noqa: E402

with patch.dict(sys.modules, pkg_resources=ModuleType("pkg_resources")):
    import textstat  # which imports what setuptools no longer has, for word lists that are not used here

FILES = {
    "README": "README.md",
    "SECURITY": "SECURITY.md",
    "syllabus": "notebooks/README.md",
    "classroom": "notebooks/classroom.md",
    "glossary": "notebooks/glossary.md",
    "teacher": "notebooks/teacher/README.md",
    "marking": "notebooks/teacher/marking.md",
    "compare": "notebooks/compare.md",
    "CONTRIBUTING": "CONTRIBUTING.md",
}
NAMES = [*tools.names(), *FILES]

GRADE = 6  # of Flesch and Kincaid: years at school of a reader whose language it is
WORDS = 30  # a sentence
COMMON = 3.3  # Zipf: a word that is met twice in a million words

# Who and what is called so. A term of the field is none of these: it belongs into the glossary.
PROPER = set(
    """
    Goldstein Janosi Steinbrunn Pfisterer Detrano UCI Wolberg Mangasarian Aeberhard Forina
    McMahan Karimireddy Reddi Zhu Nadeau Bengio Bonawitz Regev Cheon Albrecht Diffie Hellman Vercauteren Micciancio
    Vickers Elkin Nguyen Alistarh Wannamaker Seide Phong Zhao Geiping Carlini Blanchard Cao Lycklama Velicheti
    Bagdasaryan Baruch Dwork Mironov Canonne Steinke Opacus
    Ogier Terrail FLamby BioMed OpenMined PyPI PyTorch NeurIPS ACORN BatchCrypt RoFL Scrypt AES GCM ePrint
    TensorFlow TenSEAL scikit fedkit Colab JupyterLab JupyterHub NVFlare Matplotlib conda README
    """.split()
)

AMERICAN = re.compile(
    r"\b(?:(?!(?:re|out|over|under)?siz|priz|seiz|capsiz)[a-z]+iz(?:e[ds]?|ers?|ing|ations?)"
    r"|[a-z]*(?:analyz|catalyz|paralyz)\w+|(?:behavi|col|fav|harb|hon|hum|lab|neighb|rum|tum|vap)or(?!at|um)\w*"
    r"|(?:un)?(?:label|model|travel|cancel|signal|channel|total|level)(?:ed|ing|er)\b|cent(?:er|ers|ered|ering)"
    r"|(?:lit|met|fib|theat)ers?|(?:de|of)fenses?|gray\w*|enrolls?|fulfills?|artifacts?|catalogs?|math"
    r"|skeptic\w*|judgments?|plow\w*)\b",
    re.IGNORECASE,
)

SAYING = ("plots.save", "plots.Picture", "claim", "course.check")  # what is called with sentences for the reader


@cache
def page(name: str) -> str:
    """Return the text of a file; of a notebook with solutions, the Markdown and the sentences that its code says."""
    if name in FILES:
        return (ROOT / FILES[name]).read_text(encoding="utf-8")
    cells = pairing.of(name, solutions=True).cells
    return "\n\n".join(cell.source if cell.cell_type == "markdown" else said(cell.source) for cell in cells)


def said(code: str) -> str:
    """Return the sentences in the code of a cell that a reader sees: the words of pictures, claims and checks."""
    nodes = [node for call in calls(code, SAYING) for node in ast.walk(call) if isinstance(node, ast.Constant)]
    return "\n\n".join(node.value for node in nodes if re.search(r" .*\.$", str(node.value), flags=re.DOTALL))


def calls(code: str, functions: tuple[str, ...]) -> list[ast.Call]:
    """Return where a cell calls one of these functions."""
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func) in functions]


def link(name: str) -> str:
    """Return the address of a page, from the folder of the notebooks."""
    return os.path.relpath(ROOT / FILES.get(name, f"notebooks/{name}.ipynb"), ROOT / "notebooks")


NO_PROSE = [
    (r"<!-- numbers.*?<!-- /numbers -->|<!--.*?-->|^```.*?^```", ""),  # the report's table, comments, blocks of code
    (r"(`+).+?\1|\$\$.+?\$\$|\$[^$\n]+\$", "x"),  # code and formulas in a sentence
    (r"(?<=\])\([^()]*\)|(?<=\])\[[^\]]*\]|^\[[^\]]+\]: .*?$|https?://[^\s)]+|<[^<>]+>", ""),  # addresses, HTML
    (r"[^\W_]\w*_[^\W_]\w*(?:\.\w+)*", "x"),  # a name that is none but in code
    (r"^\|[-:| ]+\|$|!(?=\[)|[\[\]*_]", ""),  # marks
]


def bare(markdown: str) -> str:
    """Return the text without what is no prose; a piece of code or a formula becomes the word x."""
    for pattern, instead in NO_PROSE:
        markdown = re.sub(pattern, instead, markdown, flags=re.DOTALL | re.MULTILINE)
    return markdown


def sentences(markdown: str) -> list[str]:
    """Return the sentences. A paragraph and an item of a list end one; a colon and a semicolon do not."""
    lines = [line for line in bare(markdown).splitlines() if not re.match(r"#+ |\|", line)]
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(lines))
    plain = [re.sub(r"^\s*(?:[-*]|\d+\.) ", "", " ".join(block.split())) for block in blocks]
    ends = r"(?<=[.!?])[\"')]*\s+(?<!\bal\. )"
    return [one.strip() for block in plain for one in re.split(ends, block) if counted(one)]


def counted(text: str) -> list[str]:
    """Return the words as a reader counts them: numbers are words, signs are not."""
    return re.findall(r"\w[\w.,'’-]*", text)


def grade(markdown: str) -> float:
    """Return the grade of Flesch and Kincaid, with the sentences as they are divided here."""
    return textstat.flesch_kincaid_grade(" ".join(re.sub(r"[.!?]", "", one) + "." for one in sentences(markdown)))


def long(markdown: str) -> list[str]:
    """Return the sentences that are too long."""
    return [one for one in sentences(markdown) if len(counted(one)) > WORDS]


def american(markdown: str) -> list[str]:
    """Return the words that are not in British spelling."""
    return sorted({found.group().lower() for found in AMERICAN.finditer(bare(markdown))})


def forms(word: str) -> set[str]:
    """Return a word and what it may be a form of: a plural, a past, what compares, what does or can be done."""
    found = {word}
    for ending in ("'s", "s", "es", "ed", "ing", "er", "est", "able"):
        for one in [each for each in found if each.endswith(ending) and len(each) > len(ending) + 2]:
            stem = one.removesuffix(ending)
            found |= {stem, stem + "e", re.sub(r"i$", "y", stem)}
            found |= {re.sub(r"(.)\1$", r"\1", stem)} if "s" not in ending else set()
    return found


def words(markdown: str) -> list[str]:
    """Return the words of the text, its headings and its tables, in order; parts of a word with hyphens alone."""
    return re.findall(r"\b[^\W\d_]{2,}(?:['’][a-z]+)?\b", bare(markdown))


@cache
def rare(word: str) -> bool:
    """Say whether few texts have this word."""
    return max(zipf_frequency(form, "en") for form in forms(word.lower().replace("’", "'"))) < COMMON


def terms(glossary: str) -> dict[str, str]:
    """Return the headwords, and what is said of them."""
    _, *parts = re.split(r"^## (.+)\n", glossary, flags=re.MULTILINE)
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


def spoken_of(headword: str, entry: str) -> list[str]:
    """Return the headword, and the words that its entry explains beside it, in bold."""
    return [headword, *re.findall(r"\*\*(.+?)\*\*", entry)]


def anchor(headword: str) -> str:
    """Return how a link names the headword, as GitHub makes it of a heading."""
    return re.sub(r"[^\w-]", "", headword.lower().replace(" ", "-"))


def mentions(markdown: str, term: str) -> bool:
    """Say whether a text has a term, in any of its forms."""
    stems = [re.sub(r"(?:ed|ing|[ey])$", "", part.lower()) for part in re.split(r"[\s-]+", term)]
    return bool(re.search(r"\b" + r"\w*[\s-]+".join(map(re.escape, stems)), bare(markdown).lower()))


def unexplained(markdown: str, glossary: str) -> Counter:
    """Return the rare words that are in no headword and no name, and how often they are there."""
    heads = [term for each in terms(glossary).items() for term in spoken_of(*each)]
    explained = PROPER | {form for head in heads for word in words(head) for form in forms(word.lower())}
    return Counter(
        word
        for word in words(markdown)
        if rare(word) and not {word.removesuffix("'s"), *forms(word.lower())} & explained
    )


def reading_minutes(notebook: dict) -> int:
    """Return how long a notebook takes to read, by the rule of the syllabus, to the nearest five minutes."""
    cells = list(takewhile(lambda cell: "## Exercises" not in cell.source, notebook.cells))
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    texts += [cell.source.partition("## Exercises")[0] for cell in notebook.cells[len(cells) :][:1]]
    story = "\n\n".join(texts)
    code = [cell for cell in cells if cell.cell_type == "code"]
    seen = sum(len(calls(cell.source, ("plots.save", "plots.Picture"))) for cell in code)
    in_view = sum(not set(cell.metadata.get("tags", [])) - {"slide"} for cell in code)
    return 5 * math.floor((len(counted(bare(story))) / 100 + in_view / 2 + 2 * seen) / 5 + 0.5)


def running_minutes(name: str) -> int:
    """Return how long a notebook runs: what was measured, rounded up. ValueError if it was not."""
    measured = json.loads((ROOT / "figures/measured/notebooks.json").read_text())
    if name not in measured:
        raise ValueError(f"Nobody has measured how long {name} runs: python tests/bench/notebooks.py {name[:2]} does.")
    return math.ceil(measured[name] / 60)


def first_line(run: int, read: int) -> str:
    """Return how the line below a notebook's title must begin."""
    number = ("No", "One", "Two", "Three", "Four", "Five", "Six")[run]
    return f"*{number} minute{'s' * (run > 1)} to run, {read} minutes to read. To read before: "


def read_before(markdown: str) -> list[str]:
    """Return the numbers of the notebooks that a notebook's first line wants to be read before."""
    (line,) = re.findall(r"To read before: (.+?)\*", markdown, flags=re.DOTALL)
    return re.findall(r"\[(\d\d)\]", line)


class Part(NamedTuple):
    """A row of the plan of a lesson."""

    start: int
    end: int
    what: str
    notebooks: list[str]


def plans(markdown: str) -> list[list[Part]]:
    """Return the plans of lessons: the tables of minutes, what is done, and with what."""
    tables = re.findall(r"^\| minutes \| what \| with \|\n\|[-|]+\|\n((?:\|.+\n)+)", markdown, flags=re.MULTILINE)
    found = []
    for table in tables:
        rows = re.findall(r"^\| (\d+) to (\d+) \| (.+?) \|(.*)\|$", table, flags=re.MULTILINE)
        links = [re.findall(r"\((\d\d_\w+)\.ipynb\)", used) for *_, used in rows]
        found.append([Part(int(a), int(b), what, names) for (a, b, what, _), names in zip(rows, links, strict=True)])
    return found
