"""The pages of the course site are laid out whole, and what looks at the site finds what is wrong with it."""

import json
import re
import sys

import pytest
import tools
from tools import pages, pairing, report, slides

sys.path.append(str(tools.root() / "tests" / "browser"))
import look

STORED = {name: pages.notebook(pairing.path(name)) for name in tools.names()}


def test_the_gallery_shows_each_figure_of_the_report_with_its_words():
    drawn = {name: report.drawn(name) for name in tools.names()}
    shown = {
        name: pages.figures([one for one in found["cells"] if one["cell_type"] == "code"])
        for name, found in STORED.items()
    }
    assert {name: [figure for figure, _ in each] for name, each in shown.items()} == drawn
    words = [said for each in shown.values() for _, said in each]
    assert look.wordless(words) == []
    page = pages.gallery(STORED)
    assert [said for said in words if said not in page] == []


def test_no_page_asks_another_host_for_a_picture_and_a_folded_cell_has_its_title():
    texts = json.dumps(STORED)
    assert "https://colab.research.google.com/github/" in texts
    assert pages.BADGE not in texts
    folded = [cell for found in STORED.values() for cell in found["cells"] if "mystnb" in cell["metadata"]]
    titles = [cell["metadata"]["mystnb"]["code_prompt_show"] for cell in folded]
    assert len(titles) > 200
    assert [title for title in titles if not title or title.startswith(("#", "@"))] == []


@pytest.mark.parametrize("name", STORED)
def test_a_deck_has_goals_what_is_written_by_hand_every_picture_and_questions_without_answers(name):
    cells = slides.deck(STORED[name])["cells"]
    shown = json.dumps(cells)
    words = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert words[0].count("\n- ") + words[0].count("\n1. ") + words[0].count("\n2. ") >= 2
    tagged = [cell["source"] for cell in STORED[name]["cells"] if "slide" in cell["metadata"].get("tags", [])]
    in_view = [
        cell for cell in cells if cell["cell_type"] == "code" and "remove-input" not in cell["metadata"].get("tags", [])
    ]
    assert [cell["source"] for cell in in_view] == tagged != []
    pictures = [json.dumps(cell.get("outputs")).count("<img ") for cell in STORED[name]["cells"]]
    assert shown.count("<img ") == sum(pictures)
    assert sum(bool(re.match(r"# \d+\. .*\n\nA\. .*\n\nB\. ", text)) for text in words) >= 3
    assert not re.search(r"Right:|Not this one:|\]\(", "".join(words))
    assert all(text.startswith("# ") for text in words), "each slide has a heading"


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("../fedkit/learning.py", f"{pages.REPOSITORY}/blob/main/fedkit/learning.py"),
        ("solutions", f"{pages.REPOSITORY}/blob/main/notebooks/solutions"),
        ("../SECURITY.md", "../SECURITY.md"),
        ("02_federated_learning.ipynb", "02_federated_learning.ipynb"),
        ("https://example.org/a", "https://example.org/a"),
        ("glossary.md#drift", "glossary.md#drift"),
    ],
)
def test_what_is_not_on_the_site_is_read_in_the_repository(link, leads):
    found = pages.linked(f"See [this]({link}).", tools.root() / "notebooks" / "README.md")
    assert found == f"See [this]({leads})."


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('<p id="x"></p><a href="#x">here</a><img alt="Two lines cross." src="a.png">', None),
        ('<a href="#y">here</a>', "leads nowhere: #y"),
        ('<a href="no.html">here</a>', "leads nowhere: no.html"),
        ('<img alt="Two lines cross." src="b.png">', "leads nowhere: b.png"),
        ('<img src="a.png">', "words of a picture: ''"),
        ('<img alt="" src="a.png">', "words of a picture: ''"),
        ('<img alt="../_images/a.png" src="a.png">', "words of a picture: '../_images/a.png'"),
        ('<img alt="picture" src="a.png">', "words of a picture: 'picture'"),
    ],
)
def test_a_link_that_leads_nowhere_and_a_picture_without_words_are_found(tmp_path, body, found):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "page.html").write_text(body)
    assert look.broken(tmp_path) == ([f"page.html: {found}"] if found else [])
