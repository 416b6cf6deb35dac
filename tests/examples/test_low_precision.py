"""The parts of the example on low precision: its optimizer, network, text, words."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from examples.low_precision import _language, _report, _train, _transformer
from examples.low_precision._decay_alone import ETA, LAMBDA, decay_alone, truth
from examples.low_precision._decay_outside import decay_outside
from examples.low_precision._figure import draw
from examples.low_precision._train import Trained
from examples.low_precision._variants import DECAY_ALONE, MASK, REFERENCE, TRAINED


def trained(valid, test, norm):
    valid, test, norm = map(np.asarray, (valid, test, norm))
    return Trained([10, 20], valid, test, norm, 12.0)


def walk(tx, params, gradient, steps):
    """Return the kernel after steps along ``gradient(kernel, step)``."""

    def step(carry, i):
        params, state = carry
        grads = jax.tree.map(lambda x: gradient(x, i.astype(x.dtype)), params)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(steps)))
    return run((params, tx.init(params)))[0][0]["kernel"]


def test_truth_by_hand():
    assert truth(0) == 1.0
    assert truth(2) == pytest.approx(0.9999**2, rel=1e-15)
    assert pytest.approx(1e-4, rel=1e-15) == ETA * LAMBDA


def test_decay_outside_is_adamw_where_nothing_is_rounded(key):
    params = {"kernel": jax.random.normal(key, (64,))}
    schedule = optax.linear_schedule(1e-2, 0.0, 20)
    both = {
        "outside": decay_outside(schedule, 0.5, MASK),
        "optax": optax.adamw(schedule, weight_decay=0.5),
    }
    ends = {
        name: np.asarray(walk(tx, params, lambda x, i: jnp.sin(x + i), 10), np.float64)
        for name, tx in both.items()
    }
    # Each of the ten steps has some ten roundings of numbers up to 4.
    bound = 10 * 10 * 4 * 2.0**-24
    assert np.abs(ends["outside"] - ends["optax"]).max() < bound
    assert np.abs(ends["optax"] - params["kernel"]).max() > 1e-2


def test_decay_outside_keeps_small_steps_but_loses_small_decay():
    tx = decay_outside(1e-4, 1.0, MASK)
    params = {"kernel": jnp.ones(1, jnp.bfloat16)}
    ends = [
        float(walk(tx, params, lambda x, _, g=gradient: jnp.full_like(x, g), 100)[0])
        for gradient in (0.0, 1.0)
    ]
    # A constant gradient moves Adam by 1e-4 per step: to 0.99, which is in between.
    assert ends[0] == 1.0
    assert ends[1] in (1 - 2 * 2.0**-8, 1 - 3 * 2.0**-8)


def test_optax_loses_the_decay_that_split_keeps():
    steps = 1000
    assert decay_alone(DECAY_ALONE["optax.adamw"], steps)["mean"] == 1.0
    found = decay_alone(DECAY_ALONE["split"], steps)
    assert found["mean"] == float(jnp.bfloat16(truth(steps)))
    assert found["path"][0] == 1.0
    # Means over 2000 weights in float32 may lose a bit with every sum.
    assert abs(found["path"][-1] - found["mean"]) < 2000 * 2.0**-24


@pytest.mark.slow
def test_the_transformer_does_not_look_ahead(key):
    params = _transformer.init(key, 7)
    tokens = jax.random.randint(key, (1, _transformer.CONTEXT), 0, 7)
    other = tokens.at[0, 40].set((tokens[0, 40] + 1) % 7)
    first, second = jax.jit(_transformer.logits)(params, jnp.concat([tokens, other]))
    assert (first[:40] == second[:40]).all()
    assert (first[40:] != second[40:]).any(-1).all()


@pytest.mark.slow
def test_the_transformer_at_first_knows_nothing(key):
    params = _transformer.init(key, 7) | {"head": {"kernel": jnp.zeros((64, 7))}}
    tokens = jnp.zeros((2, _transformer.CONTEXT + 1), int)
    loss = float(jax.jit(_transformer.loss)(params, tokens))
    assert loss == pytest.approx(np.log(7), rel=1e-6)


@pytest.mark.slow
def test_the_transformer_computes_in_its_own_dtype_and_the_loss_in_float32():
    def narrow(key):
        params = _transformer.init(key, 7)
        return jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)

    params = jax.eval_shape(narrow, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((2, _transformer.CONTEXT), jnp.int32)
    assert jax.eval_shape(_transformer.logits, params, tokens).dtype == jnp.bfloat16
    tokens = jax.ShapeDtypeStruct((2, _transformer.CONTEXT + 1), jnp.int32)
    assert jax.eval_shape(_transformer.loss, params, tokens).dtype == jnp.float32


def test_norms_and_nothing_else_of_the_transformer_keep_their_size():
    params = jax.eval_shape(lambda key: _transformer.init(key, 7), jax.random.key(0))
    kept = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, decays in jax.tree_util.tree_leaves_with_path(MASK(params))
        if not decays
    ]
    assert kept == [
        "layers/attention_norm/scale",
        "layers/mlp_norm/scale",
        "norm/scale",
    ]


def test_text_is_held_out_as_whole_files():
    names = [set(x.split()) for x in (_language.TRAIN, _language.VALID, _language.TEST)]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    text = np.asarray(_language.read("heapq"))
    assert text.min() >= 0 and text.max() < _language.VOCABULARY
    # All but the names of an author are printable.
    assert (text < _language.OTHER).mean() > 0.99
    windows = np.asarray(_language.held_out("heapq", 3))
    assert windows.shape == (3, _language.LENGTH)
    assert (windows[0] == text[: _language.LENGTH]).all()
    assert (windows[-1] == text[-_language.LENGTH :]).all()


def test_decaying_norm_by_hand():
    params = {"dense": {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([9.0])}}
    assert float(_train.decaying_norm(params)) == 5.0


def test_steps_to_the_reference_by_hand():
    reference = trained([[2.0, 2.0], [1.0, 1.0]], [1.0, 1.0], [1.0, 1.0])
    one = trained([[0.9, 1.5], [0.8, 1.1]], [1.0, 1.0], [1.0, 1.0])
    none = trained([[2.0, 2.0], [1.5, 1.5]], [1.0, 1.0], [1.0, 1.0])
    assert _report.steps_to_reference(one, reference) == "10 (1 of 2 seeds)"
    assert _report.steps_to_reference(reference, reference) == "20 (2 of 2 seeds)"
    assert _report.steps_to_reference(none, reference) == "not reached"


def test_the_conclusion_names_only_what_differs():
    valid = np.ones((2, 3))
    found = {
        REFERENCE: trained(valid, [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
        "worse": trained(valid, [1.5, 2.5, 3.501], [1.0, 2.0, 4.0001]),
        "the same": trained(valid, [1.1, 1.9, 3.05], [0.5, 1.0, 2.001]),
    }
    lines = _report.conclusion(found).splitlines()
    assert [line.strip() for line in lines[1:]] == [
        "test loss, above float32: worse",
        "test loss, no difference shown: the same",
        "norm, below float32: the same",
        "norm, no difference shown: worse",
    ]


def test_the_figure_has_a_row_for_every_variant():
    steps = {name: {"path": [1.0] * 11, "mean": 1.0} for name in DECAY_ALONE}
    one = trained(np.ones((2, 3)), [1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    figure = draw(steps, 10, {"a": dict.fromkeys(TRAINED, one), "b": {REFERENCE: one}})
    _, full, few, *_ = figure.axes
    assert {axes.get_xscale() for axes in figure.axes[1:]} == {"symlog"}
    assert full.get_xlim() == few.get_xlim()
    labels = [tick.get_text() for tick in full.get_yticklabels()]
    assert sorted(labels) == sorted(set(TRAINED) - {REFERENCE})
    assert len(full.containers) == len(labels) and not few.containers
