import errno
import os
import unicodedata
from unittest.mock import Mock

import pytest
from tampering import flipped

from fedkit.encryption import vault

PASSPHRASE = "correct horse battery staple"
SECRET = b"thirty-two bytes of secret here."
# What version 1 wrote for "identity", SECRET and PASSPHRASE: it opens for ever.
KEPT = bytes.fromhex(
    "6665646b697456316964656e7469747900000000000000000e89e401f4814fadb38de6070ca59a95ea608bd1f6359d0e1430"
    "18bd1807e523b24a2fb1ef188c00a65ae05541fc32a3a0359986f5006ad0dd4a52cd8cfff2afa53e2bb7440312e4a821e591"
    "f0"
)
# Where each part of a file begins: mark, kind, cost, salt, nonce, secret, tag.
PARTS = [0, 8, 24, 25, 41, 53, 53 + len(SECRET)]


pytestmark = pytest.mark.usefixtures("cheap")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.key"


def save(path, secret=SECRET, passphrase=PASSPHRASE, kind="identity"):
    vault.save(path, kind, secret, passphrase)


def load(path, passphrase=PASSPHRASE, kind="identity"):
    return vault.load(path, kind, passphrase)


def write(path, data):
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_secret_comes_back(path):
    old = os.umask(0)
    save(path)
    os.umask(old)
    assert load(path) == SECRET
    assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET[:4] not in path.read_bytes()
    assert load(write(path, KEPT)) == SECRET, "so does a file of the first version"


def test_the_cost_is_the_one_owasp_names(monkeypatch, path):
    monkeypatch.undo()
    save(path, b"")
    assert path.read_bytes()[24] == 17
    assert load(path) == b""


def test_no_two_files_are_alike(tmp_path):
    for name in "ab":
        save(tmp_path / name)
    a, b = ((tmp_path / name).read_bytes() for name in "ab")
    assert a[:25] == b[:25]
    assert not any(a[start:end] == b[start:end] for start, end in zip(PARTS[3:], [*PARTS[4:], None], strict=True))


def test_a_secret_is_never_overwritten(path, tmp_path):
    path.write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "nothing yet")
    for taken in (path, tmp_path / "link"):
        with pytest.raises(FileExistsError, match="never overwritten: choose another name"):
            save(taken)
    assert path.read_text() == "old"
    assert not (tmp_path / "nothing yet").exists()


def test_what_cannot_be_saved_is_refused(path):
    for passphrase in ("", "elevenchars", " " * 20, "  short      "):
        with pytest.raises(ValueError, match="at least 12 characters: take four words"):
            save(path, passphrase=passphrase)
    for kind in ("", "a kind of 17 char", "clé", "two\nlines"):
        with pytest.raises(ValueError, match="1 to 16 ASCII characters"):
            save(path, kind=kind)
    assert not path.exists()


def test_a_disk_that_is_full_leaves_no_half_secret(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        save(path)
    assert not path.exists()


def test_another_keyboard_types_the_same_passphrase(path):
    composed = unicodedata.normalize("NFC", "grüne Äpfel überall")
    save(path, passphrase=composed)
    assert load(path, unicodedata.normalize("NFD", composed)) == SECRET


SPOILED = [flipped(KEPT, at) for at in PARTS] + [KEPT[:length] for length in (53, 69, len(KEPT) - 1)] + [KEPT + b"\0"]


@pytest.mark.parametrize(
    ("data", "sentence", "how"),
    [
        *zip(SPOILED, ["version", "holds", *["does not open"] * 9], [{}] * 11, strict=True),
        *[(KEPT[:length], "damaged", {}) for length in (0, 7, 52)],
        *[
            (KEPT, "the passphrase is wrong", {"passphrase": said})
            for said in ("", PASSPHRASE + " ", PASSPHRASE.upper())
        ],
        (KEPT, "holds 'identity', and 'hospital keys' is wanted", {"kind": "hospital keys"}),
    ],
)
def test_what_does_not_open_says_why(path, data, sentence, how):
    with pytest.raises(ValueError, match=rf"some\.key .*{sentence}"):
        load(write(path, data), **how)


@pytest.mark.parametrize("cost", [0, 13, 21, 255])
def test_an_absurd_cost_is_not_paid(path, monkeypatch, cost):
    monkeypatch.setattr(vault, "Scrypt", None)  # so that paying it would fail otherwise
    with pytest.raises(ValueError, match=rf"asks for Scrypt at 2\^{cost}"):
        load(write(path, KEPT[:24] + bytes([cost]) + KEPT[25:]))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_open_is_refused(path, mode):
    write(path, KEPT).chmod(mode)
    with pytest.raises(ValueError, match=rf"mode {mode:03o}.*chmod 600"):
        load(path)
