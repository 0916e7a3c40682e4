"""Evaluation of generated sounds: two folders, embeddings, and every distance between them.

The result is plain data for JSON. It says how each number came about, and follows from the contents
of the files alone: neither their names nor their order matter, except that clips of the same name in
both folders form pairs. A number that cannot be had is None, and a named warning says why.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Generator, Tensor

from woosh import __version__
from woosh.embeddings.embedders import Embedder, ExternalEmbeddings
from woosh.evaluation.clip_sets import ClipSet, Reading, list_clips, read_captions
from woosh.evaluation.embedded_sets import EmbeddedSet, embed_set
from woosh.evaluation.robustness import FOOLED_LEVEL, FOOLED_SHARE, fooled_share, loud_sounds
from woosh.metrics.distributions import (
    Extrapolation,
    frechet_distance_infinity,
    kernel_distance,
    statistics_distance,
)
from woosh.metrics.neighbours import density_coverage, precision_recall
from woosh.metrics.retrieval import clap_score
from woosh.metrics.tags import (
    Divergence,
    inception_score,
    sigmoid_divergence,
    softmax_divergence,
)

SILENT_PEAK = 1e-4
SPLITS = 10  # of the inception score
CLIPS_PER_SPLIT = 10  # with fewer than this in each there is one split
FIRM_CLIPS_PER_DIMENSION = 10  # with fewer the Frechet distance is mostly bias
DRAWN_CLIPS = 300  # of each set, in the two-dimensional picture
NAMED_FILES = 10  # in a warning
ATTACKED_CLIPS = 8  # with which it is tried whether an ear is easily fooled
PACKAGES = ("torch", "numpy", "scipy", "soundfile", "soxr", "transformers")


def evaluate_generation(
    generated: Path,
    reference: Path,
    embedders: Sequence[Embedder | ExternalEmbeddings],
    generator: Generator,
    captions: Path | None = None,
    reading: Reading | None = None,
) -> dict[str, Any]:
    """Compare a folder of generated clips with a folder of reference clips.

    Args:
        generated: folder; audio files anywhere below it are its clips.
        reference: likewise.
        embedders: in each of which everything is measured that it allows.
        generator: of the subsets behind FD-infinity and the kernel distance's error.
        captions: JSONL (see `clip_sets.read_captions`), for the CLAP score of embedders with text.
        reading: how clips are read.

    Returns:
        The result, with `sets`, and `metrics` and `warnings` for each embedding.

    Raises:
        FileNotFoundError: a folder or file that is not there.
        ValueError: a folder without a readable clip, captions that cannot be read, or an embedding
            that is not finite.
    """
    reading = reading or Reading()
    texts = None if captions is None else read_captions(captions)
    sets = {
        name: list_clips(folder, reading.progress)
        for name, folder in (("generated", generated), ("reference", reference))
    }
    # Every embedding gets the same subsets, so that adding one changes no other's numbers.
    start = generator.get_state()
    results, described = [], {}
    for embedder in embedders:
        embedded = {name: embed_set(clips, embedder, reading) for name, clips in sets.items()}
        generator.set_state(start)
        results.append(_measure(embedder, embedded, texts, generator))
        if isinstance(embedder, Embedder) and embedder.differentiable is not None:
            results[-1]["warnings"] += _doubts(embedder, embedded["generated"])
        described = {
            name: _describe(sets[name], part, reading.crop) for name, part in embedded.items()
        }
    return {
        "kind": "generation",
        "software": software(),
        "seed": generator.initial_seed(),
        "audio": reading_rules(reading.crop),
        "sets": described,
        "embeddings": results,
    }


def _doubts(ear: Embedder, generated: EmbeddedSet) -> list[dict[str, Any]]:
    """A warning if changes that nobody hears make the ear take the first clips for each other."""
    sounds = loud_sounds(ear, [file.path for file in generated.files[:ATTACKED_CLIPS]])
    if len(sounds) < 2:
        return []
    share = fooled_share(ear, list(sounds.values()))
    if share <= FOOLED_SHARE:
        return []
    message = (
        f"changes {FOOLED_LEVEL:g} dB below the sound make it take {share:.0%} of {len(sounds)} clips for another one: "
        "do not choose sounds by its numbers alone; `woosh evaluate robustness` tells more"
    )
    return [{"name": "easily_fooled", "message": message}]


def software() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"woosh": __version__, "python": platform.python_version(), **versions}


def reading_rules(crop: float | None) -> dict[str, Any]:
    """How a file becomes the audio that is measured."""
    return {
        "channels": "mean",
        "resampler": "soxr, quality HQ",
        "crop_seconds": crop,
        "crop": "whole clips" if crop is None else "from the beginning; shorter clips as they are",
        "padding": "none but the embedder's own",
    }


def _describe(clips: ClipSet, embedded: EmbeddedSet, crop: float | None) -> dict[str, Any]:
    seconds = embedded.seconds
    return {
        "folder": str(clips.folder),
        "files": len(clips.files),
        "clips": len(embedded.files),
        "content": clips.content,
        "seconds": {
            "shortest": round(float(seconds.min()), 3),
            "median": round(float(seconds.median()), 3),
            "longest": round(float(seconds.max()), 3),
            "shorter_than_crop": 0 if crop is None else int((seconds < crop - 1e-3).sum()),
        },
    }


class _Findings:
    """Metrics and warnings of one embedding, as they are found."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}
        self.warnings: list[dict[str, Any]] = []

    def warn(self, name: str, message: str) -> None:
        self.warnings.append({"name": name, "message": message})

    def measure(self, name: str, metric: Callable[..., Any], *inputs: Any) -> None:
        """Enter a metric, or None and a warning of its name if it refuses its inputs."""
        try:
            value = metric(*inputs)
        except ValueError as error:
            self.metrics[name] = None
            self.warn(f"no_{name}", str(error))
        else:
            self.metrics[name] = value._asdict() if hasattr(value, "_asdict") else value


def _measure(
    embedder: Embedder | ExternalEmbeddings,
    sets: Mapping[str, EmbeddedSet],
    captions: Mapping[str, tuple[str, ...]] | None,
    generator: Generator,
) -> dict[str, Any]:
    generated, reference = sets["generated"], sets["reference"]
    findings = _Findings()
    for name, part in sets.items():
        _warn_of_clips(findings, name, part)
    if len(generated.files) != len(reference.files):
        findings.warn(
            "unequal_sets",
            f"{len(generated.files)} generated clips are compared with {len(reference.files)}",
        )
    _measure_distances(findings, generated, reference, generator)
    if generated.softmax is not None and reference.softmax is not None:
        _measure_tags(findings, generated, reference)
    if isinstance(embedder, Embedder) and embedder.text is not None and captions is not None:
        _measure_captions(findings, embedder.text, sets, captions)
    return {
        "name": embedder.name,
        "weights": embedder.weights,
        "width": embedder.width,
        "sample_rate": embedder.sample_rate if isinstance(embedder, Embedder) else None,
        "protocol": embedder.protocol,
        "metrics": findings.metrics,
        "warnings": findings.warnings,
        "picture": _picture(generated.embeddings, reference.embeddings),
    }


def _warn_of_clips(findings: _Findings, name: str, embedded: EmbeddedSet) -> None:
    if embedded.unreadable:
        reasons = [f"{file} ({reason})" for file, reason in embedded.unreadable.items()]
        findings.warn(f"unreadable_{name}", f"{len(reasons)} left out: {_some(reasons)}")
    quiet = (embedded.peaks < SILENT_PEAK).nonzero().flatten().tolist()
    if quiet:
        files = [embedded.files[row].name for row in quiet]
        findings.warn(f"silent_{name}", f"{len(files)} clips are silent: {_some(files)}")
    copies = len(embedded.files) - len({file.content for file in embedded.files})
    if copies:
        findings.warn(f"copies_{name}", f"{copies} files are equal to another one of the set")


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED_FILES} more" if len(texts) > NAMED_FILES else ""
    return "; ".join(texts[:NAMED_FILES]) + more


def _measure_distances(
    findings: _Findings, generated: EmbeddedSet, reference: EmbeddedSet, generator: Generator
) -> None:
    first, second = generated.embeddings, reference.embeddings
    width, fewest = first.shape[1], min(len(first), len(second))
    findings.measure("frechet_distance", _frechet, generated, reference)
    findings.measure(
        "frechet_distance_infinity", _frechet_infinity, generated, reference, generator
    )
    if width < fewest < FIRM_CLIPS_PER_DIMENSION * width:
        findings.warn(
            "biased_frechet_distance",
            f"{fewest} clips for {width} dimensions: the Frechet distance is too large by an unknown "
            f"amount; from {FIRM_CLIPS_PER_DIMENSION * width} clips on it is firm",
        )
    findings.measure("kernel_distance", kernel_distance, first, second, generator)
    findings.measure("density_coverage", density_coverage, first, second)
    findings.measure("precision_recall", precision_recall, first, second)


def _frechet(generated: EmbeddedSet, reference: EmbeddedSet) -> float:
    _check_covariances(generated, reference)
    return statistics_distance(generated.statistics, reference.statistics).item()


def _frechet_infinity(
    generated: EmbeddedSet, reference: EmbeddedSet, generator: Generator
) -> Extrapolation:
    _check_covariances(generated, reference)
    return frechet_distance_infinity(generated.embeddings, reference.statistics, generator)


def _check_covariances(generated: EmbeddedSet, reference: EmbeddedSet) -> None:
    fewest, width = min(len(generated.files), len(reference.files)), generated.embeddings.shape[1]
    if fewest <= width:
        raise ValueError(
            f"{fewest} clips do not determine a covariance of {width} dimensions: take more than "
            f"{width}, a narrower embedding, or the kernel distance"
        )


def _measure_tags(findings: _Findings, generated: EmbeddedSet, reference: EmbeddedSet) -> None:
    stems = [{file.stem for file in part.files} for part in (generated, reference)]
    pairs = len(stems[0] & stems[1])
    if 0 < pairs < len(stems[0] | stems[1]):
        findings.warn(
            "unpaired",
            f"only {pairs} of {len(generated.files)} generated clips have a reference clip of the "
            "same name: the KL divergences are theirs alone",
        )
    forms = {
        "kl_softmax": (softmax_divergence, generated.softmax, reference.softmax),
        "kl_sigmoid": (sigmoid_divergence, generated.sigmoid, reference.sigmoid),
    }
    for name, (divergence, first, second) in forms.items():
        findings.measure(name, _paired, divergence, generated, reference, first, second)
    splits = SPLITS if len(generated.files) >= SPLITS * CLIPS_PER_SPLIT else 1
    findings.measure("inception_score", inception_score, generated.softmax, splits)


def _paired(
    divergence: Callable[[Tensor, Tensor], Divergence],
    generated: EmbeddedSet,
    reference: EmbeddedSet,
    generated_tags: Tensor,
    reference_tags: Tensor,
) -> Divergence:
    """Over the clips of equal names, in the order of the generated ones' contents."""
    rows = {file.stem: row for row, file in enumerate(reference.files)}
    for part in (generated, reference):
        if len({file.stem for file in part.files}) < len(part.files):
            raise ValueError("two clips of a set differ only in their extension: pairs are unclear")
    pairs = [
        (row, rows[file.stem]) for row, file in enumerate(generated.files) if file.stem in rows
    ]
    if not pairs:
        raise ValueError("no clip has the same name in both folders, so there are no pairs")
    first, second = torch.tensor(pairs).unbind(dim=1)
    return divergence(generated_tags[first], reference_tags[second])


def _measure_captions(
    findings: _Findings,
    text: Callable[[Sequence[str]], Tensor],
    sets: Mapping[str, EmbeddedSet],
    captions: Mapping[str, tuple[str, ...]],
) -> None:
    """The CLAP score of the generated clips, and of the reference clips if captions name them too."""
    for name, part in sets.items():
        named = [row for row, file in enumerate(part.files) if file.stem in captions]
        if name == "reference" and not named:
            continue
        if 0 < len(named) < len(part.files):
            findings.warn(
                f"uncaptioned_{name}",
                f"{len(part.files) - len(named)} of {len(part.files)} clips have no caption: the "
                "CLAP score is without them",
            )
        metric = "clap_score" if name == "generated" else "clap_score_reference"
        findings.measure(metric, _clap_score, text, part, captions)


def _clap_score(
    text: Callable[[Sequence[str]], Tensor],
    part: EmbeddedSet,
    captions: Mapping[str, tuple[str, ...]],
) -> float:
    """Mean over the clips that have captions, each clip's score being the mean over its own."""
    scores = []
    for file, embedding in zip(part.files, part.embeddings, strict=True):
        if file.stem in captions:
            texts = torch.cat([text([caption]) for caption in captions[file.stem]])
            scores.append(clap_score(texts, embedding.expand_as(texts)))
    if not scores:
        raise ValueError("the captions name none of the clips")
    return fmean(scores)


def _picture(generated: Tensor, reference: Tensor) -> dict[str, list[list[float]]] | None:
    """Some clips of both sets in the plane of the reference's two largest principal components."""
    if min(reference.shape) < 3:
        return None
    centre = reference.double().mean(dim=0)
    shown = {
        "generated": generated[:DRAWN_CLIPS].double() - centre,
        "reference": reference[:DRAWN_CLIPS].double() - centre,
    }
    axes = torch.linalg.svd(shown["reference"], full_matrices=False).Vh[:2]  # (2, D)
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * largest.sign()  # the sign of a component means nothing: fix it
    return {
        name: [[round(value, 5) for value in point] for point in (rows @ axes.T).tolist()]
        for name, rows in shown.items()
    }
