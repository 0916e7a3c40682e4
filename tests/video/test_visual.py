"""The network that watches: shapes, alignment in time, gradients, loss and reading its answers."""

from pathlib import Path

import pytest
import torch

from woosh.training.visual import Record, watching_loss
from woosh.video import WATCHED_RATE
from woosh.video.visual import CONTEXT, Happenings, VisualEncoder, event_times


@pytest.fixture(scope="module")
def toy() -> VisualEncoder:
    torch.manual_seed(0)
    return VisualEncoder(size=32, channels=8, width=16, families=3).eval()


def some_frames(clips: int = 2, count: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (clips, count, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("count", [1, 2, 24])
def test_every_frame_has_features(count: int, toy: VisualEncoder) -> None:
    seen = toy(some_frames(2, count))
    assert seen.features.shape == (2, count, 16)
    assert seen.event.shape == seen.offset.shape == seen.intensity.shape == (2, count)
    assert seen.family.shape == (2, 3)


def test_batch_equals_single(toy: VisualEncoder) -> None:
    frames = some_frames()
    together = toy.features(frames)
    torch.testing.assert_close(together[1:], toy.features(frames[1:]), rtol=1e-4, atol=1e-5)


def test_features_stay_near_what_they_tell_of(toy: VisualEncoder) -> None:
    frames = some_frames(1, 60)
    changed = frames.clone()
    changed[:, 30] = 255 - changed[:, 30]
    moved = (toy.features(changed) - toy.features(frames)).abs().amax(dim=2)[0]
    assert int(moved.argmax()) in range(28, 33)
    assert moved[30 - CONTEXT : 31 + CONTEXT].gt(0).all()
    assert not torch.cat([moved[: 30 - CONTEXT], moved[31 + CONTEXT :]]).any()


@pytest.mark.parametrize("sizes", [[90], [1] * 60, [7, 40, 18, 3], [20, 20]])
def test_a_film_in_windows_is_the_film(sizes: list[int], toy: VisualEncoder) -> None:
    frames = 96 + some_frames(1, sum(sizes)) // 4  # too faint for cuts
    whole = toy.features(frames)[0]
    torch.testing.assert_close(toy.watch(frames[0].split(sizes)), whole, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no frame"):
        toy.watch([])


@pytest.mark.parametrize("size", [7, 20, 90])
def test_every_shot_is_seen_alone(size: int, toy: VisualEncoder) -> None:
    shades = torch.linspace(0, 255, 32).to(torch.uint8).expand(3, 32, 32)
    shots = [shades.expand(20, 3, 32, 32), shades.flip(2).expand(30, 3, 32, 32)]
    alone = torch.cat([toy.features(shot[None])[0] for shot in shots])
    seen = toy.watch(torch.cat(shots).split(size))
    torch.testing.assert_close(seen, alone, rtol=1e-4, atol=1e-5)
    assert (seen[18:22] - toy.features(torch.cat(shots)[None])[0, 18:22]).abs().amax() > 0.01


def test_every_parameter_gets_a_gradient(toy: VisualEncoder) -> None:
    event = torch.zeros(2, 40)
    event[0, 7] = 1
    record = Record(
        event,
        0.5 * event,
        torch.rand(2, 40),
        torch.tensor([False, True]),
        torch.tensor([0, 2]),
    )
    watching_loss(toy(some_frames()), record)[0].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in toy.parameters())
    toy.zero_grad()


def test_loss_counts_only_what_the_record_knows() -> None:
    seen = Happenings(
        torch.zeros(2, 4, 1),
        torch.zeros(2, 4),
        torch.full((2, 4), 0.5),
        torch.full((2, 4), 0.5),
        torch.zeros(2, 2),
    )
    event = torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 0]])
    record = Record(
        event, 0.25 * event, torch.ones(2, 4), torch.tensor([False, True]), torch.tensor([0, 1])
    )
    _, parts = watching_loss(seen, record)
    assert parts["event"].item() == pytest.approx(0.6931, abs=1e-4)
    assert parts["offset"].item() == pytest.approx(0.25)
    assert parts["intensity"].item() == pytest.approx(0.25)
    assert parts["family"].item() == pytest.approx(0.6931, abs=1e-4)


def test_event_times() -> None:
    event = torch.full((1, 48), -5.0)
    event[0, [10, 11, 30]] = torch.tensor([1.0, 3.0, 2.0])
    offset = torch.full((1, 48), 0.5)
    seen = Happenings(torch.zeros(1, 48, 1), event, offset, offset, torch.zeros(1, 2))
    assert event_times(seen, 0) == pytest.approx([11.5 / WATCHED_RATE, 30.5 / WATCHED_RATE])
    assert event_times(seen, 0, least=0.999) == []


def test_save_and_load(toy: VisualEncoder, tmp_path: Path) -> None:
    toy.save_pretrained(tmp_path)
    loaded = VisualEncoder.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.features(some_frames()), toy.features(some_frames()))


def test_bad_arguments(toy: VisualEncoder) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        VisualEncoder(size=100)
    with pytest.raises(ValueError, match="must be multiples of 8"):
        VisualEncoder(size=32, channels=9)
    with pytest.raises(ValueError, match=r"must be \(B, F, 3, 32, 32\)"):
        toy(torch.zeros(1, 4, 3, 32, 64))
