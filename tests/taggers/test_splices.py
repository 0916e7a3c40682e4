"""The finder of breaks: what it hears, how it reads long files, that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from woosh.audio import write_audio
from woosh.data.splices import broken_windows
from woosh.taggers.breakpoints import Breaks
from woosh.taggers.splices import (
    DILATIONS,
    Break,
    BreakFinder,
    change,
    find_breaks,
    likeliest,
    load_break_finder,
    most_broken,
    own_break,
)
from woosh.training.taggers.breaks import learn_breaks

RATE = 32_000


def test_only_what_is_near_counts() -> None:
    """A step hears what stands within its convolutions and the steps that it compares."""
    model = BreakFinder(8).eval()
    audio = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(0)) / 10
    other = audio.clone()
    other[:, :RATE] = 0
    with torch.no_grad():
        (first, _), (second, _) = model.steps(audio), model.steps(other)
    reach = 16 + sum(DILATIONS) + 3  # steps of 20 ms
    place = round(1 / model.step_seconds) + reach
    torch.testing.assert_close(first[:, place:], second[:, place:])
    assert not torch.allclose(first[:, :50], second[:, :50])


def test_the_change_is_between_the_means_of_both_sides() -> None:
    x = torch.zeros(1, 1, 40)
    x[..., 20:] = 1
    found = change(x, 4)[0, 0]
    assert found.argmax() == 20 and float(found[20]) == 1
    assert found[:16].max() == 0 and found[24:].max() == 0


def test_of_near_breaks_the_likelier_one_counts() -> None:
    found = [Break(1.0, 0.6), Break(1.2, 0.9), Break(1.4, 0.7), Break(3.0, 0.5)]
    assert likeliest(found, 0.25) == [Break(1.2, 0.9), Break(3.0, 0.5)]


def test_a_break_is_told_by_the_second_in_which_it_lies() -> None:
    """Its tail in the next one is none."""
    said = torch.full((1, 150, 2), 0.01)
    said[0, 48:53, 1] = torch.tensor(
        [0.5, 0.9, 0.7, 0.4, 0.2]
    )  # the peak is the last step of the first second
    heard = Breaks(said[:, 0], torch.full_like(said, 0.5), said)
    first = own_break(heard, slice(0, 50), 12)
    assert first is not None and first.step == 49
    assert own_break(heard, slice(50, 100), 12) is None
    assert own_break(heard, slice(150, 200), 12) is None  # a rest shorter than a step


def test_a_saved_finder_is_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BreakFinder(8).eval()
    model.save_pretrained(tmp_path / "finder")
    audio = torch.randn(2, RATE) / 10
    with torch.no_grad():
        torch.testing.assert_close(load_break_finder(tmp_path / "finder")(audio), model(audio))
    with pytest.raises(FileNotFoundError, match="no BreakFinder in"):
        load_break_finder(tmp_path)


def noises(count: int) -> list[np.ndarray]:
    """Steady noise of as many colours."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        spectrum = np.fft.rfft(generator.standard_normal(4 * RATE))
        frequency = np.linspace(0, 1, len(spectrum))
        shape = np.exp(-((frequency - (number + 0.5) / count) ** 2) * 200) + 0.01
        found.append(np.fft.irfft(spectrum * shape))
    return found


def test_joins_of_noise_are_learned_from_labels_alone_and_found_in_a_file(tmp_path: Path) -> None:
    """Where they are is never told."""
    torch.manual_seed(0)
    generator, clips = np.random.default_rng(0), noises(5)
    model = BreakFinder(16)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        windows = broken_windows(clips, 8, 2 * RATE, RATE, generator)
        return torch.from_numpy(windows.audio), torch.from_numpy(windows.broken)

    losses = [loss for _, loss in learn_breaks(model, draw, 80, 5e-3)]
    assert np.mean(losses[-10:]) < 0.5 * losses[0]
    windows = broken_windows(clips, 20, 2 * RATE, RATE, generator)
    with torch.no_grad():
        heard = model(torch.from_numpy(windows.audio))
    places = most_broken(heard).numpy()[windows.broken] * model.step_seconds
    wrong = np.abs(places - windows.points[windows.broken] / RATE)
    assert (wrong < 0.1).mean() >= 0.8

    path = tmp_path / "joined.wav"
    whole = np.concatenate(
        [0.1 * clips[0][: round(2.6 * RATE)], 0.1 * clips[3][: round(1.9 * RATE)]]
    )
    write_audio(path, whole[None].astype(np.float32), RATE)
    strongest = max(find_breaks(model, path, least=0.0), key=lambda one: one.probability)
    assert strongest.second == pytest.approx(2.6, abs=0.1)
