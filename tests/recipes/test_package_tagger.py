"""A trained tagger becomes a small folder that says who taught it and whose recordings it heard."""

from pathlib import Path

import pytest
import torch

from tests.recipes.toy_recipes import CONFIGS, weights
from training import package_tagger
from woosh.catalogue import describe_tagger
from woosh.taggers import load_tagger
from woosh.training.config import load_config, replace_fields


def test_a_packaged_tagger_hears_as_the_trained_one(
    tagger_run: Path, taught_run: Path, manifest: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        load_config(package_tagger.Config, CONFIGS / "package_tiny_tagger.yaml"),
        output=str(tmp_path / "ear"),
        records=str(tmp_path / "records"),
        manifest=str(manifest),
        runs=(str(tagger_run),),
        taught=str(taught_run),
    )
    package_tagger.main(config)
    packaged, trained = load_tagger(tmp_path / "ear"), load_tagger(tagger_run / "tagger")
    assert all(
        value.dtype == torch.float16
        for name, value in weights(tmp_path / "ear" / "network").items()
        if not name.endswith("num_batches_tracked")
    )
    audio = 0.2 * torch.sin(torch.arange(32_000) * 0.05)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            packaged(audio).logits, trained(audio).logits, atol=5e-3, rtol=5e-3
        )
    info = describe_tagger(tmp_path / "ear")
    assert info.labels == 3 and info.licence == "cc-by-4.0"
    card = (tmp_path / "ear" / "README.md").read_text()
    assert "tagger-ear (MIT, sha256 " in card and "It started from random weights and" in card
    assert "author / 1" in (tmp_path / "ear" / "ATTRIBUTION.md").read_text()
    assert (tmp_path / "records" / f"{tagger_run.name}_log.jsonl").is_file()
    with pytest.raises(ValueError, match="runs is empty"):
        package_tagger.main(replace_fields(config, runs=()))
    with pytest.raises(ValueError, match="overwrite each other"):
        package_tagger.main(replace_fields(config, runs=(str(tagger_run), str(tagger_run))))
    with pytest.raises(ValueError, match="more than 10"):
        package_tagger.main(replace_fields(config, size_limit=10))
