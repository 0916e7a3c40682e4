"""Content Credentials (C2PA): a signed statement in a file of how its sound was made, and whether it is still that file.

Needs the extra `woosh-sfx[provenance]`. WAV, FLAC and MP3 files take credentials. Nothing is fetched: statements that lie
elsewhere, lists of revoked certificates and time stamps are not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from woosh import __version__
from woosh.command_line import missing_extra
from woosh.whole_files import replacing

TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg"}
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
SELF_MADE = "Self-made certificate of Woosh, which nobody vouches for"
DAYS = 3_650  # that a self-made certificate lasts
UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Credentials:
    """What files are signed with, in PEM.

    Attributes:
        chain: the certificate and those above it.
        key: the private key, without a password.
    """

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Statement:
    """What a file's credentials say.

    Attributes:
        intact: whether signature and file are as they were signed.
        signer: the name in the certificate.
        vouched: whether the certificate is of a list of trusted ones; no such list comes with Woosh.
        generated: whether the sound is said to be made by a trained model.
        problems: codes of C2PA for what is wrong.
    """

    intact: bool
    signer: str
    vouched: bool
    generated: bool
    problems: tuple[str, ...]


def check_signable(file_format: str) -> None:
    """Check that files of a format take credentials, and that the extra is installed.

    Raises:
        ValueError: they do not.
        ImportError: it is not.
    """
    if f".{file_format}" not in TYPES:
        known = ", ".join(kind.removeprefix(".") for kind in TYPES)
        raise ValueError(f"{file_format} files take no Content Credentials: take {known}")
    _library()


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise missing_extra("Content Credentials need c2pa", "provenance") from error
    return c2pa


def read_credentials(certificate: Path, key: Path) -> Credentials:
    """Read a chain of certificates and a key.

    Raises:
        ValueError: a file is no PEM of that kind, or the key needs a password or is not the certificate's.
        FileNotFoundError: a file is missing.
        OSError: a file cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    from woosh.outside_files import read_text

    chain, secret = (read_text(path).encode() for path in (certificate, key))
    try:
        first = load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise ValueError(f"{certificate} holds no certificates in PEM") from error
    try:
        private = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key} holds no private key in PEM without a password") from error
    if first.public_key() != private.public_key():
        raise ValueError(f"{key} is not the key of the first certificate in {certificate}")
    return Credentials(chain, secret)


def self_made_credentials(folder: Path) -> Credentials:
    """The certificate and key that lie in a folder, made there first if there are none. Nobody vouches for them.

    Raises:
        ValueError: what lies there is damaged.
        OSError: they cannot be written there.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not (certificate.is_file() and key.is_file()):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = make_credentials()
        with replacing(key) as part:
            part.touch(mode=0o600)
            part.write_bytes(made.key)
        with replacing(certificate) as part:
            part.write_bytes(made.chain)
    return read_credentials(certificate, key)


def make_credentials() -> Credentials:
    """A new certificate under an authority of its own, as C2PA wants certificates, and the certificate's key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("authority", authority_key.public_key(), authority_key)
    leaf = _certificate("signer", key.public_key(), authority_key)
    form = serialization.Encoding.PEM
    secret = key.private_bytes(
        form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credentials(leaf.public_bytes(form) + authority.public_bytes(form), secret)


def _certificate(role: str, public_key: Any, authority_key: Any) -> Any:
    """A certificate for a key, signed by the authority's; its profile is that of C2PA 2.2, section 14.5."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(text: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, SELF_MADE)
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])

    is_authority, now = role == "authority", datetime.now(UTC)
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    uses += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    wanted = {"key_cert_sign", "crl_sign"} if is_authority else {"digital_signature"}
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(role))
        .issuer_name(named("authority"))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.KeyUsage(**{use: use in wanted for use in uses}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if not is_authority:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(issuer, critical=False)
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _algorithm(credentials: Credentials) -> str:
    """What C2PA calls the signature of a key.

    Raises:
        ValueError: C2PA knows none.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(credentials.key, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        known = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if key.curve.name in known:
            return known[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise ValueError("the key is of a kind that C2PA does not sign with: take one of NIST's curves")


def sign(path: Path, record: Mapping[str, str | int | float], credentials: Credentials) -> None:
    """Put a signed statement into a file: that a trained model made its sound, and which. The samples stay as they are.

    Args:
        path: of a WAV, FLAC or MP3 file.
        record: of its sound.
        credentials: to sign with.

    Raises:
        ValueError: a file of another format, or one that cannot be signed.
        ImportError: the extra is not installed.
        OSError: the file cannot be written.
    """
    check_signable(path.suffix.lower().removeprefix("."))
    c2pa = _library()
    kind = TYPES[path.suffix.lower()]
    made: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": GENERATED}
    if "model" in record:
        made["softwareAgent"] = {"name": str(record["model"])}
    manifest = {
        "claim_generator_info": [{"name": "woosh", "version": __version__}],
        "title": path.name,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
    }
    info = c2pa.C2paSignerInfo(
        alg=_algorithm(credentials).encode(),
        sign_cert=credentials.chain,
        private_key=credentials.key,
        ta_url=None,
    )
    try:
        with (
            replacing(path) as part,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(manifest) as builder,
            path.open("rb") as source,
            part.open("w+b") as target,
        ):
            builder.sign(signer, kind, source, target)
    except c2pa.C2paError as error:
        raise ValueError(f"cannot sign {path}: {error}") from error


def read_statement(path: Path) -> Statement | None:
    """What a file's credentials say; None if it has none, or is of a format that takes none.

    Raises:
        ValueError: they cannot be read.
        ImportError: the extra is not installed.
        OSError: the file cannot be read.
    """
    kind = TYPES.get(path.suffix.lower())
    if kind is None:
        return None
    c2pa = _library()
    try:
        with path.open("rb") as file, c2pa.Context.from_dict(OFFLINE) as context:
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return None
            with reader:
                found, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        raise ValueError(f"cannot read the Content Credentials of {path}: {error}") from error
    active = found.get("manifests", {}).get(found.get("active_manifest"), {})
    problems = tuple(
        str(status.get("code"))
        for status in found.get("validation_status") or ()
        if status.get("code") != UNTRUSTED
    )
    return Statement(
        intact=state in ("Valid", "Trusted"),
        signer=str(active.get("signature_info", {}).get("issuer", "unknown")),
        vouched=state == "Trusted",
        generated=GENERATED in json.dumps(active.get("assertions", [])),
        problems=problems,
    )
