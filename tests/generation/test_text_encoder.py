"""Properties of the text encoder and its tokenizer at toy size."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from woosh.generation.text_encoder import (
    WooshTextEncoder,
    load_tokenizer,
    read_tokenizer,
    tokenize,
)

TOY = {
    "vocabulary_size": 40,
    "width": 16,
    "layers": 3,
    "heads": 2,
    "inner_width": 24,
    "max_tokens": 9,
    "hidden_layer": -2,
}


def make_tokenizer(pad_token: str = "<pad>") -> PreTrainedTokenizerFast:
    """Words to ids, with RoBERTa's special ids 0, 1, 2."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "dog", "barks", "twice"]
    model = models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token=pad_token
    )


def test_texts_are_padded_and_cut_to_the_number_of_tokens() -> None:
    ids, mask = tokenize(make_tokenizer(), ["", "a dog barks", "a dog barks twice a dog"], 6)
    expected = [[0, 2, 1, 1, 1, 1], [0, 4, 5, 6, 2, 1], [0, 4, 5, 6, 7, 2]]
    assert ids.tolist() == expected
    assert mask.equal((ids != 1).long())


def test_hidden_layers_count_from_the_embeddings() -> None:
    ids, mask = tokenize(make_tokenizer(), ["a dog", "barks twice a dog"], 9)
    model = WooshTextEncoder(**TOY | {"hidden_layer": 2}).eval()
    states = model.model(ids, mask)
    assert model(ids, mask).equal(states[2])
    same = WooshTextEncoder(**TOY).eval()
    same.load_state_dict(model.state_dict())
    assert same(ids, mask).equal(states[-2])
    last = WooshTextEncoder(**TOY | {"hidden_layer": -1}).eval()
    last.load_state_dict(model.state_dict())
    assert last(ids, mask).equal(states[3])


def test_hidden_states_are_those_of_transformers_roberta() -> None:
    """The encoder is written here so that commands start sooner; its weights are others' and must mean the same."""
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=11,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    reference = RobertaModel(config, add_pooling_layer=False).eval()
    model = WooshTextEncoder(**TOY | {"hidden_layer": -1}).eval()
    model.model.load_state_dict(reference.state_dict())
    ids, mask = tokenize(make_tokenizer(), ["a dog", "barks twice a dog"], 9)
    torch.testing.assert_close(model(ids, mask), reference(ids, mask).last_hidden_state)


def test_padding_does_not_change_real_tokens() -> None:
    tokenizer, model = make_tokenizer(), WooshTextEncoder(**TOY).eval()
    short, long = (model(*tokenize(tokenizer, ["a dog"], count)) for count in (4, 9))
    torch.testing.assert_close(short, long[:, :4])


def test_saved_and_loaded_encoder_is_the_same(tmp_path: Path) -> None:
    model = WooshTextEncoder(**TOY).eval()
    model.save_pretrained(tmp_path)
    inputs = tokenize(make_tokenizer(), ["a dog barks"], 9)
    assert WooshTextEncoder.from_pretrained(tmp_path)(*inputs).equal(model(*inputs))


def test_saved_and_loaded_tokenizer_is_the_same(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    ids, _ = tokenize(load_tokenizer(tmp_path), ["a dog barks"], 6)
    assert ids.tolist() == [[0, 4, 5, 6, 2, 1]]


def test_a_tokenizer_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    for place in ("roberta-large", tmp_path / "missing", tmp_path):
        with pytest.raises(FileNotFoundError, match="--tokenizer DIR"):
            load_tokenizer(place)


def test_a_tokenizer_without_masks_is_refused(tmp_path: Path) -> None:
    """Its settings may name other outputs, which were missed only while a sound was made."""
    make_tokenizer().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": ["input_ids"]}))
    with pytest.raises(
        ValueError, match=f"{tmp_path} holds a tokenizer that gives no attention_mask"
    ):
        read_tokenizer(PreTrainedTokenizerFast, tmp_path)


def test_a_tokenizer_with_another_padding_id_is_refused(tmp_path: Path) -> None:
    make_tokenizer(pad_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="pads with id 3"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("options", [{"hidden_layer": 4}, {"hidden_layer": -5}, {"positions": 10}])
def test_sizes_that_do_not_fit_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        WooshTextEncoder(**TOY | options)
