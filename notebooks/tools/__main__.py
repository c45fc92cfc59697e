"""The makers' commands; NAME is 02_federated_learning, or 02; without one, all notebooks.

build    write the cells of the notebooks from their sources, and keep their outputs
run      execute into a folder, and touch nothing else
make     execute in full, and put figures in place: what make calls for each notebook that is out of date
play     run with each setting that a reader might try
golden   measure golden numbers at the smoke profile, and write them to tests/golden
handout  write copies without outputs to build/handouts, and those with solutions to build/solutions
collect  read what students handed in (NAME is the folder), and write what is right beside it
"""

import argparse
import signal
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # a folder that is run finds its modules, and not itself
import tools  # noqa: E402
from tools import collecting, goldens, pairing, playing, running  # noqa: E402

parser = argparse.ArgumentParser(
    "python notebooks/tools", formatter_class=argparse.RawTextHelpFormatter, epilog=__doc__
)
parser.add_argument("command", choices=("build", "run", "make", "play", "golden", "handout", "collect"))
parser.add_argument("names", nargs="*", metavar="NAME")
parser.add_argument("--solutions", action="store_true", help="run, make: the copy with solutions")
parser.add_argument("--profile", choices=("smoke", "full"), default="smoke", help="run: how much (smoke)")
parser.add_argument("--output", type=Path, default=tools.root() / ".cache" / "run", help="run: the folder (.cache/run)")


def main(command: str, name: str, solutions: bool, profile: str, output: Path) -> str:
    """Do one thing with one notebook, and return what was made."""
    if command == "build":
        for copy in (False, True):
            pairing.path(name, copy).write_text(pairing.built(name, copy), encoding="utf-8")
        return "both copies"
    if command == "handout":
        for copy in (False, True):
            pairing.hand_out(name, copy)
        return "without outputs"
    if command == "make":
        return f"{len(running.make(name, solutions))} files in figures/" + ", with solutions" * solutions
    if command == "play":
        wrong = playing.play(name, output)
        if wrong:
            raise RuntimeError("\n\n".join(wrong))
        return "with every setting"
    executed = running.execute(pairing.of(name, solutions), output / f"{name}.ipynb", profile, output / "figures")
    return f"in {output}" if command == "run" else f"{goldens.write(name, goldens.glued(executed))} is written"


if __name__ == "__main__":
    options = vars(parser.parse_args())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill is as Ctrl-C: the kernel ends as well
    try:
        names = options.pop("names")
        if options["command"] == "collect":
            if not names:
                raise ValueError("Which folder are the answers in? Name it: notebooks/tools collect answers")
            print(*(collecting.collect(Path(folder)) for folder in names), sep="\n")
            sys.exit()
        for name in tools.choose(names):
            start, made = time.monotonic(), main(name=name, **options)
            print(f"{name}: {time.monotonic() - start:.0f} s, {made}", flush=True)
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))
