"""A trained aligner becomes a folder that embeds, names sounds and shares a generator's text encoder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.recipes.toy_recipes import CONFIGS, weights
from training import package_aligner
from woosh.catalogue import describe_aligner
from woosh.embeddings.clap import load_clap
from woosh.training.config import load_config, replace_fields


@pytest.fixture
def config(
    clap_run: Path, text_run: Path, manifest: Path, tmp_path: Path
) -> package_aligner.Config:
    """A model that holds the text encoder, and a manifest with kinds of sounds."""
    model = tmp_path / "model"
    shutil.copytree(text_run, model)
    (model / "model_index.json").write_text('{"_class_name": "WooshPipeline"}')
    kinds = ["ANMLDog", "ANMLDog", "ANMLDog", "RAIN", "GLASBrk", "GLASBrk"]
    captions = ["one bark", "a dog barking", "a dog barking", "rain", "glass", "glass"]
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines = [
        json.dumps(row | {"catid": kind, "captions": [caption, "x"]})
        for row, kind, caption in zip(rows, kinds, captions, strict=True)
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    return replace_fields(
        load_config(package_aligner.Config, CONFIGS / "package_tiny_clap.yaml"),
        output=str(tmp_path / "aligner"),
        records=str(tmp_path / "records"),
        manifest=str(tmp_path / "manifest.jsonl"),
        run=str(clap_run),
        earlier_runs=(str(clap_run),),
        text_encoder_of=str(model),
    )


def test_a_packaged_aligner_embeds_as_the_trained_one(
    config: package_aligner.Config, clap_run: Path, tmp_path: Path
) -> None:
    package_aligner.main(config)
    folder = tmp_path / "aligner"
    assert not (folder / "text_encoder").exists()
    assert all(value.dtype == torch.float16 for value in weights(folder / "head").values())
    packaged, trained = load_clap(folder), load_clap(clap_run / "clap")
    with torch.inference_mode():
        audio = torch.sin(torch.arange(32_000) * 0.05)[None]
        for first, second in (
            (packaged.embed_audio(audio), trained.embed_audio(audio)),
            (packaged.embed_text(["a dog"]), trained.embed_text(["a dog"])),
        ):
            assert torch.allclose(first, second, atol=5e-3)
    assert (folder / "labels.txt").read_text() == "a dog barking\nrain\n"
    text = (folder / "ATTRIBUTION.md").read_text()
    assert all(f"author / {index}" in text for index in range(4)) and "author / 4" not in text
    info = describe_aligner(folder)
    assert info.licence == "cc-by-4.0" and info.text_encoder_of == config.text_encoder_of
    for name in ("aligner_log.jsonl", "aligner_evaluation.json", "aligner_stage_1_config.yaml"):
        assert (tmp_path / "records" / name).is_file()


def test_refusals(config: package_aligner.Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 10"):
        package_aligner.main(replace_fields(config, size_limit=10))
    (file,) = (tmp_path / "model" / "text_encoder").glob("*.safetensors")
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, file)
    with pytest.raises(ValueError, match=f"is another one: {name} differs"):
        package_aligner.main(config)
