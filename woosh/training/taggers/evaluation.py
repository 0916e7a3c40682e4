"""How well a tagger in training names sounds that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from woosh.metrics.precision import report
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.distillation import DistillationSettings
from woosh.training.taggers.examples import known_labels, label_matrix, teacher_logits
from woosh.training.taggers.teaching import TaughtSound

LONGEST_SECONDS = 10  # of a sound that is heard


@torch.no_grad()
def evaluate_tagger(
    tagger: AudioTagger, sounds: Sequence[TaughtSound], settings: DistillationSettings
) -> dict[str, float]:
    """Figures by the sounds' labels if all are among the tagger's, and by their teacher where one heard all.

    Each sound is heard by itself, whole up to its first 10 seconds.
    """
    device = next(tagger.network.parameters()).device
    longest = LONGEST_SECONDS * tagger.sample_rate
    rows = []
    for sound in sounds:
        heard = sound.samples(tagger.sample_rate)[:longest]
        audio = torch.from_numpy(heard.astype(np.float32) / 32_768)
        rows.append(tagger(audio[None].to(device)).logits[0].float().cpu())
    logits = torch.stack(rows)  # (N, C)
    several = settings.task == "multi-label"
    scores = logits.sigmoid() if several else logits.softmax(dim=1)
    known = set(tagger.labels)
    named = all(
        (sound.labels or sound.absent is not None) and known.issuperset(sound.labels)
        for sound in sounds
    )
    labels = label_matrix(sounds, tagger.labels) if named else None
    teacher = teacher_logits(sounds, tagger.labels)
    if teacher is not None:
        teacher = teacher.float().sigmoid() if several else teacher.float().softmax(dim=1)
    asked = known_labels(sounds, tagger.labels) if named else None
    return report(scores, labels, teacher, tagger.labels, asked)
