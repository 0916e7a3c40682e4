"""Sounds as codecs and low rates leave them: coded and decoded in memory, aligned in time with what they were made from."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np

from woosh.audio import resample


class Codec(NamedTuple):
    """How a sound is coded; without an encoder only its band is cut."""

    encoder: str | None  # FFmpeg's name
    container: str
    bit_rate: int  # bits per second
    sample_rate: int  # Hz, of what is coded


CODECS = {
    "mp3": Codec("libmp3lame", "mp3", 64_000, 32_000),
    "opus": Codec("libopus", "ogg", 24_000, 48_000),
    "16 kHz": Codec(None, "", 0, 16_000),
    "8 kHz": Codec(None, "", 0, 8_000),
}


def through_codec(audio: np.ndarray, sample_rate: int, name: str) -> np.ndarray:
    """What a codec or a lower rate leaves of a sound, sample by sample beside it.

    Args:
        audio: (S,) in [-1, 1]; louder samples are cut off.
        sample_rate: Hz.
        name: one of `CODECS`: MP3 at 64 kbit/s, Opus at 24 kbit/s, or a sample rate alone.

    Returns:
        (S,) float32.

    Raises:
        ValueError: an unknown codec.
    """
    if name not in CODECS:
        raise ValueError(f"no codec {name!r}; there are {', '.join(CODECS)}")
    codec = CODECS[name]
    sound = resample(audio.astype(np.float32)[None], sample_rate, codec.sample_rate)[0]
    if codec.encoder is not None:
        sound = decoded(encoded(sound.clip(-1, 1), codec), len(sound))
    back = resample(sound[None], codec.sample_rate, sample_rate)[0]
    return fitted(back, len(audio))


def encoded(sound: np.ndarray, codec: Codec) -> bytes:
    """The file of a sound (S,) at the codec's rate."""
    import av

    assert codec.encoder is not None
    file = io.BytesIO()
    with av.open(file, "w", format=codec.container) as target:
        # Its type would be that of a stream of pictures, too.
        stream: Any = target.add_stream(codec.encoder, rate=codec.sample_rate, layout="mono")
        stream.bit_rate = codec.bit_rate
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate = codec.sample_rate
        resampler = av.AudioResampler(stream.format, "mono", codec.sample_rate)
        for part in (*resampler.resample(frame), None):
            target.mux(stream.encode(part))
    return file.getvalue()


def decoded(data: bytes, samples: int) -> np.ndarray:
    """The sound in a file of one channel, without the codec's delay (samples,)."""
    import av

    with av.open(io.BytesIO(data)) as source:
        resampler = av.AudioResampler("fltp", "mono")
        frames = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return fitted(sound, samples)


def fitted(sound: np.ndarray, samples: int) -> np.ndarray:
    """A sound cut or ended in silence to (samples,), float32."""
    kept = sound[:samples]
    return np.pad(kept, (0, samples - len(kept))).astype(np.float32)
