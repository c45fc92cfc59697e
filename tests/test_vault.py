import errno
import os
import unicodedata
from unittest.mock import Mock

import pytest
from tampering import flipped

from fedkit.encryption import vault

PASSPHRASE = "correct horse battery staple"
SECRET = b"thirty-two bytes of secret here."
# What version 1 wrote for SECRET and PASSPHRASE: it opens for ever.
KEPT = bytes.fromhex(
    "6665646b697456316964656e7469747900000000000000000e89e401f4814fadb38de6070ca59a95ea608bd1f6359d0e1430"
    "18bd1807e523b24a2fb1ef188c00a65ae05541fc32a3a0359986f5006ad0dd4a52cd8cfff2afa53e2bb7440312e4a821e591"
    "f0"
)
# Where each part of a file begins: mark, cost, salt, nonce, secret, tag.
PARTS = [0, 24, 25, 41, 53, 53 + len(SECRET)]

pytestmark = pytest.mark.usefixtures("cheap")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.key"


def write(path, data):
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_secret_comes_back_and_no_two_files_are_alike(tmp_path):
    old = os.umask(0)
    for name in "ab":
        vault.save(tmp_path / name, SECRET, PASSPHRASE)
    os.umask(old)
    assert vault.load(tmp_path / "a", PASSPHRASE) == SECRET
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    a, b = ((tmp_path / name).read_bytes() for name in "ab")
    assert a[:25] == b[:25]
    assert not any(a[start:end] == b[start:end] for start, end in zip(PARTS[2:], [*PARTS[3:], None], strict=True))
    assert SECRET[:4] not in a
    assert vault.load(write(tmp_path / "c", KEPT), PASSPHRASE) == SECRET, "so does a file of the first version"


def test_the_cost_is_the_one_owasp_names(monkeypatch, path):
    monkeypatch.undo()
    vault.save(path, b"", PASSPHRASE)
    assert path.read_bytes()[24] == 17
    assert vault.load(path, PASSPHRASE) == b""


def test_a_secret_is_never_overwritten(path, tmp_path):
    path.write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "nothing yet")
    for taken in (path, tmp_path / "link"):
        with pytest.raises(FileExistsError, match="never overwritten: choose another name"):
            vault.save(taken, SECRET, PASSPHRASE)
    assert path.read_text() == "old"
    assert not (tmp_path / "nothing yet").exists()


@pytest.mark.parametrize("passphrase", ["", "elevenchars", " " * 20, "  short      "])
def test_a_short_passphrase_is_refused(path, passphrase):
    with pytest.raises(ValueError, match="at least 12 characters: take four words"):
        vault.save(path, SECRET, passphrase)
    assert not path.exists()


def test_a_disk_that_is_full_leaves_no_half_secret(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        vault.save(path, SECRET, PASSPHRASE)
    assert not path.exists()


def test_another_keyboard_types_the_same_passphrase(path):
    composed = unicodedata.normalize("NFC", "grüne Äpfel überall")
    vault.save(path, SECRET, composed)
    assert vault.load(path, unicodedata.normalize("NFD", composed)) == SECRET


@pytest.mark.parametrize(
    ("data", "passphrase", "sentence"),
    [
        *[(flipped(KEPT, at), PASSPHRASE, "version" if at < 24 else "does not open") for at in (0, 8, *PARTS)],
        *[(KEPT[:length], PASSPHRASE, "damaged") for length in (0, 7, 52)],
        *[(data, PASSPHRASE, "does not open") for data in (KEPT[:53], KEPT[:69], KEPT[:-1], KEPT + b"\0")],
        *[(KEPT, said, "the passphrase is wrong") for said in ("", PASSPHRASE + " ", PASSPHRASE.upper())],
    ],
)
def test_what_does_not_open_says_why(path, data, passphrase, sentence):
    with pytest.raises(ValueError, match=rf"some\.key .*{sentence}"):
        vault.load(write(path, data), passphrase)


@pytest.mark.parametrize("cost", [0, 13, 21, 255])
def test_an_absurd_cost_is_not_paid(path, monkeypatch, cost):
    monkeypatch.setattr(vault, "Scrypt", None)  # so that paying it would fail otherwise
    with pytest.raises(ValueError, match=rf"asks for Scrypt at 2\^{cost}"):
        vault.load(write(path, KEPT[:24] + bytes([cost]) + KEPT[25:]), PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_open_is_refused(path, mode):
    write(path, KEPT).chmod(mode)
    with pytest.raises(ValueError, match=rf"mode {mode:03o}.*chmod 600"):
        vault.load(path, PASSPHRASE)
