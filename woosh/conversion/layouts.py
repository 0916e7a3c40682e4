"""The released checkpoints' format: options, tensor names and sizes, beside those of our modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from woosh.autoencoder.network import WooshAutoencoder
from woosh.generation.layers import fixed_frequencies
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer
from woosh.outside_files import shown
from woosh.parts import ModelMixin
from woosh.weight_files import MOST_BLOCKS

Config = Mapping[str, Any]
Tensors = Mapping[str, Tensor]

# Options of the released configurations that have one value everywhere, built in here. Any other
# value would be another network.
AUTOENCODER_OPTIONS = {
    "channels": 1,
    "input_layer_norm": True,
    "final_layer_norm": True,
    "stft_normalized": False,
    "spec_embed": "stft-complex",
}
HEAD_OPTIONS = {"padding": "center", "conv_pad": "same", "conv_kernel": 1, "softclip": "softplus"}
TEXT_OPTIONS = {
    "last_hidden_state": True,
    "use_shared_space": False,
    "remove_special_tokens": False,
    "text_preprocessing": "no_op",
}
GENERATOR_OPTIONS = {"sigma_data": 1.0, "pred_type": "v_pred"}
TRANSFORMER_OPTIONS = {
    "model_type": "mmmssflux",
    "rope_len_multiplier": 2,
    "fixed_timestep_features": False,
    "n_memory_tokens_rope": 1,
    "n_memory_tokens_description": 0,
    "rope_theta": 10000.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "adaln_last_layer": True,
    "adaln_last_layer_nomod": False,
    "mask_out_before": -1,
    "estimate_logvar": True,
    "no_description_mask": True,
    "symmetric_attention_init": False,
    "patch_size": 1,
    "num_sinks": 0,
    "mlp_act": "gelu",
}
VIDEO_OPTIONS = {
    "audio_fps": 100,
    "video_fps": 24,
    "n_layers_encoder": 0,
    "trainable_no_cond": False,
}

# Our names -> released names, of modules or of single parameters.
AUTOENCODER_WORDS = {
    "latent_mean": "z_mean",
    "latent_std": "z_std",
    "encoder": "autoencoder.encoder",
    "decoder": "autoencoder.decoder",
    "blocks": "convnext",
    "depthwise": "dwconv",
    "expand": "pwconv1",
    "contract": "pwconv2",
    "scale": "gamma",
    "final_norm": "final_layer_norm",
    "project": "proj",
    "head": "head.out",
}
INPUT_NAMES = {
    "memory_token": "memory_tokens_rope",
    "text_padding": "description_pad",
    "audio_in": "project_in",
    "text_in.expand": "to_cond_embed.0",
    "text_in.contract": "to_cond_embed.2",
    "time_embedding.frequencies": "timestep_features.weight",
    "time_embedding.perceptron.expand": "to_timestep_embed.0",
    "time_embedding.perceptron.contract": "to_timestep_embed.2",
    "log_variance_head.frequencies": "timestep_logvar.weight",
    "log_variance_head.perceptron.expand": "to_logvar.0",
    "log_variance_head.perceptron.contract": "to_logvar.2",
}
FLOW_MAP_NAMES = {
    "flow_map_embedding.perceptron.expand": "to_timestep_embed.0",
    "flow_map_embedding.perceptron.contract": "to_timestep_embed.2",
    "flow_map_log_variance.frequencies": "timestep_logvar.weight",
    "flow_map_log_variance.perceptron.expand": "to_logvar.0",
    "flow_map_log_variance.perceptron.contract": "to_logvar.2",
}
STREAM_NAMES = {"audio": "x", "text": "description", "video": "video_features"}
JOINT_NAMES = {
    "attention_norm.modulation": "attn.modalities.{}.mod_proj",
    "qkv": "attn.modalities.{}.qkv",
    "query_norm": "attn.modalities.{}.norm_q",
    "key_norm": "attn.modalities.{}.norm_k",
    "out": "attn.modalities.{}.out_proj",
    "feed_forward_norm.modulation": "ffns.{}.mod_proj",
    "feed_forward.expand": "ffns.{}.w1",
    "feed_forward.contract": "ffns.{}.w2",
}
FUSED_NAMES = {
    "norm.modulation": "mod_proj",
    "expand": "qkv_mlp",
    "query_norm": "norm_q",
    "key_norm": "norm_k",
    "out": "out_proj",
}
FINAL_NAMES = {"final.modulation": "mod_proj", "final.linear": "linear"}


class Layout(NamedTuple):
    """How a released file holds one of our modules.

    Attributes:
        module: the module on the meta device: shapes, no memory.
        names: our tensor name -> released tensor name.
        unused: released tensors that our module has no use for, with their shapes.
        computed: released tables that we compute; a file may leave them out, but not change them.
        negated: our names of the tensors that change their sign.
    """

    module: ModelMixin
    names: dict[str, str]
    unused: dict[str, tuple[int, ...]]
    computed: dict[str, Tensor]
    negated: tuple[str, ...] = ()


class Part(NamedTuple):
    """A module nested in the file of a generator: where, and how it is described without a configuration."""

    prefix: str
    layout: Callable[[Tensors], Layout]


def check_options(config: Config, fixed: Mapping[str, Any]) -> None:
    """Refuse options that differ from the value built in here."""
    for name, value in fixed.items():
        if config.get(name, value) != value:
            raise ValueError(f"option {name} is {config[name]!r}; only {value!r} is supported")


def option(config: Config, name: str) -> Any:
    """A required option of a configuration."""
    if name not in config:
        raise ValueError(f"the configuration has no option {name}")
    return config[name]


def shape_of(tensors: Tensors, name: str, rank: int) -> tuple[int, ...]:
    """Shape of a required tensor, from which sizes are read."""
    if name not in tensors or tensors[name].ndim != rank:
        raise ValueError(f"{name} is missing or not of rank {rank}")
    return tuple(tensors[name].shape)


def count_layers(tensors: Tensors, prefix: str) -> int:
    """One more than the highest layer index among names `prefix`N.*, of those that so many tensors can have."""
    layers = [n.removeprefix(prefix).split(".")[0] for n in tensors if n.startswith(prefix)]
    return max(
        (
            int(layer) + 1
            for layer in set(layers)
            if layer.isdecimal()
            and len(layer) <= len(str(len(tensors)))
            and int(layer) < len(tensors)
        ),
        default=0,
    )


def count_option(config: Config, name: str) -> int:
    """An option that counts layers.

    Raises:
        ValueError: it is missing, or no whole number up to `MOST_BLOCKS`.
    """
    value = option(config, name)
    if type(value) is not int or not 0 <= value <= MOST_BLOCKS:
        raise ValueError(f"{name} is {shown(value)}; it must be a whole number up to {MOST_BLOCKS}")
    return value


def autoencoder_layout(config: Config, tensors: Tensors) -> Layout:
    """Layout of a released autoencoder."""
    del tensors  # the configuration says it all
    check_options(config, AUTOENCODER_OPTIONS)
    check_options(config.get("istft_head", {}), HEAD_OPTIONS)
    return describe_autoencoder(
        sample_rate=option(config, "sample_rate"),
        n_fft=option(config, "n_fft"),
        hop_length=option(config, "hop_length"),
        latent_channels=option(config, "z_dim"),
        width=option(config, "d_model"),
        inner_width=option(config, "intermediate_dim"),
        encoder_layers=count_option(config, "enc_num_layers"),
        decoder_layers=count_option(config, "num_layers"),
    )


def nested_autoencoder_layout(tensors: Tensors) -> Layout:
    """Layout of an autoencoder without its configuration: sizes from shapes, hop half a window."""
    backbone = "autoencoder.{}.backbone.convnext."
    inner_width, width = shape_of(tensors, backbone.format("encoder") + "0.pwconv1.weight", 2)
    n_fft = 2 * (shape_of(tensors, "autoencoder.decoder.head.out.weight", 3)[0] // 3 - 1)
    return describe_autoencoder(
        n_fft=n_fft,
        hop_length=n_fft // 2,
        latent_channels=shape_of(tensors, "z_mean", 1)[0],
        width=width,
        inner_width=inner_width,
        encoder_layers=count_layers(tensors, backbone.format("encoder")),
        decoder_layers=count_layers(tensors, backbone.format("decoder")),
    )


def describe_autoencoder(**sizes: Any) -> Layout:
    """Layout of an autoencoder of given sizes, the arguments of `WooshAutoencoder`."""
    with torch.device("meta"):
        module = WooshAutoencoder(**sizes)
    window = torch.hann_window(sizes["n_fft"])
    return Layout(
        module,
        names={
            name: ".".join(AUTOENCODER_WORDS.get(word, word) for word in name.split("."))
            for name in module.state_dict()
        },
        unused={},
        computed={
            "autoencoder.encoder.spec_embed.window": window,
            "autoencoder.decoder.head.istft.window": window,
        },
    )


def text_layout(config: Config, tensors: Tensors) -> Layout:
    """Layout of a released text conditioner."""
    check_options(config, TEXT_OPTIONS)
    sentence = config["sentence_config"]
    check_options(sentence, {"adopt_n_layers": 0, "add_pooling_layer": True})
    return describe_text(
        tensors,
        max_tokens=option(sentence, "max_sentence_tokens"),
        hidden_layer=option(config, "lhs_index"),
        shared_width=option(config, "shared_representation_size"),
    )


def nested_text_layout(tensors: Tensors) -> Layout:
    """Layout of a text conditioner without its configuration, which is the same in all releases."""
    shared_width = shape_of(tensors, "sentence_head.0.weight", 2)[0]
    return describe_text(tensors, max_tokens=77, hidden_layer=-2, shared_width=shared_width)


def describe_text(
    tensors: Tensors, max_tokens: int, hidden_layer: int, shared_width: int
) -> Layout:
    """Layout of a text conditioner, whose RoBERTa has the sizes of its tensors.

    Shapes do not tell the number of heads. RoBERTa's heads have 64 channels, except in encoders
    narrower than 256, where four heads are taken.

    The pooler and the head into the shared space of text and audio condition nothing: unused.
    """
    root = "sentence_frontend."
    vocabulary_size, width = shape_of(tensors, root + "embeddings.word_embeddings.weight", 2)
    inner = shape_of(tensors, root + "encoder.layer.0.intermediate.dense.weight", 2)
    with torch.device("meta"):
        module = WooshTextEncoder(
            vocabulary_size=vocabulary_size,
            width=width,
            layers=count_layers(tensors, root + "encoder.layer."),
            heads=max(width // 64, 4),
            inner_width=inner[0],
            max_tokens=max_tokens,
            hidden_layer=hidden_layer,
            positions=shape_of(tensors, root + "embeddings.position_embeddings.weight", 2)[0],
        )
    return Layout(
        module,
        names={name: root + name.removeprefix("model.") for name in module.state_dict()},
        unused={
            root + "pooler.dense.weight": (width, width),
            root + "pooler.dense.bias": (width,),
            "sentence_head.0.weight": (shared_width, width),
            "sentence_head.0.bias": (shared_width,),
        },
        computed={},
    )


class Generator(NamedTuple):
    """A generator's configuration, unpacked."""

    latent_diffusion: Config
    flow_map: bool
    video_channels: int | None


def unpack_generator(config: Config) -> Generator:
    """Unpack the nesting student(video(text network)), of which the outer two may be absent."""
    flow_map = "ldm" in config and "model_type" not in config
    network = config["ldm"] if flow_map else config
    video_channels = None
    if network.get("model_type") == "VideoKontextLDM":
        check_options(network, VIDEO_OPTIONS)
        video_channels = option(network, "embed_dim")
        network = option(network, "ldm")
    return Generator(network, flow_map, video_channels)


def transformer_layout(config: Config, tensors: Tensors) -> Layout:
    """Layout of any of the four kinds of released generators."""
    del tensors  # the configuration says it all
    generator = unpack_generator(config)
    check_options(generator.latent_diffusion, GENERATOR_OPTIONS)
    dit = option(generator.latent_diffusion, "dit")
    check_options(dit, TRANSFORMER_OPTIONS)
    heads, width, head_width = (option(dit, name) for name in ("n_heads", "dim", "qkv_head_dim"))
    max_frames, joint = option(dit, "max_seq_len"), count_option(dit, "n_multimodal_layers")
    check_options(dit, {"original_seq_len": max_frames, "qkv_head_dim": width // heads})
    check_options(dit, {"qk_nope_head_dim": head_width - option(dit, "qk_rope_head_dim")})
    features = option(dit, "timestep_features_dim")
    with torch.device("meta"):
        module = WooshTransformer(
            latent_channels=option(dit, "io_channels"),
            text_width=option(dit, "cond_token_dim"),
            text_tokens=option(dit, "max_description_length"),
            width=width,
            inner_width=option(dit, "inter_dim"),
            joint_blocks=joint,
            fused_blocks=count_option(dit, "n_layers") - joint,
            heads=heads,
            rotary_channels=dit["qk_rope_head_dim"],
            max_frames=max_frames,
            time_features=features,
            rotary_factor=option(dit, "rope_factor"),
            flow_map=generator.flow_map,
            video_channels=generator.video_channels,
            released_positions=True,
        )
    old = "dit.preprocessing" + ".old_preprocessing" * (
        generator.flow_map + (generator.video_channels is not None)
    )
    paths = transformer_paths(module, old, generator.flow_map)
    frequencies = fixed_frequencies(features // 2, torch.device("cpu"))
    tables = (
        ("timestep_features_t", "timestep_features_r", "cfg_features") if generator.flow_map else ()
    )
    return Layout(
        module,
        names={name: released_name(name, paths) for name in module.state_dict()},
        unused={f"{old}.memory_tokens_description": (1, 0, width)},
        computed={f"dit.preprocessing.{table}.freqs": frequencies for table in tables},
        negated=("final.linear.weight", "final.linear.bias"),
    )


def transformer_paths(module: WooshTransformer, old: str, flow_map: bool) -> dict[str, str]:
    """Our paths of modules and parameters -> released ones; `old` holds the first network's inputs."""
    paths = {ours: f"{old}.{name}" for ours, name in INPUT_NAMES.items()}
    paths |= {ours: f"dit.preprocessing.{name}" for ours, name in FLOW_MAP_NAMES.items()}
    paths["video_in"] = "conditioners.video_features.linear_encoder"
    for block in range(len(module.joint)):
        for stream, modality in STREAM_NAMES.items():
            for ours, name in JOINT_NAMES.items():
                paths[f"joint.{block}.{stream}.{ours}"] = (
                    f"dit.layers.{block}.{name.format(modality)}"
                )
    for block in range(len(module.fused)):
        for ours, name in FUSED_NAMES.items():
            paths[f"fused.{block}.{ours}"] = f"dit.layers.{len(module.joint) + block}.{name}"
    final = "dit.postprocessing" + ".old_postprocessing" * flow_map
    return paths | {ours: f"{final}.{name}" for ours, name in FINAL_NAMES.items()}


def released_name(name: str, paths: Mapping[str, str]) -> str:
    """Released name of our tensor, which is in the table itself or by the module that owns it."""
    if name in paths:
        return paths[name]
    path, _, parameter = name.rpartition(".")
    return f"{paths[path]}.{parameter}"


AUTOENCODER_PART = Part("autoencoder.", nested_autoencoder_layout)
TEXT_PART = Part("conditioners.text.", nested_text_layout)


def split_parts(tensors: Tensors) -> tuple[Tensors, dict[Part, Tensors]]:
    """A generator's own tensors, and those of each part nested with them, without its prefix."""
    nested: dict[Part, Tensors] = {}
    for part in (AUTOENCODER_PART, TEXT_PART):
        found = {
            n.removeprefix(part.prefix): t for n, t in tensors.items() if n.startswith(part.prefix)
        }
        if found:
            nested[part] = found
    prefixes = tuple(part.prefix for part in nested)
    return {name: t for name, t in tensors.items() if not name.startswith(prefixes)}, nested
