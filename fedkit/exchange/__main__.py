"""Watch a study in a terminal: ``python -m fedkit.exchange watch FOLDER INVITATION``."""

import argparse
import contextlib

from fedkit.exchange.watch import show


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m fedkit.exchange", description="Studies in a shared folder.")
    commands = parser.add_subparsers(dest="command", required=True)
    watch = commands.add_parser("watch", help="show how a study is going, until it is done")
    watch.add_argument("folder", help="a path, or a URL that fsspec knows")
    watch.add_argument("invitation", help="fingerprint of the invitation, as it was read aloud")
    given = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt):
        show(given.folder, given.invitation)


if __name__ == "__main__":
    main()
