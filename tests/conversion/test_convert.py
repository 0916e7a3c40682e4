"""Released networks: parity with the reference, coverage of the full-size files, and errors."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from tests.generation.test_text_encoder import make_tokenizer
from tests.official import assert_parity, load_released, read_manifest, write_released
from woosh.autoencoder import WooshAutoencoder
from woosh.conversion.convert import convert, from_released
from woosh.generation.flow import guide
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.solvers import dopri5_shared, euler, flow_map, uniform_times
from woosh.generation.text_encoder import WooshTextEncoder, tokenize
from woosh.generation.transformer import WooshTransformer

GENERATORS = ["Woosh-Flow", "Woosh-VFlow-8s", "Woosh-DFlow", "Woosh-DVFlow-8s"]
ALL = ["Woosh-AE", "TextConditionerA", *GENERATORS]


@pytest.fixture(autouse=True)
def _inference() -> None:
    with torch.inference_mode():
        yield


def converted_velocity(name: str) -> tuple[Callable[[Tensor, Tensor], Tensor], dict[str, Tensor]]:
    """Velocity with the reference's cfg 4.5, and the stored results."""
    config, tensors, io = load_released(name)
    model = from_released(config, tensors)
    negative = load_released("Woosh-Flow").io
    video = io.get("frames")
    condition = model.prepare(io["text"], io["mask"], video)
    no_video = None if video is None else torch.zeros_like(video)
    unconditional = model.prepare(negative["negative_text"], negative["negative_mask"], no_video)

    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        return guide(model(latents, time, condition), model(latents, time, unconditional), 5.5)

    return velocity, io


def test_autoencoder_gives_the_reference_latents_and_audio() -> None:
    config, tensors, io = load_released("Woosh-AE")
    model = from_released(config, tensors)
    assert isinstance(model, WooshAutoencoder)
    assert_parity(model.encode(io["audio"]), io["latent"])
    assert_parity(model.decode(io["latent"]), io["decoded"])


def test_text_conditioner_gives_the_reference_hidden_states() -> None:
    config, tensors, io = load_released("TextConditionerA")
    model = from_released(config, tensors)
    assert isinstance(model, WooshTextEncoder)
    assert_parity(model(io["input_ids"], io["attention_mask"]), io["text_cond"])


@pytest.mark.parametrize("name", ["Woosh-Flow", "Woosh-VFlow-8s"])
def test_generator_gives_the_reference_velocity(name: str) -> None:
    config, tensors, io = load_released(name)
    model = from_released(config, tensors)
    assert isinstance(model, WooshTransformer)
    condition = model.prepare(io["text"], io["mask"], io.get("frames"))
    assert_parity(model(io["noise"], io["t"], condition), -io["velocity"])
    if "logvar" in io:
        assert_parity(model.log_variance(io["t"]), io["logvar"])
    if condition.video is not None:
        assert_parity(condition.video, io["video_features"])


@pytest.mark.parametrize("name", ["Woosh-Flow", "Woosh-VFlow-8s"])
def test_euler_gives_the_reference_sample(name: str) -> None:
    velocity, io = converted_velocity(name)
    assert_parity(euler(velocity, io["noise"], uniform_times(8)), io["euler8_cfg4.5"])


def test_dopri5_gives_the_reference_sample() -> None:
    velocity, io = converted_velocity("Woosh-Flow")
    assert_parity(dopri5_shared(velocity, io["noise"]), io["dopri5_cfg4.5"])


@pytest.mark.parametrize("name", ["Woosh-DFlow", "Woosh-DVFlow-8s"])
def test_few_step_generator_gives_the_reference_displacement_and_sample(name: str) -> None:
    config, tensors, io = load_released(name)
    model = from_released(config, tensors)
    condition = model.prepare(io["text"], io["mask"], io.get("frames"))
    displacement = model(io["noise"], io["t"], condition, io["r"], io["cfg"])
    assert_parity(displacement, io["displacement"])
    guidance = torch.full((2,), 4.5)
    sample = flow_map(
        lambda latents, time, next_time: model(latents, time, condition, next_time, guidance),
        io["noise"],
        uniform_times(4),
        renoise=[0, 0, 0, 0],
        draw=lambda: torch.zeros(0),  # nothing is renoised
    )
    assert_parity(sample, io["steps4_cfg4_5"])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Woosh-AE", 221_158_947),
        ("TextConditionerA", 356_409_344 - 2 * 1_049_600),  # without pooler and shared head
        ("TextConditionerV", 356_409_344 - 2 * 1_049_600),
        ("Woosh-Flow", 337_238_145),
        ("Woosh-DFlow", 344_649_218),
        ("Woosh-VFlow-8s", 413_578_881),
        ("Woosh-DVFlow-8s", 420_989_954),
    ],
)
def test_every_tensor_of_the_full_size_file_has_its_place(
    name: str, count: int, shared: Path
) -> None:
    folder = shared / "official" / "full" / name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    shapes = read_manifest(folder)
    tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    model = from_released(config, tensors)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", ALL)
def test_no_tensor_is_guessed(name: str) -> None:
    config, tensors, _ = load_released(name)
    for key in list(tensors)[:: max(1, len(tensors) // 12)]:
        with pytest.raises(ValueError, match="missing"):
            from_released(config, {other: t for other, t in tensors.items() if other != key})
        with pytest.raises(ValueError, match="rank|fit"):
            from_released(config, tensors | {key: tensors[key][None]})


@pytest.mark.parametrize("name", ALL)
def test_errors_name_the_tensor(name: str) -> None:
    config, tensors, _ = load_released(name)
    *_, key = (key for key in tensors if key.endswith("bias"))
    without = {other: tensor for other, tensor in tensors.items() if other != key}
    with pytest.raises(ValueError, match=f"{key} is missing"):
        from_released(config, without)
    with pytest.raises(ValueError, match="extra.weight is left over"):
        from_released(config, tensors | {"extra.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=rf"{key} has shape \(1,\), expected"):
        from_released(config, tensors | {key: torch.zeros(1)})
    with pytest.raises(ValueError, match=f"{key} holds torch.int64"):
        from_released(config, tensors | {key: tensors[key].long()})


def test_tables_may_be_stored_but_not_changed() -> None:
    config, tensors, _ = load_released("Woosh-AE")
    name = "autoencoder.decoder.head.istft.window"
    from_released(config, tensors | {name: torch.hann_window(960)})
    with pytest.raises(ValueError, match=f"{name} is not the table"):
        from_released(config, tensors | {name: torch.ones(960)})
    config, tensors, _ = load_released("Woosh-DFlow")
    name = "dit.preprocessing.cfg_features.freqs"
    from_released(config, tensors | {name: 10000 ** (-torch.arange(16) / 16)})
    with pytest.raises(ValueError, match=f"{name} has shape"):
        from_released(config, tensors | {name: torch.ones(15)})


@pytest.mark.parametrize("name", ["Woosh-DFlow", "Woosh-DVFlow-8s"])
def test_parts_nested_in_a_generator_may_be_absent(name: str) -> None:
    config, tensors, _ = load_released(name)
    parts = ("autoencoder.", "conditioners.text.")
    own = {key: tensor for key, tensor in tensors.items() if not key.startswith(parts)}
    assert len(own) < len(tensors)
    bare, full = from_released(config, own), from_released(config, tensors)
    for key, parameter in bare.state_dict().items():
        assert parameter.equal(full.state_dict()[key])


def test_weights_are_taken_over_without_a_copy_and_unchanged() -> None:
    config, tensors, _ = load_released("Woosh-Flow")
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    model = from_released(config, tensors)
    storages = {tensor.data_ptr() for tensor in tensors.values()}
    own = [n for n, p in model.named_parameters() if p.data_ptr() not in storages]
    assert own == ["final.linear.weight", "final.linear.bias"]
    assert all(tensors[name].equal(before[name]) for name in before)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("Woosh-AE", ["spec_embed"], "mel"),
        ("Woosh-AE", ["istft_head", "softclip"], "exp"),
        ("TextConditionerA", ["remove_special_tokens"], True),
        ("Woosh-Flow", ["dit", "mlp_act"], "silu"),
        ("Woosh-Flow", ["dit", "original_seq_len"], 25),
        ("Woosh-Flow", ["pred_type"], "eps"),
        ("Woosh-DVFlow-8s", ["ldm", "video_fps"], 25),
    ],
)
def test_an_option_of_another_value_is_refused(name: str, path: list[str], value: object) -> None:
    config, tensors, _ = load_released(name)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=f"option {path[-1]} is {value!r}"):
        from_released(config, tensors)


def test_other_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no released kind.*\['audio', 'sentence'\]"):
        from_released({"audio": {}, "sentence": {}}, {})
    config, tensors, _ = load_released("Woosh-Flow")
    del config["dit"]["dim"]
    with pytest.raises(ValueError, match="no option dim"):
        from_released(config, tensors)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """All shrunken checkpoints as released folders."""
    folder = tmp_path / "checkpoints"
    write_released(folder, ALL)
    # A conditioner of videos holds the same tensors.
    shutil.copytree(folder / "TextConditionerA", folder / "TextConditionerV")
    make_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return folder


def folder_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", GENERATORS)
def test_generator_becomes_a_pipeline_folder(name: str, checkpoints: Path) -> None:
    out = checkpoints.parent / "out"
    convert(checkpoints / name, out, checkpoints.parent / "tokenizer")
    parts = ["autoencoder", "model_index.json", "text_encoder", "tokenizer", "transformer"]
    assert folder_names(out) == parts
    pipeline = WooshPipeline.from_pretrained(out)
    config, tensors, io = load_released(name)
    condition = [io["text"], io["mask"], io.get("frames")]
    few_step = [io["r"], io["cfg"]] if "r" in io else []
    one, other = pipeline.transformer, from_released(config, tensors)
    velocities = [m(io["noise"], io["t"], m.prepare(*condition), *few_step) for m in (one, other)]
    assert velocities[0].equal(velocities[1])
    assert pipeline.autoencoder.decode(io["noise"]).shape == (2, 1, 480 * 50)
    inputs = tokenize(pipeline.tokenizer, ["a dog barks"], pipeline.text_encoder.config.max_tokens)
    assert pipeline.text_encoder(*inputs).shape == (1, 77, 48)


def test_parts_in_the_generators_file_are_used_before_those_beside_it(checkpoints: Path) -> None:
    path = checkpoints / "Woosh-AE" / "weights.safetensors"
    path.unlink()
    out = checkpoints.parent / "out"
    convert(checkpoints / "Woosh-DFlow", out, checkpoints.parent / "tokenizer")
    tensors = load_released("Woosh-DFlow").tensors
    model = WooshAutoencoder.from_pretrained(out / "autoencoder")
    assert model.latent_mean.equal(tensors["autoencoder.z_mean"])


@pytest.mark.parametrize(
    ("name", "cls"), [("Woosh-AE", WooshAutoencoder), ("TextConditionerA", WooshTextEncoder)]
)
def test_a_part_alone_becomes_a_module_folder(name: str, cls: type, checkpoints: Path) -> None:
    out = checkpoints.parent / "out"
    convert(checkpoints / name, out)
    config, tensors, _ = load_released(name)
    for loaded, direct in zip(
        cls.from_pretrained(out).parameters(),
        from_released(config, tensors).parameters(),
        strict=True,
    ):
        assert loaded.equal(direct)


def test_nothing_is_left_behind_on_failure(checkpoints: Path) -> None:
    before, out = folder_names(checkpoints.parent), checkpoints.parent / "out"
    tokenizer = checkpoints.parent / "tokenizer"
    with pytest.raises(FileNotFoundError, match="--tokenizer DIR"):
        convert(checkpoints / "Woosh-Flow", out, checkpoints / "none")
    weights = checkpoints / "TextConditionerA" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ValueError, match="damaged"):
        convert(checkpoints / "Woosh-Flow", out, tokenizer)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"no weights\.safetensors"):
        convert(checkpoints / "Woosh-Flow", out, tokenizer)
    (checkpoints / "TextConditionerA" / "config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match="checkpoints/TextConditionerA is in none of"):
        convert(checkpoints / "Woosh-Flow", out, tokenizer)
    with pytest.raises(FileNotFoundError, match=r"no config\.yaml"):
        convert(checkpoints / "none", out)
    assert folder_names(checkpoints.parent) == before


def test_a_folder_that_holds_something_is_not_overwritten(checkpoints: Path) -> None:
    out = checkpoints.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an empty folder"):
        convert(checkpoints / "Woosh-AE", out)
    assert folder_names(out) == ["mine.txt"]
    (out / "mine.txt").unlink()
    convert(checkpoints / "Woosh-AE", out)
    assert "config.json" in folder_names(out)


def test_parts_of_different_sizes_are_refused(checkpoints: Path) -> None:
    config, tensors, _ = load_released("Woosh-AE")
    folder = checkpoints / "Woosh-AE"
    smaller = dict(config, z_dim=8)
    (folder / "config.yaml").write_text(yaml.safe_dump(smaller))
    narrow = {
        "z_mean": (slice(8),),
        "z_std": (slice(8),),
        "autoencoder.encoder.proj.weight": (slice(8),),
        "autoencoder.encoder.proj.bias": (slice(8),),
        "autoencoder.decoder.backbone.embed.weight": (slice(None), slice(8)),
    }
    cut = {name: tensor[narrow.get(name, ...)].contiguous() for name, tensor in tensors.items()}
    save_file(cut, folder / "weights.safetensors")
    with pytest.raises(
        ValueError, match="latent_channels of the generator is 16, but its autoencoder has 8"
    ):
        convert(checkpoints / "Woosh-Flow", checkpoints / "out", checkpoints.parent / "tokenizer")


class Payload:
    """An object whose unpickling would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_pt_files_hold_tensors_or_are_refused(checkpoints: Path) -> None:
    folder, out = checkpoints / "Woosh-AE", checkpoints.parent / "out"
    tensors = load_released("Woosh-AE").tensors
    (folder / "weights.safetensors").unlink()
    mark = checkpoints / "mark"
    for content, message in (
        ({"z_mean": Payload(mark)}, "refused"),
        ({"state": {"z_mean": torch.zeros(1)}}, "tensors by name"),
    ):
        torch.save(content, folder / "weights.pt")
        with pytest.raises(ValueError, match=message):
            convert(folder, out)
    assert not mark.exists() and not out.exists()
    torch.save(tensors, folder / "weights.pt")
    convert(folder, out)
    assert WooshAutoencoder.from_pretrained(out).latent_mean.equal(tensors["z_mean"])


def test_recipe_weights_are_scaled_by_their_role() -> None:
    tensors = load_released("Woosh-AE").tensors
    embed = tensors["autoencoder.encoder.backbone.embed.weight"]
    assert embed.std() == pytest.approx(1 / math.sqrt(embed[0].numel()), rel=0.05)
    assert (tensors["z_std"] >= 1).all()
