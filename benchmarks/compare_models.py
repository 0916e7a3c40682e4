"""Whether a form of a model, such as its graphs in eight bits, is heard as well as the model: the same prompts and seeds.

    python benchmarks/compare_models.py NAME|DIR OTHER --listener tagger:FILE [--prompts N] [--seeds N] [--seconds S]

The prompts and the labels that count stand in `woosh/evaluation/recognition_prompts.py`. Printed are, for both models, how
often the listener has a right label among its first five, and first, and the CLAP score; then what OTHER gains, with the
standard error over prompts.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from tqdm import tqdm

from woosh.audio import resample
from woosh.catalogue import find_model
from woosh.embeddings.clap import embed_sounds, embed_texts, load_clap
from woosh.embeddings.tagging import load_tagger
from woosh.evaluation.recognition import check_labels, hear
from woosh.evaluation.recognition_prompts import PROMPTS
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.metrics.retrieval import clap_score

FIGURES = ("heard in five", "heard first", "CLAP score")


def main() -> None:
    """Judge both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("models", nargs=2, metavar="NAME|DIR")
    add("--listener", required=True, metavar="NAME", help="such as tagger:mn04_as_mAP_432.pt")
    add("--aligner", default="woosh-tiny-clap")
    add("--prompts", type=int, default=len(PROMPTS), help="how many, evenly over all")
    add("--seeds", type=int, default=1)
    add("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    listener, aligner = load_tagger(options.listener, None), load_clap(options.aligner)
    check_labels(listener.labels)
    samplers = [load_sampler(find_model(name)) for name in options.models]
    chosen = np.linspace(0, len(PROMPTS) - 1, options.prompts).round().astype(int)
    figures = np.zeros((len(samplers), options.prompts, len(FIGURES)))
    with torch.inference_mode():
        for row, place in enumerate(tqdm(chosen, leave=False)):
            prompt = PROMPTS[place]
            words = embed_texts(aligner, [prompt.prompt])
            for model, sampler in enumerate(samplers):
                for seed in range(options.seeds):
                    request = Request(prompt.prompt, seconds=options.seconds, seed=seed)
                    [audio] = sampler(request)
                    labels = hear(listener, audio, sampler.sample_rate)
                    [sound] = resample(audio.numpy(), sampler.sample_rate, aligner.sample_rate)
                    figures[model, row] += (
                        bool(set(labels) & set(prompt.labels)),
                        labels[0] in prompt.labels,
                        clap_score(words, embed_sounds(aligner, [sound])),
                    )
    figures /= options.seeds
    print(f"| model | {' | '.join(FIGURES)} |\n|---|---|---|---|")
    for name, own in zip(options.models, figures.mean(axis=1), strict=True):
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in own)} |")
    gains = figures[1] - figures[0]
    errors = gains.std(axis=0, ddof=1) / math.sqrt(len(gains))
    shown = [f"{m:+.3f} +- {e:.3f}" for m, e in zip(gains.mean(axis=0), errors, strict=True)]
    print(f"| gain | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
