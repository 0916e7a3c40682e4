"""The visual extractor: parity with the reference, strict loading, lengths and lateness."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.official import assert_parity, fill, read_manifest
from woosh.video.synchformer import PUBLISHED, Synchformer, load_synchformer


@pytest.fixture(scope="module")
def toy() -> Synchformer:
    torch.manual_seed(0)
    model = Synchformer(width=24, depth=2, heads=2, image_size=32).eval()
    for parameter in (model.temp_embed, model.pos_embed):
        torch.nn.init.normal_(parameter)
    return model


def test_parity_and_strict_loading_of_the_published_weights(shared: Path, tmp_path: Path) -> None:
    folder = shared / "official" / "full" / "Synchformer"
    tensors = fill(read_manifest(folder))
    assert sum(value.numel() for value in tensors.values()) == 122_440_704  # as published
    save_file(tensors, tmp_path / "synchformer.safetensors")
    model = load_synchformer(tmp_path / "synchformer.safetensors")
    unused = sum(v.numel() for n, v in tensors.items() if n.startswith(PUBLISHED + "patch_embed."))
    assert unused == 590_592
    assert sum(p.numel() for p in model.parameters()) == 122_440_704 - unused
    io = load_file(folder / "io.safetensors")
    seen = 15  # frames, of a grey segment and of one that is half grey: the other two would cost as much again
    with torch.inference_mode():
        features = model(io["video"][:, :seen].float())
    assert_parity(features, io["features"][:, :seen], 1e-3)


def test_wrong_files_are_refused(toy: Synchformer, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no tensor vfeat_extractor"):
        load_synchformer(path)
    save_file({PUBLISHED + name: value for name, value in toy.state_dict().items()}, path)
    with pytest.raises(ValueError, match=r"blocks\.2\.norm3\.weight is missing.* more"):
        load_synchformer(path)


@pytest.mark.parametrize("frames", [1, 7, 8, 17, 24])
def test_every_frame_has_a_vector(frames: int, toy: Synchformer) -> None:
    with torch.inference_mode():
        assert toy(torch.zeros(2, frames, 3, 32, 32)).shape == (2, frames, 24)


def test_batch_equals_single_and_vectors_are_late(toy: Synchformer) -> None:
    frames = torch.randn(2, 40, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = toy(frames, batch=3)
        torch.testing.assert_close(together[1:], toy(frames[1:]), rtol=1e-4, atol=1e-5)
        changed = frames.clone()
        changed[:, 24:26] = 0
        moved = (toy(changed) - together).abs().amax(dim=(0, 2)) > 1e-6
    # Segments of 16 frames every 8, the first of them padding: frames 24 and 25 are in the fourth and the fifth.
    assert moved.nonzero().flatten().tolist() == list(range(32, 40))


@pytest.mark.parametrize("sizes", [[40], [1] * 23, [7, 16, 8, 3], [8, 8]])
def test_a_film_in_windows_is_the_film(sizes: list[int], toy: Synchformer) -> None:
    generator = torch.Generator().manual_seed(2)
    frames = torch.randint(0, 256, (sum(sizes), 3, 32, 32), generator=generator).to(torch.uint8)
    with torch.inference_mode():
        whole = toy(frames[None] / 127.5 - 1)[0]
    torch.testing.assert_close(toy.watch(frames.split(sizes)), whole, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no frame"):
        toy.watch([])


def test_every_parameter_gets_a_gradient(toy: Synchformer) -> None:
    toy(torch.randn(1, 16, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in toy.parameters())
    toy.zero_grad()


def test_save_and_load(toy: Synchformer, tmp_path: Path) -> None:
    toy.save_pretrained(tmp_path)
    loaded = Synchformer.from_pretrained(tmp_path)
    state = toy.state_dict()
    assert all(value.equal(state[name]) for name, value in loaded.state_dict().items())


def test_other_frames_are_refused(toy: Synchformer) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, F, 3, 32, 32\)"):
        toy(torch.zeros(1, 4, 3, 32, 16))
