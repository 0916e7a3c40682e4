"""Content Credentials: signed, read again, and broken by any change; the sound stays as it is."""

import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sounds import sine
from woosh import audio, cli
from woosh.audio import metadata
from woosh.audio.coded import coded_checksum
from woosh.studio import provenance

RECORD = {"prompt": "a door", "model": "woosh-tiny", "seed": 1, "version": "0.8.0"}


@pytest.fixture(scope="module")
def credentials() -> provenance.Credentials:
    return provenance.make_credentials()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_signed_files_tell_by_whom_and_whether_they_were_changed(
    tmp_path: Path, credentials: provenance.Credentials, name: str
) -> None:
    path = tmp_path / name
    audio.write_audio(path, sine(), 48_000, RECORD, marks=audio.Marks((10, 20_000)))
    samples = audio.read_audio(path)
    assert provenance.read_statement(path) is None
    provenance.sign(path, RECORD, credentials)
    statement = provenance.read_statement(path)
    assert statement is not None
    assert statement.intact
    assert statement.generated
    assert not statement.vouched
    assert statement.signer == provenance.SELF_MADE
    assert statement.problems == ()
    assert np.array_equal(audio.read_audio(path), samples)
    assert audio.read_metadata(path) == RECORD
    with path.open("rb") as file:
        assert coded_checksum(file) == metadata.read_checksum(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    changed = provenance.read_statement(path)
    assert changed is not None
    assert not changed.intact
    assert changed.problems


def test_formats_without_credentials_are_refused(
    tmp_path: Path, credentials: provenance.Credentials
) -> None:
    audio.write_audio(tmp_path / "a.ogg", sine())
    with pytest.raises(ValueError, match="ogg files take no Content Credentials: take wav, flac"):
        provenance.sign(tmp_path / "a.ogg", RECORD, credentials)
    assert provenance.read_statement(tmp_path / "a.ogg") is None
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"Content Credentials of .*b.wav"):
        provenance.read_statement(tmp_path / "b.wav")
    with pytest.raises(ValueError, match=r"cannot sign .*b.wav"):
        provenance.sign(tmp_path / "b.wav", RECORD, credentials)
    assert (tmp_path / "b.wav").read_bytes() == b"RIFF"


def test_a_self_made_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "credentials"
    first = provenance.self_made_credentials(folder)
    assert provenance.self_made_credentials(folder) == first
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600


def test_wrong_certificates_and_keys_are_refused_by_name(tmp_path: Path) -> None:
    provenance.self_made_credentials(tmp_path)
    chain, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    (tmp_path / "text.pem").write_text("text")
    stranger = ec.generate_private_key(ec.SECP256R1())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = stranger.private_bytes(*form, serialization.BestAvailableEncryption(b"x"))
    (tmp_path / "locked.pem").write_bytes(locked)
    plain = stranger.private_bytes(*form, serialization.NoEncryption())
    (tmp_path / "stranger.pem").write_bytes(plain)
    for certificate, secret, message in (
        (tmp_path / "text.pem", key, "text.pem holds no certificates"),
        (chain, tmp_path / "text.pem", "text.pem holds no private key"),
        (chain, tmp_path / "locked.pem", "locked.pem holds no private key in PEM without"),
        (chain, tmp_path / "stranger.pem", "stranger.pem is not the key of the first"),
    ):
        with pytest.raises(ValueError, match=message):
            provenance.read_credentials(certificate, secret)
    with pytest.raises(FileNotFoundError, match="gone.pem"):
        provenance.read_credentials(tmp_path / "gone.pem", key)


def test_without_the_extra_its_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All else that a file says of itself is still read."""
    path = tmp_path / "a.wav"
    audio.write_audio(path, sine(), 48_000, RECORD)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert cli.main(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "samples  unchanged" in out
    assert "credentials  Content Credentials need c2pa: pip install" in out
    with pytest.raises(ImportError, match="woosh-sfx"):
        provenance.check_signable("wav")
