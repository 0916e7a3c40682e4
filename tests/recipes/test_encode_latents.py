"""The cache of latents: what the autoencoder says, varied as asked, weighed as heard."""

from pathlib import Path

import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import CONFIGS
from tests.toys import make_transformer, randomise
from training import encode_latents, train_flow
from woosh.autoencoder import WooshAutoencoder
from woosh.data.sources import load_source
from woosh.training.conditioning import load_text_conditioner
from woosh.training.config import load_config, replace_fields
from woosh.training.flow.crops import Crops, LatentBatches
from woosh.training.flow.encoding import pieces_of
from woosh.training.flow.latents import load_latents, read_common
from woosh.training.flow.steps import FlowBatch, Prompts


def test_cached_latents_are_what_the_autoencoder_says(
    latents_run: Path, magnitude_run: Path, manifest: Path
) -> None:
    clips, common = load_latents(latents_run)
    recorded = [clip for clip in clips if not clip.name.startswith("procedural/")]
    assert len(recorded) == 4 * 2 * 2  # files, pieces of 0.5 s, speeds
    assert {clip.latents.shape[1] for clip in recorded} == {51, 41}
    model = WooshAutoencoder.from_pretrained(magnitude_run / "autoencoder").eval()
    audio, _ = soundfile.read(manifest.parent / recorded[0].name, dtype="float32")
    piece = torch.from_numpy(audio[:24_000])
    with torch.no_grad():
        expected = model.encode((0.8 * piece / piece.abs().max())[None, None])[0, :4]
    scale = expected.abs().max()
    assert (recorded[0].latents.float() - expected).abs().max() < 2e-3 * scale
    assert common.silence.shape == (4, 101)
    twins = {clip.name: clip.label for clip in clips if clip.name.startswith("procedural/")}
    assert list(twins.values())[2:] == ["dog bark"] * 3 + ["engine"] * 3


def test_a_twin_without_a_family_is_refused(
    magnitude_run: Path, manifest: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        load_config(encode_latents.Config, CONFIGS / "latents_tiny.yaml"),
        output=str(tmp_path / "latents"),
        data=str(manifest),
        autoencoder=str(magnitude_run / "autoencoder"),
        procedural_clips=0,
        twins=("dog bark",),
    )
    with pytest.raises(ValueError, match="'dog bark' in twins is not of the form label=family"):
        encode_latents.main(config)


def test_weights_of_channels_are_stored(latents_run: Path) -> None:
    weight = load_latents(latents_run).common.channel_weight
    assert weight.shape == (4,) and weight.min() > 0 and abs(weight.mean().item() - 1) < 1e-5


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("latents-*.tar"))}


def config_of(run: Path, output: Path, **changes: object) -> encode_latents.Config:
    config = load_config(encode_latents.Config, run / "config.yaml")
    return replace_fields(config, output=str(output), **changes)


def test_an_ended_run_goes_on_where_it_was(latents_run: Path, tmp_path: Path) -> None:
    whole = shards(latents_run)
    output = tmp_path / "latents"
    config = config_of(latents_run, output)
    encode_latents.main(config)
    assert shards(output) == whole
    first, *_, last = sorted(output.glob("latents-*.tar"))
    last.unlink()
    first.write_bytes(b"as it was")  # what is there is not encoded again
    (output / "common.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no latents in"):
        load_latents(output)
    with pytest.raises(ValueError, match="is damaged"):
        encode_latents.main(config)
    first.write_bytes(whole[first.name])
    encode_latents.main(config)
    assert shards(output) == whole
    with pytest.raises(FileExistsError, match="other settings"):
        encode_latents.main(replace_fields(config, seed=2))


def test_the_cache_gives_the_loss_of_encoding_online(
    latents_run: Path, magnitude_run: Path, text_run: Path, tmp_path: Path
) -> None:
    """In float32 bit for bit, in half precision nearly; hidden states are those of the text encoder."""
    parts = {
        "text_encoder": str(text_run / "text_encoder"),
        "tokenizer": str(text_run / "tokenizer"),
    }
    text = load_text_conditioner(*parts.values(), torch.device("cpu"))
    autoencoder = WooshAutoencoder.from_pretrained(magnitude_run / "autoencoder").eval()
    transformer = randomise(make_transformer(channels=4), 3)
    losses = {}
    for storage in ("float32", "float16"):
        output = tmp_path / storage
        config = config_of(latents_run, output, storage=storage, speeds=(1.0,), **parts)
        encode_latents.main(config)
        crops = Crops(read_common(output), (40,), (1.0,), 160, 0.3, 100.0, 0)
        batch = LatentBatches(load_latents(output).clips, crops, (), 0.0, 0.0).batch(1)
        recorded = load_source(config.data, "train")
        rendered = encode_latents.parts_of(config, 48_000)
        clips = [*recorded, *(c for part in rendered for c in part().clips if "/" in c.name)]
        pieces = [p for clip in clips for p in pieces_of(clip, config.longest_seconds, 48_000)]
        online = [encode_latents.encoded(autoencoder, *piece, ()) for piece in pieces]
        again = LatentBatches(online, crops, (), 0.0, 0.0).batch(1)
        assert again.captions == batch.captions and "" in batch.captions
        noise, time = torch.randn(batch.latents.shape), torch.rand(len(batch.latents))
        assert batch.states is not None and batch.mask is not None
        with torch.no_grad():
            cached, fresh = (
                train_flow.training_step(
                    transformer, FlowBatch(latents, prompts, noise, time), torch.ones(4)
                )[0]
                for latents, prompts in (
                    (batch.latents, Prompts(batch.states, batch.mask)),
                    (again.latents, Prompts(*text(again.captions))),
                )
            )
        losses[storage] = float(cached), float(fresh)
    assert losses["float32"][0] == pytest.approx(losses["float32"][1], rel=1e-6)
    assert losses["float16"][0] == pytest.approx(losses["float16"][1], rel=1e-3)
