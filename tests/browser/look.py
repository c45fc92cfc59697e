"""Look at the course site and the slides in a real browser (`make site-check`): links, words, widths, a quiz, axe.

It needs Chromium (Debian: apt install chromium) and npm, which gets axe-core, pinned; the rest is in .venv-site.
"""

import argparse
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

ROOT = Path(__file__).resolve().parents[2]
AXE = "4.14.1"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
WINDOWS = ((1400, "dark"), (360, "light"))  # each page in both


class Read(HTMLParser):
    """What a page holds: where it leads, what can be led to, and what its pictures say."""

    def __init__(self, page: Path):
        super().__init__()
        self.links, self.anchors, self.alts = [], set(), []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "img":
            self.alts.append(found.get("alt"))
            self.links.append(found.get("src", ""))
        elif tag in ("a", "link") and found.get("href"):
            self.links.append(found["href"])


def wordless(alts: list[str | None]) -> list[str]:
    """Return the words of pictures that are none: missing, a path, or no sentence; axe does not see the last two."""
    return [
        str(alt or "")
        for alt in alts
        if not alt or "/" in alt or re.search(r"\.(png|svg)\b", alt) or " " not in alt.strip()
    ]


def broken(site: Path) -> list[str]:
    """Return the links and pictures of a folder of pages that lead nowhere, and pictures without words."""
    pages = {path: Read(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    wrong = [
        f"{path.relative_to(site)}: words of a picture: {alt!r}"
        for path, one in pages.items()
        for alt in wordless(one.alts)
    ]
    for path, one in pages.items():
        for link in one.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not there.exists() or (anchor and there in pages and anchor not in pages[there].anchors):
                wrong.append(f"{path.relative_to(site)}: leads nowhere: {link}")
    return wrong


def axe() -> str:
    """Return axe-core's script from npm's registry, kept in .cache and compared with its hash each time."""
    package = ROOT / ".cache" / f"axe-core-{AXE}.tgz"
    if not package.exists():
        package.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["npm", "pack", "--silent", f"axe-core@{AXE}"], cwd=package.parent, check=True, stdout=subprocess.DEVNULL
        )
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        sys.exit(f"{package} is not axe-core {AXE} as it was published: remove it, and try again.")
    return subprocess.run(
        ["tar", "-xOzf", package, "package/axe.min.js"], check=True, capture_output=True, text=True
    ).stdout


def serious(page: object) -> list[str]:
    """Return what axe calls serious or critical on a page that is open."""
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"axe: {one['id']} ({one['impact']}), {len(one['nodes'])} times: {one['nodes'][0]['html'][:150]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def looked_at(context: object, address: str, name: str, script: str, width: int) -> list[str]:
    """Open one page as a reader does, and return what is wrong with it."""
    page, wrong = context.new_page(), []
    page.on(
        "console", lambda said: wrong.append(f"console: {said.text}") if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on(
        "request", lambda one: None if one.url.startswith((address, "data:")) else wrong.append(f"asks for {one.url}")
    )
    page.on("response", lambda one: wrong.append(f"{one.status}: {one.url}") if one.status >= 400 else None)
    page.goto(urljoin(address, name), wait_until="load")
    if page.evaluate("Boolean(window.MathJax && MathJax.startup)"):
        page.evaluate("MathJax.startup.promise")
    if page.evaluate("document.documentElement.scrollWidth") > width:
        wrong.append("is wider than the window")
    page.evaluate(script)
    wrong += serious(page)
    page.close()
    return wrong


def quiz(context: object, address: str, name: str) -> list[str]:
    """Answer a question of a quiz by keyboard, wrong and then right, and another right: what is said must follow."""
    page = context.new_page()
    page.goto(urljoin(address, name))
    said, wrong = page.locator("section#quiz [role=status]"), []
    steps = ("wrong", 0, "Not this one.", "0 right of 1"), ("right", 0, "Right.", "0 right of 1")
    for kind, at, words, score in (*steps, ("right", 1, "Right.", "1 right of 2")):
        page.locator(f"section#quiz details.{kind} > summary").nth(at).focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(100)
        if not said.inner_text().startswith(words) or score not in said.inner_text():
            wrong.append(f"a quiz says: {said.inner_text()!r}")
    page.close()
    return wrong


def search(context: object, address: str) -> list[str]:
    """Look for a word that is on some pages."""
    page = context.new_page()
    page.goto(urljoin(address, "search.html?q=ciphertext"))
    page.wait_for_selector("#search-results li", timeout=10_000)
    found = page.locator("#search-results li").count()
    page.close()
    return [] if found > 3 else [f"search finds {found} pages"]


def overfull(context: object, folder: Path) -> list[str]:
    """Return the slides of which a part is below the edge of the projector's picture."""
    wrong = []
    for deck in sorted(folder.glob("*.html")):
        page = context.new_page()
        page.goto(deck.as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        for number in range(page.evaluate("Reveal.getSlides().length")):
            page.evaluate(f"Reveal.slide({number})")  # those far from it are not laid out
            high, cut, heading = page.evaluate(
                "((one) => [one.scrollHeight, [...one.querySelectorAll('code')].some((code) => "
                "code.scrollHeight > code.clientHeight + 2 && code.clientHeight), one.innerText.split('\\n')[0]])"
                "(Reveal.getCurrentSlide())"
            )
            if high > 800 or cut:
                wrong.append(f"slides, {deck.name}, {number + 1}: {high} px high, code cut: {cut}: {heading}")
        page.close()
    return wrong


def main(site: Path, few: bool) -> int:
    """Check a site, print what is wrong, and return how much it is."""
    from playwright.sync_api import sync_playwright  # which is in .venv-site alone

    wrong, seen = broken(site), 0
    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{served.server_address[1]}/"
    # Pages made by one program are alike: two of the code's are enough.
    names = sorted(
        str(path.relative_to(site)) for path in site.rglob("*.html") if not {"_static", "api"} & set(path.parts)
    )
    names = [name for name in names if name not in ("genindex.html", "search.html")] + [
        "api/index.html",
        "api/fedkit.learning.html",
    ]
    script = axe()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for width, scheme in WINDOWS:
            context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
            for name in names[:3] if few else names:
                found = looked_at(context, address, name, script, width)
                wrong += [f"{name}, {width} px, {scheme}: {one}" for one in found]
                seen += 1
                print(f"{seen} of {len(names) * len(WINDOWS)}: {name}, {width} px, {scheme}", flush=True)
            context.close()
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        wrong += search(context, address) + overfull(context, site.with_name("slides"))
        for name in names:
            if 'id="quiz"' in (site / name).read_text(encoding="utf-8"):
                wrong += [f"{name}: {one}" for one in quiz(context, address, name)]
        browser.close()
    served.shutdown()
    print("\n".join(dict.fromkeys(wrong)))
    print(f"{seen} pages looked at, {len(wrong)} things are wrong.")
    return len(wrong)


class Silent(SimpleHTTPRequestHandler):
    """Python's server of files, without a line a request."""

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "build" / "site")
    parser.add_argument("--few", action="store_true", help="three pages instead of all")
    if not CHROMIUM or not shutil.which("npm"):
        sys.exit(
            "The site is looked at in Chromium, with axe from npm: install both (Debian: apt install chromium npm)."
        )
    os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
    options = parser.parse_args()
    sys.exit(main(options.site.resolve(), options.few) > 0)
