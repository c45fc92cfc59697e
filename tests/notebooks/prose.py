"""What a page says in sentences: how hard it is to read, and how long that takes.

Pages are the notebooks' Markdown (both copies) and the Markdown files that readers are sent to. Of a page, code,
formulas, comments, the report's numbers and the addresses of links are no prose. Headings and tables have words, but
no sentences.
"""

import math
import os
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from wordfreq import zipf_frequency

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "notebooks"))
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
}
NAMES = [*tools.names(), *FILES]

GRADE = 6  # of Flesch and Kincaid: years at school of a reader whose language it is
WORDS = 30  # a sentence
COMMON = 3.3  # Zipf: a word that is met twice in a million words

# Who and what is called so. A term of the field is none of these: it belongs into the glossary.
PROPER = set(
    """
    Janosi Steinbrunn Pfisterer Detrano UCI Wolberg Mangasarian
    McMahan Karimireddy Reddi Zhu Nadeau Bengio Bonawitz Regev Cheon Albrecht Diffie Hellman Vercauteren Micciancio
    Alistarh Seide Phong Zhao Geiping Carlini Blanchard Cao Lycklama Velicheti Bagdasaryan Baruch
    ACORN BatchCrypt RoFL Scrypt AES GCM ePrint
    TensorFlow TenSEAL scikit fedkit Colab JupyterLab JupyterHub NVFlare Matplotlib matplotlib conda README
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


def page(name: str) -> str:
    """Return the Markdown of a notebook, its solutions included, or of a file."""
    if name in FILES:
        return (ROOT / FILES[name]).read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in pairing.of(name, solutions=True).cells if cell.cell_type == "markdown")


def link(name: str) -> str:
    """Return the address of a page, from the folder of the notebooks."""
    return os.path.relpath(ROOT / FILES.get(name, f"notebooks/{name}.ipynb"), ROOT / "notebooks")


def bare(markdown: str) -> str:
    """Return the text without what is no prose; a piece of code or a formula becomes the word x."""
    text = re.sub(
        r"<!-- numbers.*?<!-- /numbers -->|<!--.*?-->|^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"(`+).+?\1|\$\$.+?\$\$|\$[^$\n]+\$", "x", text, flags=re.DOTALL)
    text = re.sub(r"^\[[^\]]+\]: .*$|^\|[-:| ]+\|$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\[\]]*)\](?:\([^()]*\)|\[[^\]]*\])", r"\1", re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text))
    return re.sub(r"<[^<>]+>|https?://\S+|[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}", "", text)


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
    """Return the headwords, as they are written (several where one line has several), and their lines."""
    found = re.findall(r"^- (\*\*.+?)(?=\n- |\n\n|\Z)", glossary, flags=re.DOTALL | re.MULTILINE)
    return {", ".join(re.findall(r"\*\*(.+?)\*\*", " ".join(one.split()).partition(": ")[0])): one for one in found}


def mentions(markdown: str, term: str) -> bool:
    """Say whether a text has a term, in any of its forms."""
    stems = [re.sub(r"(?:ed|ing|[ey])$", "", part.lower()) for part in re.split(r"[\s-]+", term)]
    return bool(re.search(r"\b" + r"\w*[\s-]+".join(map(re.escape, stems)), bare(markdown).lower()))


def unexplained(markdown: str, glossary: str) -> Counter:
    """Return the rare words that are in no headword and no name, and how often they are there."""
    explained = PROPER | {
        form for headword in terms(glossary) for word in words(headword) for form in forms(word.lower())
    }
    return Counter(
        word
        for word in words(markdown)
        if rare(word) and not {word.removesuffix("'s"), *forms(word.lower())} & explained
    )


def reading_minutes(name: str) -> int:
    """Return how long a notebook takes to read, by the rule of the syllabus, to the nearest five minutes."""
    cells = pairing.of(name).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown").partition("\n## Exercises")[0]
    code = [cell for cell in cells if cell.cell_type == "code" and not cell.metadata.get("tags")]
    pictures = len(re.findall(r"^\*In the picture", prose, flags=re.MULTILINE))
    return 5 * math.floor((len(counted(bare(prose))) / 100 + len(code) / 2 + 2 * pictures) / 5 + 0.5)
