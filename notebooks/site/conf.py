"""The course as a site: Sphinx and MyST-NB over what ``tools.pages`` lays out. Nothing is executed, nothing fetched."""

import re
from importlib.metadata import distribution
from pathlib import Path

project, author, html_title = "fedkit", "", "fedkit"
extensions = ["myst_nb"]
root_doc = "index"
nb_execution_mode = "off"
suppress_warnings = ["mystnb.unknown_mime_type"]  # of a figure's numbers, which the tests read

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_mime_priority_overrides = [
    (builder, f"text/{kind}", 0) for builder in ("html", "revealjs") for kind in ("html", "plain")
]

html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["page.js"]
html_favicon = "static/favicon.svg"
html_copy_source = html_show_copyright = html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "navbar_persistent": []}
html_last_updated_fmt = None

# The one file of MathJax that draws everything as SVG, and asks for no font.
_MATHJAX = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg.js")
mathjax_path = "tex-svg.js"


# `make slides`: the same for decks.
if tags.has("slides"):  # noqa: F821 - Sphinx gives it
    extensions += ["sphinx_revealjs"]
    revealjs_static_path, revealjs_css_files = ["static"], ["slides.css"]
    revealjs_style_theme = "white"
    revealjs_script_conf = {"width": 1280, "height": 800, "slideNumber": True, "transition": "none", "center": False}


def _mathjax(app: object) -> None:
    (Path(app.outdir) / "_static").mkdir(parents=True, exist_ok=True)
    (Path(app.outdir) / "_static" / mathjax_path).write_bytes(Path(_MATHJAX).read_bytes())


def _readable(app: object, error: Exception | None) -> None:
    """Take out a label of folded cells and of the search button that hides their words from a screen reader."""
    for page in () if error else Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        better = re.sub(r'(<summary)[^>]*aria-label="Toggle hidden content"[^>]*', r"\1", text)
        better = re.sub(r'(<button class="[^"]*search-button[^>]*?) aria-label="Search"', r"\1", better)
        better = better.replace(
            '<summary><span class="toctree-toggle"',
            '<summary aria-label="The pages below"><span class="toctree-toggle"',
        )
        # The first column of a data frame has no name: an empty heading is none.
        better = better.replace("<th></th>", "<td></td>")
        if better != text:
            page.write_text(better, encoding="utf-8")


def setup(app: object) -> None:
    """Connect what Sphinx has no setting for."""
    app.connect("builder-inited", _mathjax)
    app.connect("build-finished", _readable)
