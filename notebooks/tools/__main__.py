"""The command line of the maker's tool: ``python -m tools --help``."""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tools
from tools import freshness


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks; errors are printed as sentences."""
    parser = argparse.ArgumentParser(prog="python -m tools", description="Make and run the notebooks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function, text in (
        (build, "write the cells of notebooks from their sources, keeping outputs"),
        (check, "compare every notebook's cells with its source"),
        (run, "execute notebooks; touches nothing but the output folder"),
        (figures, "execute the notebooks whose figures are out of date"),
        (publish, "build, execute at the full profile, and write notebooks and figures"),
        (golden, "measure golden numbers at the smoke profile, and print or write them"),
    ):
        command = commands.add_parser(function.__name__, help=text, description=text)
        command.set_defaults(function=function)
        if function not in (check, figures):
            command.add_argument("names", nargs="*", metavar="NAME", help="02_federated_learning, or 02; else all")
        if function is run:
            command.add_argument("--profile", choices=("smoke", "full"), default="smoke")
            command.add_argument("--output", type=Path, required=True, metavar="DIR")
            command.add_argument("--solutions", action="store_true", help="run the copy with solutions")
            command.add_argument("--kernel", default="python3", help="a Jupyter kernel's name")
        if function is golden:
            command.add_argument("--write", action="store_true", help="write them to tests/golden")
    options = parser.parse_args(arguments)
    try:
        return options.function(options) or 0
    except (FileNotFoundError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def build(options: argparse.Namespace) -> None:
    """Write the cells of notebooks from their sources."""
    from tools import pairing

    for name in tools.choose(options.names):
        pairing.build(name)


def check(options: argparse.Namespace) -> int:
    """Compare every notebook's cells with its source."""
    from tools import pairing

    problems = pairing.check()
    if problems:
        print(*problems, "Run 'make notebooks' (or 'python -m tools build').", sep="\n", file=sys.stderr)
    return len(problems) > 0


def run(options: argparse.Namespace) -> None:
    """Execute notebooks into a folder."""
    for name in tools.choose(options.names):
        with _said(f"{name} ({options.profile})"):
            _execute(name, options.output, options.profile, options.solutions, options.kernel)


def figures(options: argparse.Namespace) -> None:
    """Execute the notebooks whose figures are out of date."""
    if not freshness.makers():
        raise FileNotFoundError("notebooks/source has none of the notebooks that draw the figures.")
    names = freshness.stale()
    for name in names:
        with _said(f"{name} (full)"):
            freshness.make(name, tools.root() / ".cache" / "notebooks" / f"{name}.ipynb")
    print("figures/ is up to date." if not names else "figures/ is up to date now.")


def publish(options: argparse.Namespace) -> None:
    """Build, execute at the full profile, and write notebooks and figures."""
    from tools import pairing, running

    scratch = tools.root() / ".cache" / "notebooks"
    for name in tools.choose(options.names):
        for solutions in (False, True):
            with _said(f"{name}{', solutions' if solutions else ''} (full)"):
                if name in freshness.makers() and not solutions:
                    notebook = freshness.make(name, scratch / f"{name}.ipynb")
                else:
                    folder = scratch / ("solutions" if solutions else "")
                    notebook = _execute(name, folder, "full", solutions)
            traces = running.machine_traces(notebook)
            if traces:
                raise ValueError(f"{name} is not published. " + " ".join(traces))
            pairing.write(notebook, pairing.path(name, solutions))


def golden(options: argparse.Namespace) -> None:
    """Measure golden numbers at the smoke profile."""
    import json

    from tools import goldens

    for name in tools.choose(options.names):
        notebook = _execute(name, tools.root() / ".cache" / "golden", "smoke")
        fresh = goldens.renew(goldens.glued(notebook), goldens.load(name))
        print(goldens.write(name, fresh) if options.write else json.dumps(fresh, ensure_ascii=False, indent=1))


def _execute(name: str, folder: Path, profile: str, solutions: bool = False, kernel: str = "python3") -> dict:
    from fedkit.compat import environment
    from tools import pairing, running

    text = pairing.source(name).read_text(encoding="utf-8")
    notebook = pairing.make(name, text, environment.repository(), solutions)
    figures = folder / "figures"
    return running.execute(notebook, folder / f"{name}.ipynb", profile=profile, figures=figures, kernel=kernel)


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    start = time.perf_counter()
    print(f"{what} ... ", end="", flush=True)
    try:
        yield
    except BaseException:
        print("failed.", flush=True)
        raise
    print(f"{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
