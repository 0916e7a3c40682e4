"""What an aligner knows without being taught a task: labels of sounds, and captions finding their clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from woosh.data.clips import Clip, load_clips
from woosh.data.manifests import read_manifest
from woosh.embeddings.clap import WooshClap, embed_sounds, embed_texts
from woosh.metrics.retrieval import (
    audio_to_text,
    caption_set,
    chance_recall,
    cosine_scores,
    text_to_audio,
)


def embed_beginnings(
    clap: WooshClap, manifest: Path, labels: Sequence[str], seconds: float
) -> Tensor:
    """Unit embeddings (M, D) of the first seconds of all recordings of a manifest that have one of the labels."""
    rows = [row for row in read_manifest(manifest) if row.label in labels]
    clips = load_clips(rows, manifest.parent, clap.sample_rate)
    return embed_sounds(clap, [clip.audio[: round(seconds * clap.sample_rate)] for clip in clips])


def evaluate_aligner(clap: WooshClap, clips: Sequence[Clip]) -> dict[str, object]:
    """Zero-shot accuracy over the labelled clips, and retrieval in both directions over all.

    A labelled clip counts as known if its label's embedding is the nearest among all labels of the
    clips; where no clip has a label, the accuracy is None. In retrieval every caption of every clip is a query, and clips that share a caption are right
    for it; `chance` is what a random order reaches.

    Args:
        clap: the aligner.
        clips: mono at the aligner's rate, with captions.
    """
    sounds = embed_sounds(clap, [clip.audio for clip in clips])
    labels = sorted({clip.label for clip in clips if clip.label})
    labelled = [row for row, clip in enumerate(clips) if clip.label]
    nearest = []
    if labels:
        nearest = (sounds[labelled] @ embed_texts(clap, labels).T).argmax(dim=1).tolist()
    recognised: dict[str, list[bool]] = {label: [] for label in labels}
    for row, index in zip(labelled, nearest, strict=True):
        recognised[clips[row].label].append(clips[row].label == labels[index])
    captions = caption_set([clip.captions for clip in clips])
    scores = cosine_scores(embed_texts(clap, captions.captions), sounds)
    return {
        "clips": len(clips),
        "labelled": len(labelled),
        "zero_shot_accuracy": sum(map(sum, recognised.values())) / len(labelled)
        if labels
        else None,
        "zero_shot_accuracy_per_label": {
            label: sum(right) / len(right) for label, right in recognised.items()
        },
        "text_to_audio": text_to_audio(scores, captions.relevant)._asdict(),
        "audio_to_text": audio_to_text(scores, captions.relevant)._asdict(),
        "chance": {
            "text_to_audio": chance_recall(captions.relevant)._asdict(),
            "audio_to_text": chance_recall(captions.relevant.T)._asdict(),
        },
    }
