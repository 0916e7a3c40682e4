"""A recording through the autoencoder with the Python API, and what that costs it.

    python inference/reconstruct.py woosh/models/woosh-tiny recording.wav reconstruction.wav

The command `woosh reconstruct` does the same without the figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from woosh.audio import peak_guard, read_audio, write_audio
from woosh.autoencoder import load_autoencoder
from woosh.autoencoder.reconstruction import reconstruct
from woosh.catalogue import part_folders


def main(argv: Sequence[str] | None = None) -> None:
    """Reconstruct a recording and print the level of the error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("source", help="audio file")
    parser.add_argument("target", help=".wav, .flac or .ogg file")
    arguments = parser.parse_args(argv)

    folder = part_folders(arguments.model)["autoencoder"]
    autoencoder = load_autoencoder(folder).float()
    sample_rate = autoencoder.config.sample_rate
    recording = read_audio(arguments.source, sample_rate, mono=False)
    result = reconstruct(autoencoder, recording)
    write_audio(arguments.target, peak_guard(result), sample_rate)
    error = np.mean((result - recording) ** 2) / max(np.mean(recording**2), 1e-20)
    print(f"{arguments.target}  error {10 * np.log10(max(error, 1e-20)):.1f} dB of the recording")


if __name__ == "__main__":
    main()
