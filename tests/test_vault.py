import errno
import os
import unicodedata

import pytest

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


def write(path, data):
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_secret_comes_back(path):
    old = os.umask(0)
    try:
        vault.save(path, "identity", SECRET, PASSPHRASE)
    finally:
        os.umask(old)
    assert vault.load(path, "identity", PASSPHRASE) == SECRET
    assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET[:4] not in path.read_bytes()
    assert vault.load(write(path, KEPT), "identity", PASSPHRASE) == SECRET, "so does a file of the first version"


def test_the_cost_is_the_one_owasp_names(monkeypatch, path):
    monkeypatch.undo()
    vault.save(path, "identity", b"", PASSPHRASE)
    assert path.read_bytes()[24] == 17
    assert vault.load(path, "identity", PASSPHRASE) == b""


def test_no_two_files_are_alike(tmp_path):
    for name in "ab":
        vault.save(tmp_path / name, "identity", SECRET, PASSPHRASE)
    a, b = ((tmp_path / name).read_bytes() for name in "ab")
    assert a[:25] == b[:25]
    assert not any(a[start:end] == b[start:end] for start, end in zip(PARTS[3:], [*PARTS[4:], None], strict=True))


def test_a_secret_is_never_overwritten(path, tmp_path):
    path.write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "nothing yet")
    for taken in (path, tmp_path / "link"):
        with pytest.raises(FileExistsError, match="never overwritten: choose another name"):
            vault.save(taken, "identity", SECRET, PASSPHRASE)
    assert path.read_text() == "old"
    assert not (tmp_path / "nothing yet").exists()


@pytest.mark.parametrize("passphrase", ["", "elevenchars", " " * 20, "  short      "])
def test_a_short_passphrase_is_refused(path, passphrase):
    with pytest.raises(ValueError, match="at least 12 characters: take four words"):
        vault.save(path, "identity", SECRET, passphrase)
    for kind in ("", "a kind of 17 char", "clé", "two\nlines"):
        with pytest.raises(ValueError, match="1 to 16 ASCII characters"):
            vault.save(path, kind, SECRET, PASSPHRASE)
    assert not path.exists()


def test_a_disk_that_is_full_leaves_no_half_secret(path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        vault.save(path, "identity", SECRET, PASSPHRASE)
    assert not path.exists()


def test_another_keyboard_types_the_same_passphrase(path):
    composed = unicodedata.normalize("NFC", "grüne Äpfel überall")
    vault.save(path, "identity", SECRET, composed)
    assert vault.load(path, "identity", unicodedata.normalize("NFD", composed)) == SECRET


def flipped(at):
    changed = bytearray(KEPT)
    changed[at] ^= 0x80
    return bytes(changed)


@pytest.mark.parametrize(
    ("data", "sentence", "how"),
    [
        *[(flipped(at), said, {}) for at, said in zip(PARTS, ["version", "holds", "Scrypt", *[""] * 4], strict=True)],
        *[(KEPT[:length], "damaged", {}) for length in (0, 7, 52)],
        *[(KEPT[:length], "", {}) for length in (53, 60, 69, len(KEPT) - 1)],
        (KEPT + b"\0", "", {}),
        (KEPT[:24] + b"\x0f" + KEPT[25:], "", {}),  # another cost, which is allowed
        *[
            (KEPT, "the passphrase is wrong", {"passphrase": said})
            for said in ("", PASSPHRASE + " ", PASSPHRASE.upper())
        ],
        (KEPT, "holds 'identity', and 'hospital keys' is wanted", {"kind": "hospital keys"}),
    ],
)
def test_what_does_not_open_says_why(path, data, sentence, how):
    with pytest.raises(ValueError, match=rf"some\.key .*{sentence or 'does not open'}"):
        vault.load(write(path, data), **{"kind": "identity", "passphrase": PASSPHRASE} | how)


@pytest.mark.parametrize("cost", [0, 13, 21, 255])
def test_an_absurd_cost_is_not_paid(path, monkeypatch, cost):
    monkeypatch.setattr(vault, "Scrypt", None)  # so that paying it would fail otherwise
    with pytest.raises(ValueError, match=rf"asks for Scrypt at 2\^{cost}"):
        vault.load(write(path, KEPT[:24] + bytes([cost]) + KEPT[25:]), "identity", PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_open_is_refused(path, mode):
    write(path, KEPT).chmod(mode)
    with pytest.raises(ValueError, match=rf"mode {mode:03o}.*chmod 600"):
        vault.load(path, "identity", PASSPHRASE)
