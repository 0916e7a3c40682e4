"""Every family of networks listens through the HEAR interface, with one size for scenes and stamps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.toys import make_clap
from woosh.embeddings.clap import save_clap
from woosh.embeddings.ears import (
    Ear,
    aligner_ear,
    congater_ear,
    mid_level_ear,
    passt_ear,
    tagger_ear,
)
from woosh.embeddings.hear import (
    HearModel,
    get_scene_embeddings,
    get_timestamp_embeddings,
    load_model,
)
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt
from woosh.taggers.tagger import AudioTagger, FrontEnd, save_tagger

TOY = {"width": 16, "depth": 1, "heads": 2, "classes": 5}


def field_ear(make: Callable[..., nn.Module], channels: int, **sizes: int) -> Ear:
    network = make(**sizes, channels=channels, classes=5).eval()
    return tagger_ear(network, LogMel(), channels)  # type: ignore[arg-type]


EARS: dict[str, Callable[[], Ear]] = {
    "PaSST": lambda: passt_ear(Passt(**TOY, frames=1000).eval()),
    "ConGater": lambda: congater_ear(
        ConGater(Passt(**TOY), ("device",), "T", "last").eval(), LogMel(), (0.5,)
    ),
    "MobileNet": lambda: tagger_ear(MobileNet(0.1, 5).eval(), LogMel()),
    "MobileNet without a head": lambda: tagger_ear(MobileNet(0.1).eval(), LogMel()),
    "MobileNet's middle": lambda: mid_level_ear(MobileNet(0.1, 5).eval(), LogMel()),
    "DyMN": lambda: tagger_ear(DynamicMobileNet(0.4, 5).eval(), LogMel()),
    "CP-ResNet": lambda: field_ear(CpResNet, 2, width=8),
    "CP-VGG": lambda: field_ear(CpVgg, 1, width=8),
    "CP-DenseNet": lambda: field_ear(CpDenseNet, 1, growth=4),
    "CP-Mobile": lambda: field_ear(CpMobile, 1, base=8),
    "aligner": lambda: aligner_ear(make_clap()),
}


@pytest.mark.parametrize("recipe", ["base", "two-levels-mel"])
@pytest.mark.parametrize("name", EARS)
def test_every_ear_has_stamps_every_50_ms_and_one_size(name: str, recipe: str) -> None:
    model = HearModel(EARS[name](), recipe).eval()
    audio = 0.1 * torch.randn(2, 3500, generator=torch.Generator().manual_seed(0))
    scenes = get_scene_embeddings(audio, model)
    stamps, times = get_timestamp_embeddings(audio, model)
    assert scenes.shape == (2, model.scene_embedding_size)
    assert stamps.shape == (2, 3, model.timestamp_embedding_size)
    assert model.scene_embedding_size == model.timestamp_embedding_size
    assert times.tolist() == [[0.0, 50.0, 100.0]] * 2
    assert scenes.isfinite().all()
    assert not stamps[:, 0].equal(stamps[:, 2])


@pytest.mark.parametrize("name", EARS)
def test_a_window_is_what_the_ear_itself_makes_of_it(name: str) -> None:
    ear = EARS[name]()
    audio = 0.1 * torch.randn(1, 7000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ear.embed(audio)
    found = get_scene_embeddings(audio, HearModel(ear))
    torch.testing.assert_close(found, expected)
    assert expected.shape == (1, ear.size)


def test_a_network_in_training_mode_does_not_listen() -> None:
    with pytest.raises(ValueError, match=r"MobileNet is in training mode: call its eval\(\)"):
        tagger_ear(MobileNet(0.1, 5), LogMel())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("woosh-tiny-tagger", 527 + 384),
        ("tagger:woosh-tiny-tagger", 527 + 384),
        ("woosh-tiny-clap", 128),
    ],
)
def test_built_in_ears_are_loaded_by_name(name: str, size: int) -> None:
    model = load_model(name)
    assert get_scene_embeddings(torch.zeros(1, 3200), model).shape == (1, size)
    assert not model.training


def test_an_aligner_is_loaded_from_its_folder(tmp_path: Path) -> None:
    clap = make_clap()
    save_clap(clap, tmp_path / "clap")
    audio = 0.1 * torch.randn(1, 7000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = clap.embed_audio(audio)
    torch.testing.assert_close(get_scene_embeddings(audio, load_model(tmp_path / "clap")), expected)


def test_a_front_end_of_another_hop_is_refused() -> None:
    """Where a recipe is made for one; windows of the others are as long with any."""
    ear = tagger_ear(MobileNet(0.1, 5).eval(), LogMel(hop_length=160))
    with pytest.raises(ValueError, match="frames of 100 samples"):
        HearModel(ear, "hop100")
    assert HearModel(ear, "base").parts[0].window == 5120


SAVED: dict[str, tuple[Callable[[], nn.Module], FrontEnd]] = {
    "CP-ResNet": (lambda: CpResNet(8, 1, 5), FrontEnd()),
    "CP-VGG": (lambda: CpVgg(8, 1, 5), FrontEnd(hop_length=640, bands=64)),
    "CP-DenseNet": (lambda: CpDenseNet(4, 1, 5), FrontEnd(sample_rate=16_000)),
    "CP-Mobile": (lambda: CpMobile(base=8, classes=5), FrontEnd(500, 256, 32_000, 4096, 3072)),
    "DyMN": (lambda: DynamicMobileNet(0.4, 5), FrontEnd()),
    "PaSST": (lambda: Passt(**TOY, frames=1000), FrontEnd()),
    "ConGater": (
        lambda: ConGater(Passt(**TOY, frames=1000), ("device",), "T", "last"),
        FrontEnd(),
    ),
}


@pytest.mark.parametrize("name", SAVED)
def test_every_tagger_is_an_ear_by_its_folder(name: str, tmp_path: Path) -> None:
    """What `save_tagger` wrote is heard with as it is: by its own front end, a ConGater at control 0."""
    make, front_end = SAVED[name]
    tagger = AudioTagger(make().eval(), tuple("abcde"), front_end).eval()
    save_tagger(tagger, tmp_path / "tagger")
    audio = 0.1 * torch.randn(1, 20_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.cat(tagger(audio), dim=1)
    model = load_model(tmp_path / "tagger")
    assert model.sample_rate == front_end.sample_rate
    torch.testing.assert_close(get_scene_embeddings(audio, model), expected)
    stamps, _ = get_timestamp_embeddings(audio[:, :3200], model)
    assert stamps.shape[2] == expected.shape[1] and stamps.isfinite().all()
    if name != "DyMN":
        with pytest.raises(ValueError, match="has no middle blocks"):
            load_model(f"tagger-mid:{tmp_path / 'tagger'}")
