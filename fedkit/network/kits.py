"""A kit is a folder of one machine: identity, key for TLS, consent, rows; and what the engine reads, made anew.

Every key is made where it stays. A machine hands out its *card*: name, both public keys, and a signature over them. The
server's kit also holds the study's certificate authority, sealed with the server's passphrase.
"""

import json
import os
import shutil
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedkit.encryption.identities import Identity, check_name, fingerprint, verify
from fedkit.exchange import Folder, Maker, Settings
from fedkit.network.consent import FILE, LEAVES, Consent

DAYS = 365  # for which certificates are good
_BITS = 2048  # of a key; the engine takes none but RSA
_PEM, _SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
_RIGHTS = ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "shell_commands", "byoc")


def make(kit: Path, name: str, passphrase: str) -> Identity:
    """Make the keys of a kit, once, and its card; raises what `Identity.save` does."""
    kit.mkdir(mode=0o700, parents=True, exist_ok=True)
    kit.chmod(0o700)  # it may have been there, with rows
    me = Identity.new(name)
    me.save(kit / "identity", passphrase)
    tls = _key(kit / "tls.key", serialization.NoEncryption()).public_key().public_bytes(_PEM, _SPKI).decode()
    card = {"name": name, "key": me.public.hex(), "tls": tls, "signed": me.sign(f"card {name} {tls}".encode()).hex()}
    (kit / "card.json").write_text(json.dumps(card, indent=1))
    return me


def provision(kit: Path, me: Identity, passphrase: str, plan: dict, cards: list[Path], out: Path) -> str:
    """Make the study and its certificates; return the fingerprint of the invitation.

    kit, me, passphrase : the server's
    plan : "settings" (`Settings.to_json`), "host", "port", and how many "days" certificates are good
    cards : files of all who take part, the server's included; ValueError if one was changed, or is there twice
    out : where a folder for each hospital is made, to be copied into its kit
    """
    people, settings, secret = {}, Settings.from_json(plan["settings"]), passphrase.encode()
    for name, key, tls in map(_card, cards):
        if name in people or key in dict(people.values()):
            raise ValueError(f"There are two cards of {name}, or of its key: ask again which is right.")
        people[name] = key, tls
    days, authority = plan.get("days", DAYS), _key(kit / "ca.key", serialization.BestAvailableEncryption(secret))
    root = _certificate("fedkit study", authority.public_key(), authority, days)
    agreed = Consent(
        invitation=Maker(Folder(kit / "study"), me).invite(settings),
        server={me.name: fingerprint(me.public)},
        hospitals={name: fingerprint(key) for name, (key, _) in people.items() if name != me.name},
        host=plan["host"],
        port=plan["port"],
        columns=[*settings.numeric, *settings.categorical],
        most_rounds=settings.rounds,
        fewest_hospitals=settings.quorum,
        leaves=[*LEAVES],
        largest_letter=1 << 20,
    )
    for name, (key, tls) in people.items():
        here, place = (plan["host"], kit) if name == me.name else (site(key), out / site(key))
        use = ExtendedKeyUsageOID.SERVER_AUTH if name == me.name else ExtendedKeyUsageOID.CLIENT_AUTH
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "tls.crt").write_bytes(_certificate(here, tls, authority, days, use))
        (place / "ca.crt").write_bytes(root)
        (place / FILE).write_text(json.dumps(agreed._asdict(), indent=1, ensure_ascii=False), encoding="utf-8")
    return agreed.invitation


def _card(path: Path) -> tuple[str, bytes, rsa.RSAPublicKey]:
    """Read a card: a name, and its two public keys; ValueError if it is none."""
    try:
        name, key, tls, signed = json.loads(path.read_text()).values()
        public, holder = bytes.fromhex(key), serialization.load_pem_public_key(tls.encode())
        whole = verify(public, bytes.fromhex(signed), f"card {check_name(name)} {tls}".encode())
        if whole and holder.key_size >= _BITS:
            return name, public, holder
    except (AttributeError, RecursionError, TypeError, ValueError):
        pass
    raise ValueError(f"{path} was changed on the way, or is no card, or has a weak key: ask for it again.")


def site(public: bytes) -> str:
    """Return what the engine calls a machine: the fingerprint of its key, since names hold spaces."""
    return f"h-{fingerprint(public).lower()}"


def workspace(kit: Path, agreed: Consent, name: str, serving: bool) -> Path:
    """Write what the engine reads, anew: it runs our component, and nothing for anybody's command; return where."""
    place, kind = kit / "engine", "server" if serving else "client"
    shutil.rmtree(place, ignore_errors=True)
    target = {"name": "fedkit", "service": {"target": f"{agreed.host}:{agreed.port}", "scheme": "http"}}
    secure = {"ssl_root_cert": "rootCA.pem", "ssl_cert": f"{kind}.crt", "ssl_private_key": f"{kind}.key"}
    secure |= {"connection_security": "mtls"}
    ours = {"id": "fedkit", "path": "fedkit.network.resident.Resident", "args": {}}
    resources = {"format_version": 2, "class_list_enforcement_mode": "enforce", "allow_log_streaming": False}
    resources |= {"class_allow_list": ["fedkit.network"], "components": [ours]}
    if serving:
        start = {"servers": [target | secure | {"admin_server": agreed.host, "admin_port": agreed.port}]}
        most = {"max_num_clients": 2 * len(agreed.hospitals), "heart_beat_timeout": 600, "admin_storage": "transfer"}
        resources |= {"servers": [most]}
    else:
        start = {"servers": [target | {"identity": agreed.host}], "client": secure | {"fqsn": name, "is_leaf": True}}
        resources |= {"client": {"retry_timeout": 30}}
    nobody = dict.fromkeys(("project_admin", "org_admin", "lead", "member"), dict.fromkeys(_RIGHTS, "none"))
    file = {"class": "logging.handlers.RotatingFileHandler", "filename": "../engine.log", "maxBytes": 1 << 20}
    log = {"version": 1, "disable_existing_loggers": False, "handlers": {"file": file | {"backupCount": 1}}}
    files = {
        f"startup/fed_{kind}.json": {"format_version": 2} | start,
        "local/resources.json": resources,
        "local/authorization.json": {"format_version": "1.0", "permissions": nobody},
        "local/log_config.json": log | {"root": {"level": "INFO", "handlers": ["file"]}},
    }
    for path, said in files.items():
        (place / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / path).write_text(json.dumps(said, indent=1))
    for ours, theirs in (("tls.key", f"{kind}.key"), ("tls.crt", f"{kind}.crt"), ("ca.crt", "rootCA.pem")):
        (place / "startup" / theirs).symlink_to(kit / ours)
    return place


def trust(kit: Path) -> None:
    """Have this process trust the study's authority alone: the engine compares no names, and trusts whom it may."""
    os.environ |= {"SSL_CERT_FILE": str(kit / "ca.crt"), "SSL_CERT_DIR": str(kit / "no such folder")}


def expired(kit: Path) -> str:
    """Say why the certificate of a kit is not good now; "" if it is."""
    said = x509.load_pem_x509_certificate((kit / "tls.crt").read_bytes())
    good, now = (said.not_valid_before_utc, said.not_valid_after_utc), time.time()
    if good[0].timestamp() <= now <= good[1].timestamp():
        return ""
    dates, clock = " to ".join(f"{each:%Y-%m-%d %H:%M}" for each in good), f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    return f"The certificate here is good from {dates} UTC, and this machine's clock says {clock}: look at both."


def probe(kit: Path, agreed: Consent, seconds: float = 2.0) -> str:
    """Say what is wrong with the way to the server; "" if nothing is."""
    where = f"The server at {agreed.host}:{agreed.port}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(kit / "ca.crt")
        context.load_cert_chain(kit / "tls.crt", kit / "tls.key")
        with socket.create_connection((agreed.host, agreed.port), seconds) as line, context.wrap_socket(line) as safe:
            safe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if not safe.recv(1):  # only now is it known whether our certificate was taken
                return f"{where} refuses the certificate of this kit: ask for another."
    except ssl.SSLCertVerificationError as problem:
        why = problem.verify_message
        return f"{where} shows a certificate that is not good ({why}): it is not this study's server."
    except ssl.SSLError as problem:
        return f"{where} refuses the certificate of this kit ({problem.reason or problem}): ask for another."
    except OSError as problem:
        return f"{where} cannot be reached ({problem}): is it up, and does a firewall stop you?"
    return ""


def _key(path: Path, seal: serialization.KeySerializationEncryption) -> rsa.RSAPrivateKey:
    """Make a private key, in a new file."""
    key = rsa.generate_private_key(65537, _BITS)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, seal))
    return key


def _certificate(name: str, public: rsa.RSAPublicKey, ca: rsa.RSAPrivateKey, days: float, use: object = None) -> bytes:
    """Sign a certificate: the authority's own, or for one use, so that no hospital can play the server."""
    ours = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fedkit")
    who, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one), ours]) for one in (name, "fedkit study"))
    since = datetime.now(UTC) - timedelta(minutes=5)
    usage = x509.KeyUsage(bool(use), *[False] * 4, not use, not use, False, False)  # the authority signs certificates
    made = x509.CertificateBuilder(by, who, public, x509.random_serial_number(), since, since + timedelta(days))
    made = made.add_extension(x509.BasicConstraints(ca=not use, path_length=None), critical=True)
    made = made.add_extension(usage, critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
    if use:
        made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(ca, hashes.SHA256()).public_bytes(_PEM)
