"""Sums build on sums: which of them count, when there is more than one of a round.

A coordinator that was killed, or saw a stale listing, may add up a round twice. So each
sum names the one that its letters build on, and everybody, on seeing the same letters,
takes the longest chain, and of two as long the one with the smaller digest where they
part. Work that many have built on is therefore never thrown away.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Link(NamedTuple):
    """A sum, without its numbers."""

    digest: str  # of its letter
    round: int  # which was summed
    after: str  # digest of the link before, or of the letter with the keys
    counted: Mapping[str, str]  # hospital -> digest of its letter
    sender: str  # who signed
    public: bytes  # the key that it is signed with
    size: int  # bytes of the letter


def longest(roots: Collection[str], links: Collection[Link]) -> list[str]:
    """Return the digests of a root and of the sums of rounds 0, 1, ... on it; empty without a root."""
    known = {link.digest: link for link in links}
    after: dict[str, tuple[int, str]] = {}  # of a digest: minus how many links follow, and the next one
    for link in sorted(links, key=lambda link: -link.round):
        before = known.get(link.after)
        if link.after in roots if link.round == 0 else before is not None and before.round == link.round - 1:
            length, _ = after.get(link.digest, (0, ""))
            after[link.after] = min(after.get(link.after, (0, "")), (length - 1, link.digest))
    chain = [min(roots, key=lambda root: (after.get(root, (0, ""))[0], root))] if roots else []
    while chain and chain[-1] in after:
        chain.append(after[chain[-1]][1])
    return chain
