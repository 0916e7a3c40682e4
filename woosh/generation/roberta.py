"""The text encoder RoBERTa (arXiv 1907.11692), with the names of its published weights.

It stands here, and not in a library, because the command line would wait longer for that than for the sound.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

PADDING_ID = 1  # RoBERTa counts positions from the id of the padding token, so this one is fixed
EPSILON = 1e-5  # of the layer norms
DROPOUT = 0.1  # in training
DEVIATION = 0.02  # of new weights


class Roberta(nn.Module):
    """All hidden states of the tokens of a text: (B, L) ids and mask -> layers + 1 tensors (B, L, W).

    Args:
        vocabulary_size: entries of the tokenizer.
        positions: rows of the position table.
        width: channels of the hidden states, W.
        layers: transformer layers.
        heads: attention heads.
        inner_width: hidden channels of the feed-forward parts.
    """

    def __init__(
        self,
        vocabulary_size: int,
        positions: int,
        width: int,
        layers: int,
        heads: int,
        inner_width: int,
    ) -> None:
        super().__init__()
        self.embeddings = Embeddings(vocabulary_size, positions, width)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(Layer(width, heads, inner_width) for _ in range(layers))}
        )
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=DEVIATION)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of the vocabulary."""
        return self.embeddings.word_embeddings

    def forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """All hidden states, the embeddings first."""
        states = [self.embeddings(ids)]
        seen = mask.bool()[:, None, None].expand(-1, -1, ids.shape[1], -1)  # (B, 1, L, L)
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            states.append(layer(states[-1], seen))
        return states


class Embeddings(nn.Module):
    """The sum of a token's own vector, its position's and the one of its type, of which there is one: (B, L) -> (B, L, W)."""

    def __init__(self, vocabulary_size: int, positions: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary_size, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(1, width)
        self.LayerNorm = nn.LayerNorm(width, EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        real = ids.ne(PADDING_ID).int()
        places = (real.cumsum(dim=1) * real).long() + PADDING_ID
        x = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        return functional.dropout(
            self.LayerNorm(x + self.position_embeddings(places)), DROPOUT, self.training
        )


class Layer(nn.Module):
    """Attention, then a perceptron, each added and normalised: (B, L, W), (B, 1, L, L) -> (B, L, W)."""

    def __init__(self, width: int, heads: int, inner_width: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": Attention(width, heads), "output": Added(width, width)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner_width)})
        self.output = Added(inner_width, width)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, seen), x)
        return self.output(functional.gelu(self.intermediate["dense"](x)), x)


class Attention(nn.Module):
    """Attention of all tokens to those that are `seen`: (B, L, W), (B, 1, L, L) -> (B, L, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, seen, DROPOUT if self.training else 0.0
        )
        return mixed.transpose(1, 2).flatten(2)


class Added(nn.Module):
    """A linear layer whose result is added to what came before, and normalised."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, EPSILON)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(functional.dropout(self.dense(x), DROPOUT, self.training) + before)
