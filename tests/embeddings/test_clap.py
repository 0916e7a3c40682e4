"""The aligner: segments, text form, parity with the released one, folders."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.official import assert_parity, fill, read_manifest
from tests.paths import SHARED
from tests.toys import make_clap, make_tokenizer
from woosh import catalogue
from woosh.catalogue import BUILT_IN
from woosh.conversion.convert import clap_from_released, convert
from woosh.embeddings.clap import (
    ClapHead,
    WooshClap,
    load_clap,
    normalise_text,
    rounded_segments,
    save_clap,
    segment_counts,
    segments,
)
from woosh.taggers.log_mel import LogMel

RELEASED = SHARED / "official" / "full" / "Woosh-CLAP"


@pytest.fixture(scope="module")
def clap() -> WooshClap:
    return make_clap()


def sounds(count: int, seconds: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(count, round(seconds * 32_000), generator=generator)


def test_embeddings_have_unit_length_and_the_common_width(clap: WooshClap) -> None:
    with torch.inference_mode():
        audio = clap.embed_audio(sounds(2, 0.4))
        text = clap.embed_text(["a dog barking", "rain"])
    assert audio.shape == text.shape == (2, clap.width)
    for embedding in (audio, text):
        assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-6)


def test_a_batch_equals_singles_whatever_their_lengths(clap: WooshClap) -> None:
    lengths = torch.tensor([8_000, 330_000, 160_000, 1])
    audio = sounds(4, 12.0)
    padded = audio * (torch.arange(audio.shape[1]) < lengths[:, None])
    with torch.inference_mode():
        batch = clap.embed_audio(padded, lengths)
        singles = [
            clap.embed_audio(clip[None, :length])
            for clip, length in zip(audio, lengths.tolist(), strict=True)
        ]
    assert torch.allclose(batch, torch.cat(singles), atol=1e-5)


def test_what_lies_behind_a_sound_is_not_heard(clap: WooshClap) -> None:
    audio = sounds(1, 3.0)
    lengths = torch.tensor([40_000])
    with torch.inference_mode():
        first = clap.embed_audio(audio, lengths)
        second = clap.embed_audio(audio * (torch.arange(96_000) < 40_000), lengths)
    assert torch.equal(first, second)


def test_more_than_a_minute_is_not_heard(clap: WooshClap) -> None:
    audio = sounds(1, 70.0)
    with torch.inference_mode():
        assert torch.equal(clap.embed_audio(audio), clap.embed_audio(audio[:, : 60 * 32_000]))


@pytest.mark.parametrize("lengths", [[0, 5], [5, 99]])
def test_lengths_out_of_range_are_refused(clap: WooshClap, lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="are not in 1 to 50"):
        clap.embed_audio(torch.zeros(2, 50), torch.tensor(lengths))
    with pytest.raises(ValueError, match="audio must be"):
        clap.embed_audio(torch.zeros(2, 1, 50))


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [(0.1, 1), (5.0, 1), (5.2, 1), (5.3, 2), (7.0, 2), (10.0, 2), (10.1, 2), (10.4, 3), (60.0, 12)],
)
def test_a_rest_below_a_twentieth_is_dropped(seconds: float, counted: int) -> None:
    lengths = torch.tensor([round(seconds * 32_000)])
    assert rounded_segments(lengths, 160_000).item() == counted
    heard, divisor = segment_counts(lengths, 160_000, released_mean=False)
    assert heard.item() == divisor.item() == counted


def test_the_released_mean_divides_by_the_segments_begun() -> None:
    """10.1 s are two segments, divided by three; in a batch with 20 s the third is heard too."""
    lengths = torch.tensor([323_200, 100])
    heard, divisor = segment_counts(lengths, 160_000, released_mean=True)
    assert heard.tolist() == [2, 1] and divisor.tolist() == [3, 1]
    heard, divisor = segment_counts(torch.tensor([323_200, 640_000]), 160_000, released_mean=True)
    assert heard.tolist() == [3, 4] and divisor.tolist() == [3, 4]
    heard, divisor = segment_counts(torch.tensor([160_640]), 160_000, released_mean=True)
    assert heard.tolist() == [1] and divisor.tolist() == [1]  # one segment is not divided


@given(length=st.integers(1, 50), count=st.integers(1, 6), size=st.integers(1, 12))
def test_segments_hold_the_sound_and_then_zeros_or_the_sound_again(
    length: int, count: int, size: int
) -> None:
    audio = torch.arange(1.0, length + 1)
    total = count * size
    zeros = segments(audio, count, size, "zeros")
    repeated = segments(audio, count, size, "repeat")
    assert zeros.shape == repeated.shape == (count, size)
    kept = min(total, length)
    assert torch.equal(zeros.flatten()[:kept], audio[:kept]) and not zeros.flatten()[kept:].any()
    assert torch.equal(repeated.flatten(), audio[torch.arange(total) % length])


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("A Dog  barking", "a dog barking"),
        (" rain,wind ,  thunder, ", "rain, wind , thunder"),
        (",,x", "x"),
        ("", ""),
    ],
)
def test_texts_take_the_form_of_the_captions(text: str, normalised: str) -> None:
    assert normalise_text(text) == normalised


@given(st.text(max_size=40))
def test_normalising_a_text_again_changes_nothing(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once


def test_case_and_spacing_do_not_matter(clap: WooshClap) -> None:
    with torch.inference_mode():
        first, second = clap.embed_text(["A dog,barking", "a dog, barking "])
    assert torch.allclose(first, second, atol=1e-6)


def test_pooling_takes_the_first_token_or_the_mean_of_the_real_ones() -> None:
    states = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    first = ClapHead(8, 16, 4, "first")
    mean = ClapHead(8, 16, 4, "mean")
    mean.load_state_dict(first.state_dict())
    expected = torch.stack([states[0, :3].mean(dim=0), states[1, 0]])
    unit = torch.nn.functional.normalize
    assert torch.allclose(mean.embed_states(states, mask), unit(mean.text(expected)), atol=1e-6)
    assert torch.equal(first.embed_states(states, mask), unit(first.text(states[:, 0])))


@pytest.mark.parametrize("option", [{"text_pooling": "last"}, {"padding": "mirror"}])
def test_unknown_options_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(option.values()))):
        ClapHead(**option)


def test_every_trained_parameter_gets_a_gradient(clap: WooshClap) -> None:
    modules = torch.nn.ModuleList([clap.audio_encoder, clap.head, clap.text_encoder])
    modules.zero_grad()
    audio, text = clap.embed_audio(sounds(2, 1.0)), clap.embed_text(["rain", "a dog"])
    (audio @ text.T)[0, 1].backward()
    missing = [name for name, value in modules.named_parameters() if value.grad is None]
    assert not missing
    modules.zero_grad()


def test_save_and_load(clap: WooshClap, tmp_path: Path) -> None:
    save_clap(clap, tmp_path / "own")
    loaded = load_clap(tmp_path / "own")
    audio = sounds(1, 0.5)
    with torch.inference_mode():
        assert torch.equal(loaded.embed_audio(audio), clap.embed_audio(audio))
        assert torch.equal(loaded.embed_text(["rain"]), clap.embed_text(["rain"]))


def test_a_text_encoder_may_be_shared_with_a_built_in_model(
    clap: WooshClap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "WooshPipeline"}')
    clap.text_encoder.save_pretrained(tmp_path / "model" / "text_encoder")
    clap.tokenizer.save_pretrained(tmp_path / "model" / "tokenizer")
    save_clap(clap, tmp_path / "aligner", text_encoder_of="model")
    assert not (tmp_path / "aligner" / "text_encoder").exists()
    with pytest.raises(ValueError, match="aligner is not there: unknown model 'model'"):
        load_clap(tmp_path / "aligner")
    monkeypatch.setattr(catalogue, "BUILT_IN", tmp_path)
    with torch.inference_mode():
        loaded = load_clap(tmp_path / "aligner").embed_text(["rain"])
        assert torch.equal(loaded, clap.embed_text(["rain"]))


def test_what_is_no_aligner_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="unknown aligner 'nowhere'"):
        load_clap("nowhere")
    with pytest.raises(ValueError, match="not a WooshClap"):
        load_clap(BUILT_IN / "woosh-tiny")


def released() -> tuple[dict, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    if not RELEASED.is_dir():
        pytest.skip("no shared fixture official/full/Woosh-CLAP")
    config = yaml.safe_load((RELEASED / "config.yaml").read_text())
    return config, fill(read_manifest(RELEASED)), load_file(RELEASED / "io.safetensors")


@pytest.mark.slow
def test_released_weights_give_the_reference_embeddings_and_count() -> None:
    config, tensors, io = released()
    assert len(tensors) == 554 and sum(t.numel() for t in tensors.values()) == 443_319_070
    parts = clap_from_released(config, tensors)
    tower = sum(value.numel() for value in parts["audio_encoder"].parameters())
    assert tower == 86_122_270
    aligner = WooshClap(**parts, tokenizer=make_tokenizer(), log_mel=LogMel())  # type: ignore[arg-type]
    with torch.inference_mode():
        log_mel = aligner.log_mel(io["audio"][:, :160_000])
        assert_parity(log_mel, io["mel"], 1e-4)
        assert_parity(aligner.embed_audio(io["audio"]), io["audio_embedding"], 1e-4)
        text = aligner.embed_tokens(io["input_ids"], io["attention_mask"])
        assert_parity(text, io["text_embedding"], 1e-4)


def toy_released() -> tuple[dict, dict[str, torch.Tensor]]:
    """A released aligner of toy size: the names of the full one, other shapes."""
    if not RELEASED.is_dir():
        pytest.skip("no shared fixture official/full/Woosh-CLAP")
    config = yaml.safe_load((RELEASED / "config.yaml").read_text())
    sizes = {768: 64, 2304: 192, 3072: 256, 1024: 64, 4096: 128, 50265: 300, 514: 79, 527: 5}
    manifest = read_manifest(RELEASED)
    shapes = {
        name: tuple(sizes.get(size, size) for size in shape)
        for name, shape in manifest.items()
        if not any(f".{layer}." in name for layer in range(2, 24))
        or not (".blocks." in name or ".layer." in name)
    }
    return {**config, "shared_representation_size": 64}, fill(shapes)


def write_released(folder: Path, config: dict, tensors: dict[str, torch.Tensor]) -> None:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = {name: t for name, t in tensors.items() if name.startswith("sentence")}
    audio = {name: t for name, t in tensors.items() if name.startswith("audio")}
    save_file(text, folder / "weights_text.safetensors")
    save_file(audio, folder / "weights_audio.safetensors")


def test_a_released_folder_becomes_an_aligner_folder(tmp_path: Path) -> None:
    config, tensors = toy_released()
    write_released(tmp_path / "released", config, tensors)
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    convert(tmp_path / "released", tmp_path / "aligner", tokenizer=tmp_path / "tokenizer")
    index = json.loads((tmp_path / "aligner" / "model_index.json").read_text())
    assert index == {"_class_name": "WooshClap", "audio_encoder": "Passt"}
    aligner = load_clap(tmp_path / "aligner")
    assert aligner.head.released_mean and aligner.head.text_pooling == "first"
    with torch.inference_mode():
        assert aligner.embed_audio(sounds(1, 6.0)).shape == (1, 64)


def test_errors_name_the_tensor_and_the_option(tmp_path: Path) -> None:
    config, tensors = toy_released()
    some = "audio_frontend.model.blocks.1.attn.qkv.weight"
    with pytest.raises(ValueError, match=f"{some} is missing"):
        clap_from_released(config, {n: t for n, t in tensors.items() if n != some})
    for extra in ("audio_frontend.model.extra", "sentence_head.0.extra", "strange"):
        with pytest.raises(ValueError, match=f"{extra} is left over"):
            clap_from_released(config, {**tensors, extra: torch.zeros(1)})
    audio = {**config["audio"], "mask_attention": True}
    with pytest.raises(ValueError, match="option mask_attention is True"):
        clap_from_released({**config, "audio": audio}, tensors)
    write_released(tmp_path / "released", config, tensors)
    (tmp_path / "released" / "weights_text.safetensors").unlink()
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(FileNotFoundError, match="weights_text"):
        convert(tmp_path / "released", tmp_path / "out", tokenizer=tmp_path / "tokenizer")
    assert not (tmp_path / "out").exists()
