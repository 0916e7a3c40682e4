"""Whether the dial of `woosh vary` goes one way, and whether variations differ as takes of one recording do.

    python benchmarks/variations.py --audio DIR [--models NAME ...] [--sounds N] [--part 0|1] [--set N]
        [--similarity S] [--takes N] [--no-dial] [--strengths] [--split NAME] [--best-of N --listener tagger:FILE] [--json FILE]

Recordings are chosen evenly from the sorted files below a folder, those of even places in part 0 and those of odd places in
part 1, so that a dial that was measured on one part can be judged on the other. Each is varied at eleven settings. Printed are
for each setting the strength, the mean cosine of the aligner between variation and recording, and the mean log-mel distance
between them; then the rank correlations (Spearman) of the dial with both, of the means and the median over recordings. With
--strengths the dial is the strength itself, and the last column has the similarity that each strength stands for: the mean of
both measures' shares of their way from the first setting to the last.

Then sets of variations, as they are drawn and as `woosh vary` keeps them apart: the distance of the two nearest of each set, after
trimming, with equal peaks and at the best lag (`woosh.metrics.takes`), and how many takes were drawn for each that was kept. They are
to be held against takes of one recording, files of one folder whose names differ in a last number alone: pairs, one of
each group, and the two nearest of as many takes as a set has.

With --best-of, the choice of `woosh vary --best-of N` is judged instead: of N variations of each recording the one is kept that
is most like it to the built-in aligner and tagger, which --listener, a tagger, had no part in. Printed are, of all and of those
kept, the share in which the listener has its first label of the recording among its first five, and first; the cosine of what
it hears in both (its embeddings); and the log-mel distance. Gains and their standard errors are over recordings; "at most" is
the gain if the measure itself chose. With --split, only recordings of that split of DIR/manifest.jsonl are taken.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import torch
from scipy.stats import sem, spearmanr
from torch.nn import functional
from tqdm import tqdm

from woosh.audio import SUFFIXES, audio_seconds, is_silent, read_audio, resample
from woosh.catalogue import DEFAULT_ALIGNER, DEFAULT_MODEL, FEW_STEP_MODEL, find_model
from woosh.data.manifests import read_objects, text_of
from woosh.embeddings.embedders import Embedder, load_embedder
from woosh.embeddings.tagging import Tagger, load_tagger
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.reconstruction import mel_distance, scale_peak
from woosh.metrics.takes import take_distance, take_spectrum
from woosh.studio.choosing import load_judge
from woosh.studio.spacing import LEAST_DISTANCE, Spacing, least_distance
from woosh.studio.takes import Take
from woosh.studio.variations import draw_variation, redraw, strength_of
from woosh.whole_files import write_text

SETTINGS = np.linspace(1, 0, 11)  # of the dial
SAMPLE_RATE = 48_000  # of recordings that are listened to
LONGEST = 3.0  # seconds of a recording
SHORTEST = 0.2
LARGEST_GROUP = 24  # takes of one recording: what has one word and more numbers is a collection
TAKE = re.compile(r"(.*?)[-._ ]?\d+$")
MEASURES = {
    "heard in five": 1,
    "heard first": 1,
    "listener's cosine": 1,
    "log-mel distance": -1,
}  # signs of better


def sound_files(folder: Path, split: str | None) -> list[Path]:
    """The recordings below a folder that are long enough; of a split, those that its manifest has in it."""
    if split is None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    else:
        rows = read_objects(folder / "manifest.jsonl")
        of_split = [text_of(row, "file", place) for place, row in rows if row.get("split") == split]
        files = sorted(folder / name for name in of_split)
    return [path for path in files if audio_seconds(path) >= SHORTEST]


def chosen(files: list[Path], count: int, part: int) -> list[Path]:
    """So many recordings, evenly over all; the two parts share none. Silent ones, of which nothing can be varied, are left out."""
    places = np.linspace(0, len(files) - 1, 2 * count).round().astype(int)
    paths = [files[place] for place in places[part::2]]
    heard = [path for path in paths if not is_silent(read(path, SAMPLE_RATE), SAMPLE_RATE)]
    for path in sorted(set(paths) - set(heard)):
        print(f"left out, its first {LONGEST:g} s are silent: {path}")
    return heard


def vary(sampler: Sampler, sound: np.ndarray, strength: float, count: int, seed: int) -> np.ndarray:
    """Variations (N, 1, S), without words."""
    return redraw(sampler, sound, request_for(sampler, sound, count, seed), strength)


def request_for(sampler: Sampler, sound: np.ndarray, count: int, seed: int) -> Request:
    """For so many variations of a sound, without words."""
    return Request(
        prompt="",
        seconds=sound.shape[1] / sampler.sample_rate,
        guidance_scale=None if sampler.few_step else 1.0,
        sounds_per_prompt=count,
        seed=seed,
    )


def embed(aligner: Embedder, sound: np.ndarray, sample_rate: int) -> torch.Tensor:
    """Of unit length (D,)."""
    heard = torch.from_numpy(resample(sound, sample_rate, aligner.sample_rate)[0])
    return functional.normalize(aligner.embed(heard), dim=0)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Log-mel distance of two sounds (S,) of one length."""
    one, other = (scale_peak(torch.from_numpy(np.ascontiguousarray(s))) for s in (first, second))
    return float(mel_distance(one, other))


def spectrum(take: np.ndarray, sample_rate: int) -> torch.Tensor:
    """What is compared of a take (1, S)."""
    return take_spectrum(torch.from_numpy(take[0]), sample_rate)


def nearest(takes: list[np.ndarray], sample_rate: int) -> float:
    """The distance of the two nearest of takes (1, S) that are not silent."""
    spectra = [spectrum(take, sample_rate) for take in takes]
    pairs = combinations(spectra, 2)
    return float(np.nanmin([take_distance(one, other, sample_rate) for one, other in pairs]))


def takes_of(files: list[Path]) -> list[list[Path]]:
    """Groups of two or more takes of one recording."""
    takes: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files:
        if match := TAKE.fullmatch(path.stem):
            takes[path.parent, match[1]].append(path)
    return [members for members in takes.values() if len(members) > 1]


def nearest_takes(groups: list[list[Path]], size: int, sample_rate: int) -> list[float]:
    """The distance of the two nearest of the first takes, so many, of each group."""
    distances = []
    for group in tqdm(groups, desc="takes", leave=False):
        takes = [read(path, sample_rate) for path in group[:size]]
        heard = [take for take in takes if np.abs(take).max() > 0]
        if len(heard) > 1:
            distances.append(nearest(heard, sample_rate))
    return distances


def show_takes(files: list[Path], pairs: int, size: int) -> None:
    """Print how far takes are apart: so many pairs, evenly over all groups, and sets of all that are large enough."""
    groups = takes_of(files)
    places = np.linspace(0, len(groups) - 1, min(pairs, len(groups))).round().astype(int)
    found = nearest_takes([groups[place] for place in places], 2, SAMPLE_RATE)
    show_spread("\ntakes of one recording", found)
    sets = [group for group in groups if size <= len(group) <= LARGEST_GROUP]
    if size > 2 and sets:
        found = nearest_takes(sets, size, SAMPLE_RATE)
        show_spread(f"two nearest of {size} takes", found)


def read(path: Path, sample_rate: int) -> np.ndarray:
    """The beginning of a recording (1, S)."""
    return read_audio(path, sample_rate, longest_seconds=LONGEST)


def spearman(values: np.ndarray) -> float:
    """Rank correlation of the dial with measurements, one for each setting."""
    return float(spearmanr(SETTINGS, values).statistic)


def shares(values: np.ndarray) -> np.ndarray:
    """How far measurements have come from their first to their last."""
    return (values - values[0]) / (values[-1] - values[0])


def judge_dial(
    sampler: Sampler, aligner: Embedder, paths: list[Path], raw: bool
) -> dict[str, list[list[float]]]:
    """Cosines and distances of every recording (rows) at every setting (columns)."""
    strengths = [1 - setting if raw else strength_of(setting) for setting in SETTINGS]
    cosines, distances = [], []
    for number, path in enumerate(tqdm(paths, desc="dial", leave=False)):
        sound = read(path, sampler.sample_rate)
        own = embed(aligner, sound, sampler.sample_rate)
        made = [vary(sampler, sound, s, 1, number)[0] for s in strengths]
        cosines.append([float(embed(aligner, one, sampler.sample_rate) @ own) for one in made])
        distances.append([distance(sound[0], one[0]) for one in made])
    return {"strength": [strengths], "cosine": cosines, "distance": distances}


def show_dial(measured: dict[str, list[list[float]]]) -> None:
    """Print the means at each setting, and the rank correlations."""
    cosines, distances = np.array(measured["cosine"]), np.array(measured["distance"])
    mean_cosine, mean_distance = cosines.mean(axis=0), distances.mean(axis=0)
    way = 1 - (shares(mean_cosine) + shares(mean_distance)) / 2
    print(
        "| dial | strength | aligner's cosine | log-mel distance | share |\n|---|---|---|---|---|"
    )
    columns = zip(SETTINGS, *measured["strength"], mean_cosine, mean_distance, way, strict=True)
    for row in columns:
        print("| " + " | ".join(f"{value:.3f}" for value in row) + " |")
    for name, values, sign in (("cosine", cosines, 1), ("log-mel distance", distances, -1)):
        single = [sign * spearman(row) for row in values]
        print(
            f"Spearman with the {name}: {sign * spearman(values.mean(axis=0)):.3f} of the means; of single recordings "
            f"{np.median(single):.3f} in the middle, {np.mean(np.array(single) >= 0.8):.2f} have .8 or more"
        )


class Recorded(Spacing):
    """A set that also remembers the takes (1, S) of the first seeds."""

    def __init__(self, sample_rate: int, least: float) -> None:
        super().__init__(sample_rate, least)
        self.first: list[np.ndarray] = []

    def keep(self, takes: Iterator[Take]) -> Take:
        """See `Spacing`."""
        first = next(takes)
        self.first.append(first.sound)
        return super().keep(chain([first], takes))


def judge_sets(
    sampler: Sampler, paths: list[Path], count: int, similarity: float
) -> dict[str, list[list[float]]]:
    """Least distances in sets of so many variations of each recording, with the first seeds and as kept, and takes drawn."""
    rate, found = sampler.sample_rate, {"first": [], "kept": [], "drawn": [], "least": []}
    for number, path in enumerate(tqdm(paths, desc="sets", leave=False)):
        sound = read(path, rate)
        spacing = Recorded(rate, least_distance(sound, rate))
        requests = [request_for(sampler, sound, 1, 100 * number + place) for place in range(count)]
        kept = [
            draw_variation(sampler, sound, one, similarity, spacing=spacing).sound
            for one in requests
        ]
        found["first"].append([nearest(spacing.first, rate)])
        found["kept"].append([nearest(kept, rate)])
        found["drawn"].append([(count + spacing.redrawn) / count])
        found["least"].append([spacing.least])
    return found


def judge_choice(
    sampler: Sampler, listener: Tagger, paths: list[Path], count: int, similarity: float
) -> dict[str, list[list[float]]]:
    """Each measure of every variation (columns) of the recordings (rows), and the place of the one that is kept."""
    judge, rate = load_judge(), sampler.sample_rate
    found: dict[str, list[list[float]]] = {name: [] for name in [*MEASURES, "kept"]}
    for number, path in enumerate(tqdm(paths, desc="choice", leave=False)):
        sound = read(path, rate)
        made = vary(sampler, sound, strength_of(similarity), count, count * number)
        kept = judge.best(judge.wish_of_sound(sound, rate), made, rate)
        rows = zip(*(compare(listener, sound, one, rate) for one in made), strict=True)
        for name, values in zip(MEASURES, rows, strict=True):
            found[name].append(list(values))
        found["kept"].append([kept])
    return found


def compare(
    listener: Tagger, sound: np.ndarray, made: np.ndarray, sample_rate: int
) -> tuple[float, ...]:
    """`MEASURES` of a variation (1, S) of a sound (1, S)."""
    hearing = listener.embedder.sample_rate
    one, other = (torch.from_numpy(resample(s, sample_rate, hearing)[0]) for s in (sound, made))
    own, heard = int(listener.scores(one).argmax()), listener.scores(other).topk(5).indices
    cosine = embed(listener.embedder, sound, sample_rate) @ embed(
        listener.embedder, made, sample_rate
    )
    in_five, first = float(own in heard), float(own == heard[0])
    return in_five, first, float(cosine), distance(sound[0], made[0])


def show_choice(found: dict[str, list[list[float]]], drawn: int) -> None:
    """Print every measure of all variations and of those kept, and the gain."""
    kept = np.array(found["kept"])
    print(f"| measure | all | best of {drawn} | gain | standard error | at most |")
    print("|---|---|---|---|---|---|")
    for name, sign in MEASURES.items():
        values = np.array(found[name])
        mean, chosen = values.mean(axis=1), np.take_along_axis(values, kept, axis=1)[:, 0]
        best = sign * (sign * values).max(axis=1)
        print(
            f"| {name} | {mean.mean():.3f} | {chosen.mean():.3f} | {(chosen - mean).mean():+.3f} "
            f"| {sem(chosen - mean):.3f} | {(best - mean).mean():+.3f} |"
        )


def show_spread(name: str, values: list[float]) -> None:
    """Print the quartiles of distances."""
    quarters = " ".join(f"{value:.3f}" for value in np.quantile(values, [0.1, 0.25, 0.5, 0.75]))
    print(f"{name}: {len(values)}, least {min(values):.3f}, tenth and quartiles {quarters}")


def judged(
    options: argparse.Namespace, sampler: Sampler, paths: list[Path]
) -> dict[str, list[list[float]]]:
    """What is asked for of one model, printed: the choice, or the dial and sets."""
    similarity = options.similarity
    if options.best_of > 1:
        listener = load_tagger(options.listener, None)
        found = judge_choice(sampler, listener, paths, options.best_of, similarity)
        show_choice(found, options.best_of)
        return found
    found = {}
    if not options.no_dial:
        found = judge_dial(sampler, load_embedder(DEFAULT_ALIGNER), paths, options.strengths)
        show_dial(found)
    if options.set:
        sets = judge_sets(sampler, paths, options.set, similarity)
        show_sets(sets, options.set, similarity)
        found |= {f"sets: {name}": values for name, values in sets.items()}
    return found


def show_sets(sets: dict[str, list[list[float]]], size: int, similarity: float) -> None:
    """Print how far the two nearest of each set are apart, and what that costs."""
    for name, told in (("first", "with the first seeds"), ("kept", "as `woosh vary` keeps them")):
        least = [value for [value] in sets[name]]
        show_spread(f"two nearest of {size} at {similarity:g}, {told}", least)
        apart = np.mean(np.array(least) >= LEAST_DISTANCE)
        reached = np.mean(np.array(sets[name]) >= np.array(sets["least"]))
        print(f"    no two nearer than {LEAST_DISTANCE:g}: {apart:.2f} of the sets")
        print(f"    no two nearer than asked for of each sound: {reached:.2f} of the sets")
    drawn = np.array(sets["drawn"])
    print(
        f"    takes drawn for each kept: {drawn.mean():.2f} in the mean, {drawn.max():.2f} at most"
    )


def main() -> None:
    """Vary, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--audio", type=Path, required=True, metavar="DIR", help="recordings")
    add("--models", nargs="+", default=[DEFAULT_MODEL, FEW_STEP_MODEL], metavar="NAME|DIR")
    add("--sounds", type=int, default=12, help="recordings that are varied")
    add("--part", type=int, choices=(0, 1), default=1)
    add("--set", type=int, default=4, help="variations of a set; 0 leaves sets and takes out")
    add("--similarity", type=float, default=0.7, help="of sets, and of what is chosen from")
    add("--takes", type=int, default=100, help="pairs of takes")
    add("--no-dial", action="store_true", help="measure sets and takes alone")
    add("--strengths", action="store_true", help="measure the strength itself")
    add("--split", metavar="NAME", help="of DIR/manifest.jsonl (default: all files)")
    add("--best-of", type=int, default=1, metavar="N", help="judge the choice among so many")
    add("--listener", metavar="NAME", help="such as tagger:mn04_as_mAP_432.pt")
    add("--json", type=Path, help="write all measurements here")
    options = parser.parse_args()
    if (options.best_of > 1) != (options.listener is not None):
        parser.error("--best-of N of 2 or more and --listener go together")
    files = sound_files(options.audio, options.split)
    paths = chosen(files, options.sounds, options.part)
    found = {}
    for model in options.models:
        sampler = load_sampler(find_model(model))
        print(f"\n{model}, {len(paths)} recordings\n")
        found[model] = judged(options, sampler, paths)
    if options.set and options.best_of == 1:
        show_takes(files, options.takes, options.set)
    if options.json is not None:
        write_text(options.json, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
