"""A kit is a folder of one machine: identity, key for TLS, consent, rows; and what the engine reads, made anew.

Every key is made where it stays. A machine hands out its *card*: name, both public keys, and a signature over them. The
server's kit also holds the key of the study's certificate authority, which the server's identity seals.
"""

import json
import os
import shutil
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedkit.encryption.identities import Identity, check_name, fingerprint, skeleton, verify
from fedkit.exchange import Folder, Maker, Settings
from fedkit.network.consent import FILE, Consent
from fedkit.network.post import site

ENGINE = Path(__file__).with_name("engine.json")  # all that the engine is told: it does nothing for anybody's command
DAYS, MOST_DAYS = 365, 3650  # for which certificates are good
_BITS = 2048  # of a key; the engine takes none but RSA
_PEM, _SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo


def make(kit: Path, name: str, passphrase: str) -> Identity:
    """Make the keys of a kit, once, and its card; raises what `Identity.save` does."""
    kit.mkdir(mode=0o700, parents=True, exist_ok=True)
    kit.chmod(0o700)  # it may have been there, with rows
    me = Identity.new(name)
    me.save(kit / "identity", passphrase)
    tls = _key(kit / "tls.key").public_key().public_bytes(_PEM, _SPKI).decode()
    signed = me.sign(json.dumps([name, tls]).encode()).hex()
    (kit / "card.json").write_text(json.dumps({"name": name, "key": me.public.hex(), "tls": tls, "signed": signed}))
    return me


def provision(kit: Path, me: Identity, plan: dict, cards: list[Path], out: Path) -> str:
    """Make the study and its certificates, the latter anew if it is called again; return the invitation's fingerprint.

    kit, me, cards : the server's; files of all who take part, the server's included
    plan : "settings" (`Settings.to_json`; the budget becomes 0), "host", "port", and the "days" of certificates
    out : where a folder for each hospital is made, to be copied into its kit

    ValueError, before a key is made, if the plan is none, or cards were changed, look alike, or are too few or many.
    """
    needed, people = {"settings", "host", "port"}, {}
    if type(plan) is not dict or not needed <= plan.keys() <= needed | {"days"}:
        raise ValueError('A plan has "settings", "host" and "port", may have "days", and nothing else.')
    settings, days = replace(Settings.from_json(plan["settings"]), budget=0), plan.get("days", DAYS)
    if type(days) not in (int, float) or not 0 < days <= MOST_DAYS:
        raise ValueError(f"Certificates are good for {days!r:.20} days in the plan, and {MOST_DAYS} are the most.")
    for name, key, tls in map(_card, cards):
        if key in dict(people.values()) or skeleton(name) in map(skeleton, people):
            raise ValueError(f"There are two cards of {name}, of a name that looks like it, or of its key: ask again.")
        people[name] = key, tls
    hospitals = {name: fingerprint(key) for name, (key, _) in people.items() if name != me.name}
    least, most = settings.quorum, settings.most_hospitals
    if not least <= len(hospitals) <= most:
        raise ValueError(f"There are cards of {len(hospitals)} hospitals, and the study is for {least} to {most}.")
    who = {"server": {me.name: fingerprint(me.public)}, "hospitals": hospitals}
    offered = Consent.to_all(settings, invitation="", **who, host=plan["host"], port=plan["port"])
    authority = _key(kit / "ca.key", me)
    root = _certificate("fedkit study", authority.public_key(), authority, days)
    agreed = offered._replace(invitation=Maker(Folder(kit / "study"), me).invite(settings))
    for name, (_, tls) in people.items():
        here, place = (site(hospitals[name]), out / site(hospitals[name])) if name in hospitals else (agreed.host, kit)
        use = ExtendedKeyUsageOID.CLIENT_AUTH if name in hospitals else ExtendedKeyUsageOID.SERVER_AUTH
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "tls.crt").write_bytes(_certificate(here, tls, authority, days, use))
        (place / "ca.crt").write_bytes(root)
        (place / FILE).write_text(json.dumps(agreed._asdict(), indent=1, ensure_ascii=False), encoding="utf-8")
    return agreed.invitation


def _card(path: Path) -> tuple[str, bytes, rsa.RSAPublicKey]:
    """Read a card: a name, and its two public keys; ValueError if it is none."""
    try:
        name, key, tls, signed = json.loads(path.read_text()).values()
        public, said = bytes.fromhex(key), json.dumps([check_name(name), tls]).encode()
        holder = verify(public, bytes.fromhex(signed), said) and serialization.load_pem_public_key(tls.encode())
        if isinstance(holder, rsa.RSAPublicKey) and holder.key_size == _BITS:
            return name, public, holder
    except (AttributeError, RecursionError, TypeError, UnsupportedAlgorithm, ValueError):
        pass
    raise ValueError(f"{path} was changed on the way, or is no card, or has a key of another kind: ask for it again.")


def workspace(kit: Path, agreed: Consent, name: str, serving: bool) -> Path:
    """Write what the engine reads, anew, from `ENGINE`; return where."""
    place, kind = kit / "engine", "server" if serving else "client"
    shutil.rmtree(place, ignore_errors=True)
    filled = {"host": agreed.host, "port": agreed.port, "site": name, "clients": 2 * len(agreed.hospitals)}
    told = json.loads(Template(ENGINE.read_text()).substitute(filled))
    for path in told["both"] | told[kind]:
        (place / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / path).write_text(json.dumps(told["both"].get(path, {}) | told[kind].get(path, {}), indent=1))
    for ours, theirs in (("tls.key", f"{kind}.key"), ("tls.crt", f"{kind}.crt"), ("ca.crt", "rootCA.pem")):
        (place / "startup" / theirs).symlink_to(kit / ours)
    return place


def trust(kit: Path) -> None:
    """Have this process trust the study's authority alone: the engine compares no names, and trusts whom it may."""
    os.environ |= {"SSL_CERT_FILE": str(kit / "ca.crt"), "SSL_CERT_DIR": str(kit / "no such folder")}


def probe(kit: Path, agreed: Consent) -> str:
    """Say what is wrong with the way to the server; "" if nothing is."""
    where, why = f"The server at {agreed.host}:{agreed.port}", "it hung up"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(kit / "ca.crt")
        context.load_cert_chain(kit / "tls.crt", kit / "tls.key")
        with socket.create_connection((agreed.host, agreed.port), 2.0) as line, context.wrap_socket(line) as safe:
            safe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if safe.recv(1):  # only now is it known whether our certificate was taken
                return ""
    except ssl.SSLCertVerificationError as problem:
        why = f"{problem.verify_message}; this machine's clock says {datetime.now():%Y-%m-%d %H:%M}"
        return f"{where} shows a certificate that is not good ({why}): it is not this study's server."
    except (ssl.SSLError, BrokenPipeError, ConnectionResetError) as problem:
        why = problem.strerror
    except OSError as problem:
        return f"{where} cannot be reached ({problem}): is it up, and does a firewall stop you?"
    until = f"{x509.load_pem_x509_certificate((kit / 'tls.crt').read_bytes()).not_valid_after_utc:%Y-%m-%d %H:%M}"
    return f"{where} refuses the certificate of this kit, good until {until} UTC ({why}): ask for another."


def _key(path: Path, sealed_by: Identity | None = None) -> rsa.RSAPrivateKey:
    """Make a private key in a new file, or read the sealed one: a passphrase of its own would be guessed faster."""
    if sealed_by and path.exists():
        return serialization.load_pem_private_key(sealed_by.unlocked(path.read_bytes(), path.name), None)
    key = rsa.generate_private_key(65537, _BITS)
    data = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(sealed_by.locked(data, path.name) if sealed_by else data)
    return key


def _certificate(name: str, public: rsa.RSAPublicKey, ca: rsa.RSAPrivateKey, days: float, use: object = None) -> bytes:
    """Sign a certificate: the authority's own, or for one use, so that no hospital can play the server."""
    who, by = (x509.Name.from_rfc4514_string(f"O=fedkit,CN={one}") for one in (name, "fedkit study"))
    since = datetime.now(UTC) - timedelta(minutes=5)
    usage = x509.KeyUsage(bool(use), *[False] * 4, not use, not use, False, False)  # the authority signs certificates
    made = (
        x509.CertificateBuilder(by, who, public, x509.random_serial_number(), since, since + timedelta(days))
        .add_extension(x509.BasicConstraints(ca=not use, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
    )
    if use:
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(ca, hashes.SHA256()).public_bytes(_PEM)
