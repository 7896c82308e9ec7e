"""A language model without training, in a file for llama.cpp: nothing is downloaded.

Its weights are a table of which token comes after which. So it writes one of a few texts to the
end, once its mark has been read. Which mark that is, its chat template says, which can look at the
whole conversation. With other weights it writes nonsense, always the same.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

WIDTH = 256
"""Numbers in the vector of a token: so many that no two tokens' are alike."""

LAYER = {
    "attn_norm": (WIDTH,),
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (WIDTH, WIDTH),
    "attn_v": (WIDTH, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_norm": (WIDTH,),
    "ffn_gate": (WIDTH, WIDTH),
    "ffn_up": (WIDTH, WIDTH),
    "ffn_down": (WIDTH, WIDTH),
}
"""Its only layer, which adds nothing: what a token says of the next one is enough here."""

UNKNOWN, BEGINNING, END = range(3)
PIECE_LENGTH = 12
"""Characters of a token that is written, at least."""


@dataclass
class _Vocabulary:
    """The tokens, each with its kind and the priority with which letters become it."""

    tokens: list[str] = field(default_factory=list)
    kinds: list[gguf.TokenType] = field(default_factory=list)

    def add(self, token: str, kind: gguf.TokenType = gguf.TokenType.NORMAL) -> int:
        self.tokens.append(token)
        self.kinds.append(kind)
        return len(self.tokens) - 1

    def add_words(self, text: str) -> None:
        """Add words, and their beginnings: a longer token is made of a shorter one and a letter."""
        words = {f"▁{word}" for word in text.split()}
        pieces = {word[:end] for word in words for end in range(2, len(word) + 1)}
        for piece in sorted(pieces - {*self.tokens}):
            self.add(piece)

    def add_text(self, text: str) -> list[int]:
        """Add tokens that no other text has, which make a text."""
        known, pieces, piece = {*self.tokens}, [], ""
        for letter in text.replace(" ", "▁"):
            piece += letter
            if len(piece) >= PIECE_LENGTH and piece not in known:
                pieces.append(piece)
                known.add(piece)
                piece = ""
        while piece in known or not piece:  # no token of this text alone
            piece = pieces.pop() + piece
        return [self.add(each) for each in (*pieces, piece)]


def mark(name: str) -> str:
    """Return the mark after which a text is written; to llama.cpp a bare <|call|> is an end."""
    return f"<|{name}!|>"


def write_model(
    path: Path,
    template: str,
    texts: Mapping[str, str],
    *,
    words: str = "",
    is_nonsense: bool = False,
) -> None:
    """Write such a model.

    Args:
        path: The file.
        template: Its chat template, which ends with the mark of a text.
        texts: What it writes, by the names of the marks.
        words: A text whose words are a token each; other words are one for each letter.
        is_nonsense: Whether its weights are random.
    """
    vocabulary = _Vocabulary()
    vocabulary.add("<unk>", gguf.TokenType.UNKNOWN)
    for token in ("<s>", "</s>", *map(mark, texts)):
        vocabulary.add(token, gguf.TokenType.CONTROL)
    for byte in range(256):
        vocabulary.add(f"<0x{byte:02X}>", gguf.TokenType.BYTE)
    for letter in (*map(chr, range(33, 127)), "▁"):
        vocabulary.add(letter)
    vocabulary.add_words(words)
    chains = [
        [vocabulary.tokens.index(mark(name)), *vocabulary.add_text(text), END]
        for name, text in texts.items()
    ]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(131_072)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_scores([float(len(token)) for token in vocabulary.tokens])
    writer.add_token_types(vocabulary.kinds)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGINNING)
    writer.add_eos_token_id(END)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(template)
    for name, weights in _weights(len(vocabulary.tokens), chains, is_nonsense=is_nonsense):
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(
    count: int, chains: Sequence[list[int]], *, is_nonsense: bool
) -> Iterable[tuple[str, np.ndarray]]:
    """Yield the weights: a token's vector points to the one that comes after it."""
    random = np.random.default_rng(seed=7)
    vectors = random.choice([-1.0, 1.0], (count, WIDTH))
    output = np.zeros((count, WIDTH))
    if is_nonsense:  # of bytes, letters and words, between the marks and the texts, without end
        first, end = chains[-1][0] + 1, chains[0][1]
        output[first:end] = random.normal(size=(end - first, WIDTH))
    for chain in () if is_nonsense else chains:
        for token, after in itertools.pairwise(chain):
            output[after] += vectors[token]
    yield "token_embd.weight", vectors
    yield "output_norm.weight", np.ones(WIDTH)
    yield "output.weight", output
    for name, shape in LAYER.items():
        yield f"blk.0.{name}.weight", np.zeros(shape)
