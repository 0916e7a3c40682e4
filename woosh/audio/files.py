"""Audio files and levels: reading, writing with metadata, resampling, loudness, file names.

Arrays here are NumPy float32 of shape (C, S): channels, samples; full scale is [-1, 1]. Nothing in
this file needs torch.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

SUBTYPES = {"wav": "PCM_24", "flac": "PCM_24", "ogg": "VORBIS"}

# libsndfile reads a WAV text chunk into 2,048 bytes and drops a longer one without a word.
METADATA_BYTES = 2000

# Vorbis may overshoot the samples it was given by several percent.
CEILINGS = {"wav": 1.0, "flac": 1.0, "ogg": 0.8}

BLOCK_SECONDS = 0.4  # of the loudness meter, ITU-R BS.1770
WRITE_FRAMES = 65_536  # libsndfile's Vorbis encoder overflows its stack on very long writes

RESERVED_STEMS = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}


class Levelled(NamedTuple):
    """Audio after loudness normalisation."""

    audio: np.ndarray  # (C, S) float32
    loudness: float  # LUFS reached; -inf for silence
    reached: bool  # whether that is the target, within 0.1 LU


def resample(audio: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate of (C, S) audio with soxr at high quality, to (C, S') float32."""
    if from_rate == to_rate:
        return audio.astype(np.float32, copy=False)
    import soxr

    frames = np.ascontiguousarray(audio.T, dtype=np.float32)
    return np.ascontiguousarray(soxr.resample(frames, from_rate, to_rate).T)


def read_audio(
    path: str | Path,
    sample_rate: int = 48_000,
    mono: bool = True,
    longest_seconds: float | None = None,
) -> np.ndarray:
    """Read any file that libsndfile knows, resampled, as (C, S) float32.

    Args:
        path: the file.
        sample_rate: rate of the result in Hz.
        mono: average the channels into one.
        longest_seconds: of the file that are read, from its beginning; None reads it all.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio, is shorter than its header says, holds no samples, or
            holds values that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    try:
        with soundfile.SoundFile(path) as file:
            promised, rate = file.frames, file.samplerate
            if longest_seconds is not None:
                promised = min(promised, math.ceil(longest_seconds * rate))
            frames = file.read(promised, dtype="float32", always_2d=True)  # (S, C)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot read {path} as audio: {error.error_string}") from error
    if len(frames) < promised:
        raise ValueError(f"{path} is truncated: {len(frames)} of {promised} frames are there")
    if frames.size == 0:
        raise ValueError(f"{path} holds no samples")
    if not np.isfinite(frames).all():
        raise ValueError(f"{path} holds values that are not finite (NaN or infinity)")
    audio = frames.mean(axis=1, keepdims=True).T if mono else frames.T
    return resample(audio, rate, sample_rate)


def encode_metadata(metadata: Mapping[str, str | int | float]) -> str:
    """Write metadata as the JSON text that a file's comment tag carries.

    Raises:
        ValueError: the text is longer than a WAV file's tag can be read back (2,000 bytes).
    """
    text = json.dumps(dict(metadata), ensure_ascii=False)
    size = len(text.encode("utf-8", errors="replace"))
    if size > METADATA_BYTES:
        raise ValueError(
            f"the prompt and the other metadata take {size} bytes and an audio file's tag holds "
            f"{METADATA_BYTES}: use a shorter prompt"
        )
    return text


def write_audio(
    path: str | Path,
    audio: np.ndarray,
    sample_rate: int = 48_000,
    metadata: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write (C, S) audio as 24-bit WAV or FLAC or as Ogg Vorbis, chosen by the file's extension.

    The file appears under its name only once it is complete. The metadata is stored as JSON in the
    `comment` tag, its `prompt` also as the `title`: see `read_metadata`.

    Raises:
        ValueError: unknown extension; audio of another shape, empty, not finite or past [-1, 1]
            (it would be clipped: see `peak_guard`); metadata too long.
        OSError: the file cannot be written there.
    """
    path = Path(path)
    file_format = format_of(path)
    _check_writable_audio(audio)
    comment = encode_metadata(metadata or {})
    if path.exists() and not path.is_file():
        raise OSError(f"{path} exists and is not a file")
    # A random sibling: Path.replace is atomic only within one file system.
    part = path.with_name(f".woosh-{secrets.token_hex(6)}.part")
    try:
        _write_part(part, file_format, audio, sample_rate, comment, metadata or {})
        part.replace(path)
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot write {path}: {error.error_string}") from error
    finally:
        part.unlink(missing_ok=True)


def _check_writable_audio(audio: np.ndarray) -> None:
    if audio.ndim != 2 or audio.size == 0:
        raise ValueError(f"audio must be (channels, samples) and not empty, got {audio.shape}")
    if not np.isfinite(audio).all():
        raise ValueError("audio holds values that are not finite (NaN or infinity)")
    peak = float(np.abs(audio).max())
    if peak > 1:
        raise ValueError(f"audio peaks at {peak:.3f} and would be clipped: scale it to 1 first")


def _write_part(
    part: Path,
    file_format: str,
    audio: np.ndarray,
    sample_rate: int,
    comment: str,
    metadata: Mapping[str, str | int | float],
) -> None:
    with soundfile.SoundFile(
        part,
        "w",
        samplerate=sample_rate,
        channels=len(audio),
        subtype=SUBTYPES[file_format],
        format=file_format.upper(),
    ) as file:
        # Before the samples: Ogg and FLAC store their tags in front of them.
        file.comment = comment
        if metadata.get("prompt"):  # libsndfile refuses an empty title
            file.title = str(metadata["prompt"])[:200]
        if "version" in metadata:
            file.software = f"woosh {metadata['version']}"
        frames = audio.T
        for start in range(0, len(frames), WRITE_FRAMES):
            file.write(frames[start : start + WRITE_FRAMES])


def read_metadata(path: str | Path) -> dict[str, str | int | float]:
    """Return the metadata that `write_audio` stored in a file.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio or carries no such metadata.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    try:
        with soundfile.SoundFile(path) as file:
            comment = file.comment
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot read {path} as audio: {error.error_string}") from error
    try:
        metadata = json.loads(comment)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} carries no metadata of a generated sound") from error
    if not isinstance(metadata, dict):
        raise ValueError(f"{path} carries no metadata of a generated sound")
    return metadata


def format_of(path: Path) -> str:
    """Return the format that a file's extension names: wav, flac or ogg.

    Raises:
        ValueError: another extension or none.
    """
    extension = path.suffix.lower().removeprefix(".")
    if extension not in SUBTYPES:
        known = ", ".join(f".{name}" for name in SUBTYPES)
        raise ValueError(f"cannot write {path.name!r}: its extension must be one of {known}")
    return extension


def peak_guard(audio: np.ndarray, ceiling: float = 1.0) -> np.ndarray:
    """Scale audio down so that max |x| is at most `ceiling`; quieter audio is returned as it is."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak <= ceiling else audio * np.float32(ceiling / peak * (1 - 1e-7))


def loudness(audio: np.ndarray, sample_rate: int = 48_000) -> float:
    """Integrated loudness of (C, S) audio in LUFS (ITU-R BS.1770, by pyloudnorm), -inf if silent.

    The standard measures blocks of 400 ms, so a shorter clip has no loudness of its own. It is
    repeated end to end until a block is full: the result is the level while the sound lasts, as
    for a longer sound of the same kind. (Padding with silence instead would call a 40 ms click
    10 LU quieter than it is, and normalising it would then drive it into the ceiling.)
    """
    if not np.any(audio):
        return -math.inf  # the meter would take the mean of no blocks
    import pyloudnorm

    block = math.ceil(BLOCK_SECONDS * sample_rate)
    frames = audio.T.astype(np.float64)
    if len(frames) < block:
        frames = np.tile(frames, (math.ceil(block / len(frames)), 1))
    meter = pyloudnorm.Meter(sample_rate, block_size=BLOCK_SECONDS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(meter.integrated_loudness(frames))


def normalise_loudness(
    audio: np.ndarray, target: float, sample_rate: int = 48_000, ceiling: float = 1.0
) -> Levelled:
    """Bring (C, S) audio to a loudness, without ever letting a peak pass the ceiling.

    Sharp sounds have peaks far above their loudness: where the gain needed would pass `ceiling`,
    the audio is brought to the ceiling instead and the result says what was reached. Silence stays
    as it is.

    Args:
        audio: (C, S).
        target: loudness in LUFS, from -70 (below it the meter hears nothing) to 0.
        sample_rate: in Hz.
        ceiling: largest max |x| of the result.

    Raises:
        ValueError: a target outside [-70, 0].
    """
    if not -70 <= target <= 0:
        raise ValueError(f"loudness must be between -70 and 0 LUFS, got {target:g}")
    measured = loudness(audio, sample_rate)
    if not math.isfinite(measured):
        return Levelled(audio, -math.inf, False)
    louder = audio * np.float32(10 ** ((target - measured) / 20))
    guarded = peak_guard(louder, ceiling)
    reached = loudness(guarded, sample_rate)
    return Levelled(guarded, reached, abs(reached - target) <= 0.1)


def file_stem(text: str, limit: int = 60) -> str:
    """Turn a prompt into a file name without extension that every system accepts.

    Letters and digits of any script stay, in lower case; everything between them becomes a single
    hyphen, so no separator, leading dot or shell character survives. The result has at most
    `limit` bytes in UTF-8, is never empty and never one of the device names of Windows.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    kept = "".join(
        character if unicodedata.category(character)[0] in "LNM" else "-" for character in folded
    )
    words = re.sub(r"-+", "-", kept).strip("-")
    stem = words.encode("utf-8")[:limit].decode("utf-8", errors="ignore").strip("-")
    if not stem:
        return "sound"
    return f"{stem}-sound" if stem in RESERVED_STEMS else stem
