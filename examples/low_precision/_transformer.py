"""A small transformer on characters: pre-norm, causal, learned positions."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

WIDTH, LAYERS, HEADS, CONTEXT = 64, 2, 4, 64


def init(key: jax.Array, vocabulary: int) -> dict[str, Any]:
    """Return weights in float32; the layers are stacked on the first axis."""
    keys = iter(jax.random.split(key, 7))

    def normal(*shape, scale=WIDTH**-0.5):
        return jax.random.normal(next(keys), shape) * scale

    def norm(*shape):
        return {"scale": jnp.ones((*shape, WIDTH))}

    into_residual = (WIDTH * 2 * LAYERS) ** -0.5
    return {
        "embedding": {"table": normal(vocabulary, WIDTH, scale=0.02)},
        "position": {"table": normal(CONTEXT, WIDTH, scale=0.02)},
        "layers": {
            "attention_norm": norm(LAYERS),
            "qkv": {"kernel": normal(LAYERS, WIDTH, 3 * WIDTH)},
            "out": {"kernel": normal(LAYERS, WIDTH, WIDTH, scale=into_residual)},
            "mlp_norm": norm(LAYERS),
            "up": {"kernel": normal(LAYERS, WIDTH, 4 * WIDTH)},
            "down": {
                "kernel": normal(LAYERS, 4 * WIDTH, WIDTH, scale=into_residual / 2)
            },
        },
        "norm": norm(),
        "head": {"kernel": normal(WIDTH, vocabulary)},
    }


def loss(params: Any, tokens: jax.Array) -> jax.Array:
    """Return the mean negative log-likelihood of each character after the first.

    Args:
      params: as from :func:`init`, in any floating dtype.
      tokens: ``[batch, CONTEXT + 1]``, integers.
    """
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(params, tokens[:, :-1]).astype(jnp.float32), tokens[:, 1:]
    ).mean()


def logits(params: Any, tokens: jax.Array) -> jax.Array:
    """Return ``[batch, CONTEXT, vocabulary]`` of ``tokens`` ``[batch, CONTEXT]``.

    Matrix products are in the dtype of ``params``, norms and softmax in float32.
    """
    x = params["embedding"]["table"][tokens] + params["position"]["table"]
    x, _ = jax.lax.scan(_block, x, params["layers"])
    return _normalise(params["norm"], x) @ params["head"]["kernel"]


def _block(x, layer):
    x = x + _attention(layer, _normalise(layer["attention_norm"], x))
    hidden = _normalise(layer["mlp_norm"], x) @ layer["up"]["kernel"]
    return x + jax.nn.relu(hidden) @ layer["down"]["kernel"], None


def _normalise(norm, x):
    wide = x.astype(jnp.float32)
    wide *= jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + 1e-6)
    return wide.astype(x.dtype) * norm["scale"]


def _attention(layer, x):
    batch, length, _ = x.shape
    qkv = (x @ layer["qkv"]["kernel"]).reshape(batch, length, 3, HEADS, -1)
    q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k).astype(jnp.float32)
    scores *= (WIDTH // HEADS) ** -0.5
    visible = jnp.tril(jnp.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(x.dtype), v)
    return mixed.reshape(x.shape) @ layer["out"]["kernel"]
