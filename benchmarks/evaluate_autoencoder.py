"""Mean distances between held-out recordings and their reconstructions by an autoencoder.

    python benchmarks/evaluate_autoencoder.py [--model woosh-tiny|DIR] [--data DIR] [--json FILE]

Clips mono at 48 kHz, cut to the first 10 s, peak-scaled to 0.8, one by one. A silent clip has no
SI-SDR: it is left out of that average and counted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from woosh.audio import read_audio
from woosh.autoencoder import Autoencoder, load_autoencoder
from woosh.catalogue import find_model, part_folders
from woosh.data.manifests import read_manifest
from woosh.metrics.reconstruction import mel_distance, scale_peak, si_sdr, stft_distance
from woosh.whole_files import write_text

NAMES = ("MelDist", "STFTDist", "SI-SDR")


def autoencoder_of(model: str) -> Autoencoder:
    """Loads an autoencoder's own folder, or the one of a built-in model or a pipeline folder."""
    alone = (Path(model) / "config.json").is_file()
    folder = Path(model) if alone else part_folders(find_model(model))["autoencoder"]
    return load_autoencoder(folder, torch.float32).eval()


@torch.inference_mode()
def reconstruct(autoencoder: Autoencoder, audio: Tensor) -> Tensor:
    """Audio (B, 1, S) through the autoencoder, of the same length.

    The end is padded to whole latent frames and to more than one window, and cut off again.
    """
    samples = audio.shape[-1]
    hop_length, shortest = autoencoder.hop_length, autoencoder.n_fft
    frames = -(-max(samples, shortest) // hop_length)
    filled = functional.pad(audio, (0, frames * hop_length - samples))
    return autoencoder.decode(autoencoder.encode(filled))[..., :samples]


def measure(autoencoder: Autoencoder, audio: Tensor) -> tuple[float, float, float]:
    """MelDist, STFTDist and SI-SDR in dB (nan for silence) of one clip (S,)."""
    reference = scale_peak(audio[None, None])
    estimate = reconstruct(autoencoder, reference)
    distances = (mel_distance, stft_distance, si_sdr)
    mel, stft, ratio = (distance(reference, estimate).item() for distance in distances)
    return mel, stft, ratio


def summary(rows: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Number, means and medians of measured clips; nan ratios are left out and counted."""
    result: dict[str, float] = {"clips": len(rows)}
    for name, values in zip(NAMES, zip(*rows, strict=True), strict=True):
        numbers = [value for value in values if value == value]
        result[name] = fmean(numbers) if numbers else float("nan")
        result[f"median {name}"] = median(numbers) if numbers else float("nan")
        if name == "SI-SDR":
            result["silent"] = len(values) - len(numbers)
    return result


def table(results: dict[str, dict[str, float]]) -> str:
    """The summaries of all clips and of each source as a Markdown table."""
    heads = [*NAMES, *(f"median {name}" for name in NAMES)]
    lines = [
        "| held-out clips | number | " + " | ".join(heads) + " |",
        "|---|---|" + "---|" * len(heads),
    ]
    for source, result in results.items():
        cells = [
            f"{result[head]:.2f}" if "SDR" in head else f"{result[head]:.3f}" for head in heads
        ]
        lines.append(f"| {source} | {result['clips']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="woosh-tiny", help="built-in model or folder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sfx"))
    parser.add_argument("--split", default="validation")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest part of a clip")
    parser.add_argument("--sources", nargs="*", help="only these folders of the data set")
    parser.add_argument("--json", type=Path, help="write the summaries and every clip here")
    options = parser.parse_args(arguments)

    autoencoder = autoencoder_of(options.model)
    sample_rate = autoencoder.config.sample_rate  # type: ignore[attr-defined]
    files = [row.file for row in read_manifest(options.data / "manifest.jsonl", options.split)]
    if options.sources:
        files = [file for file in files if file.split("/")[0] in options.sources]
    if not files:
        raise SystemExit(f"no clips of split {options.split!r} in {options.data}")
    measured = {}
    for file in tqdm(files, desc="clips"):
        audio = torch.from_numpy(read_audio(options.data / file, sample_rate))[0]
        measured[file] = measure(autoencoder, audio[: round(options.seconds * sample_rate)])

    results = {"all": summary(list(measured.values()))}
    for source in sorted({file.split("/")[0] for file in files}):
        rows = [row for file, row in measured.items() if file.split("/")[0] == source]
        results[source] = summary(rows)
    print(table(results))
    if results["all"]["silent"]:
        print(f"\n{results['all']['silent']:.0f} silent clips have no SI-SDR.")
    if options.json:
        clips = {file: dict(zip(NAMES, row, strict=True)) for file, row in measured.items()}
        write_text(options.json, json.dumps({"summary": results, "clips": clips}, indent=1))


if __name__ == "__main__":
    main()
