"""LoRA: the merged weights are what peft computes, files add up and scale, foreign files are refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.toys import TEXT_WIDTH, make_transformer, randomise
from woosh import cli
from woosh.generation.lora import (
    LoraFacts,
    add_lora,
    check_base,
    merge_lora,
    merged,
    read_lora,
    save_lora,
)
from woosh.generation.transformer import WooshTransformer

FACTS = LoraFacts(rank=3, alpha=6.0, base="a toy", trigger="in my castle")


def adapted(seed: int) -> WooshTransformer:
    """A transformer with adapters that change something."""
    model = randomise(make_transformer(), 1)
    add_lora(model, FACTS.rank, FACTS.alpha, dropout=0.0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:  # as half precision holds it
                value.copy_((0.3 * torch.randn(value.shape, generator=generator)).half())
    return model.eval()  # type: ignore[return-value]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    save_lora(adapted(5), path, FACTS)
    return path


def velocity(model: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    text, mask = torch.randn(2, 12, TEXT_WIDTH, generator=generator), torch.ones(2, 12)
    latents, time = torch.randn(2, 8, 20, generator=generator), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        return model(latents, time, model.prepare(text, mask))  # type: ignore[operator]


def test_fresh_adapters_change_nothing_and_alone_are_trained() -> None:
    plain, model = randomise(make_transformer(), 1), randomise(make_transformer(), 1)
    add_lora(model, 3, 6.0, dropout=0.0)
    assert torch.equal(velocity(plain), velocity(model))
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    layers = {name.split(".lora_")[0] for name in trained}
    assert {"joint.0.audio.qkv", "joint.0.text.feed_forward.expand", "fused.0.out"} <= layers
    assert not any("modulation" in name for name in layers)


def test_merged_weights_do_what_the_adapters_do(file: Path) -> None:
    plain = randomise(make_transformer(), 1)
    names = list(plain.state_dict())
    assert merge_lora(plain, file) == FACTS
    assert list(plain.state_dict()) == names
    torch.testing.assert_close(velocity(plain), velocity(adapted(5)), rtol=1e-4, atol=1e-4)


def test_a_merged_copy_does_what_the_adapters_do_and_leaves_them(file: Path) -> None:
    model, plain = adapted(5), randomise(make_transformer(), 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = merged(model)
    assert list(copied.state_dict()) == list(plain.state_dict())
    assert {type(part) for part in copied.modules()} == {type(part) for part in plain.modules()}
    torch.testing.assert_close(velocity(copied), velocity(model), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(velocity(copied), velocity(plain), rtol=1e-2, atol=1e-2)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    merge_lora(plain, file)
    for name, value in copied.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-4, atol=1e-4)


def test_a_network_without_adapters_is_merged_into_its_like() -> None:
    plain = randomise(make_transformer(), 1)
    copied = merged(plain)  # type: ignore[arg-type]
    assert copied is not plain and list(copied.state_dict()) == list(plain.state_dict())
    assert torch.equal(velocity(copied), velocity(plain))


def test_files_add_up_and_scale(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "b.safetensors"
    save_lora(adapted(6), other, FACTS)
    once, twice, none = (randomise(make_transformer(), 1) for _ in range(3))
    merge_lora(once, file, 0.75)
    merge_lora(twice, file, 0.25)
    merge_lora(twice, file, 0.5)
    torch.testing.assert_close(velocity(once), velocity(twice))
    merge_lora(none, file, 0.0)
    assert torch.equal(velocity(none), velocity(randomise(make_transformer(), 1)))
    merge_lora(once, other)
    merge_lora(twice, other)
    torch.testing.assert_close(velocity(once), velocity(twice))


def test_foreign_files_are_refused_and_change_nothing(tmp_path: Path, file: Path) -> None:
    model = randomise(make_transformer(), 1)
    before = velocity(model)
    with pytest.raises(FileNotFoundError, match="no LoRA file at"):
        merge_lora(model, tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="is no LoRA file"):
        merge_lora(model, tmp_path / "text.safetensors")
    tensors = load_file(file)
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="no facts"):
        merge_lora(model, tmp_path / "bare.safetensors")
    tensors.pop(next(name for name in tensors if "fused.0.out.lora_A" in name))
    facts = {"format": "woosh-lora", "rank": "3", "alpha": "6.0", "base": "x", "trigger": ""}
    save_file(tensors, tmp_path / "half.safetensors", facts)
    with pytest.raises(ValueError, match="incomplete"):
        merge_lora(model, tmp_path / "half.safetensors")
    other = WooshTransformer.from_config({**model.config, "inner_width": 48})  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"made for 'a toy', another transformer: it adapts"):
        merge_lora(other, file)
    assert torch.equal(velocity(model), before)


def test_a_file_tells_its_facts(file: Path) -> None:
    tensors, facts = read_lora(file)
    assert facts == FACTS and all(value.dtype == torch.float16 for value in tensors.values())


@pytest.mark.parametrize(
    ("base", "model", "fits"),
    [
        ("woosh-tiny", "woosh-tiny", True),
        ("woosh-tiny", "woosh-tiny-fast", True),
        ("woosh-small", "woosh-tiny", False),
        ("woosh-tiny", "woosh-small", False),
        ("runs/moved", "woosh-tiny", True),
    ],
)
def test_a_file_serves_its_base_and_what_was_made_from_it(
    base: str, model: str, fits: bool
) -> None:
    """Shapes may agree where weights do not: the sound was noise without a word."""
    if fits:
        check_base("a.safetensors", base, model)
    else:
        with pytest.raises(ValueError, match=f"made for {base}, .* give --model {base}"):
            check_base("a.safetensors", base, model)


@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (-1, 1.0), (2, float("nan"))])
def test_a_rank_or_an_alpha_that_is_impossible_is_refused(
    rank: int, alpha: float, tmp_path: Path, file: Path
) -> None:
    """Before a training as well as in a file."""
    with pytest.raises(ValueError, match=r"(rank|alpha) is "):
        add_lora(make_transformer(), rank, alpha, dropout=0.0)
    facts = {"format": "woosh-lora", "rank": str(rank), "alpha": repr(alpha), "base": "x"}
    save_file(load_file(file), tmp_path / "b.safetensors", facts | {"trigger": ""})
    with pytest.raises(ValueError, match=r"is no LoRA file: (rank|alpha) is "):
        read_lora(tmp_path / "b.safetensors")


def test_a_base_that_is_not_here_is_told_with_the_file_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file may name whatever its author wrote, of any length; the message spoke of a model that nobody had asked for."""
    for base in ("a folder that was moved", "x" * 5000):
        save_lora(adapted(5), tmp_path / "a.safetensors", LoraFacts(3, 6.0, base))
        assert cli.main(["generate", "rain", "--lora", str(tmp_path / "a.safetensors")]) == 2
        said = capsys.readouterr().err
        assert f"a.safetensors was trained beside '{base[:20]}" in said and len(said) < 1000
        assert "add --model" in said
