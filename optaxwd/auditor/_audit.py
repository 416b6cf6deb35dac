"""`audit`: probes, inference and report in one call."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from optaxwd._checks import check_positive
from optaxwd.auditor._beside import held_back, laws_beside
from optaxwd.auditor._errors import AuditError, describe, own_traceback
from optaxwd.auditor._expectations import Expectations, expectations, name_coupling
from optaxwd.auditor._factory import FactoryProbe
from optaxwd.auditor._findings import Finding, find
from optaxwd.auditor._in_chain import InChain, losses_in_chain
from optaxwd.auditor._laws import Law
from optaxwd.auditor._leaves import LEVELS, ProbeLeaf, probe_tree
from optaxwd.auditor._object import ObjectProbe
from optaxwd.auditor._precision import survivals
from optaxwd.auditor._report import AuditReport, LeafReport
from optaxwd.auditor._runs import Runner, double_precision
from optaxwd.auditor._scripts import LARGEST, STEPS, Scripts
from optaxwd.auditor._shapes import choose_shapes, impurity
from optaxwd.auditor._subject import LEARNING_RATE, WEIGHT_DECAY, Subject, as_subject


def audit(
    optimizer: Any,
    params: Any,
    *,
    weight_decay: float | None = None,
    learning_rate: Any = None,
    mask: Any = None,
    frozen: Any = None,
    extra_args: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
    **more_extra_args: Any,
) -> AuditReport:
    r"""Find out what an optimizer's weight decay does to each leaf, by running it.

    The optimizer is a black box: `init` and `update` are all that is used. In float64,
    under seeded parameters and gradients, of a factory the updates with λ and with 0
    are compared; of a ready-made optimizer those at other parameters, and under negated
    gradients. With θ the parameters of a leaf and u the step without decay, laws of the
    form

    .. math:: \theta \leftarrow \theta - u - R\, \theta

    and those listed at :class:`LeafReport` are told apart. Then 1000 real steps in the
    leaf's own dtype show what rounding leaves of it, and those of leaves of 16 bits
    what is left beside updates. What cannot be told is reported as such: ``coupling``
    is ``"other"``, and ``decoupled`` is ``None``.

    Args:
      optimizer: one of three: an ``optax.GradientTransformation``; a factory
        ``(learning_rate, weight_decay) -> GradientTransformation``, of which most can
        be told (one of Optax's own, such as ``optax.adamw``, gets the two by name); or
        a whole ``step(params, grads) -> params``.
      params: the parameters: any tree, also of ``jax.ShapeDtypeStruct``, or a function
        that returns one. Values matter only for rounding.
      weight_decay: λ >= 0. For a factory the λ it is called with, 0.1 if not given, and
        not zero; else what you expect.
      learning_rate: η, a number or a schedule. For a factory what it is called with,
        0.001 if not given; else what you expect.
      mask: which leaves you expect to decay: bools or multipliers of λ, as a tree, a
        prefix of one, a function of the parameters, or a ``DecayRules``.
      frozen: which leaves you expect never to decay: bools, likewise.
      extra_args: what `update` needs by name, as a mapping; for names that are also
        arguments of this function.
      progress: called with a line of text as the audit goes on.
      **more_extra_args: what `update` needs by name, such as ``value=1.0``.

    Returns:
      An :class:`AuditReport`: ``leaves`` by path, ``findings``, and a table in print.

    Raises:
      AuditError: if nothing can be told: the factory, `init` or `update` raises (with
        its message), or the updates do not fit the parameters.
      TypeError: if an expectation is of a wrong type.
      ValueError: if a number is negative, or a mask does not fit the parameters.

    Examples:
      >>> import jax.numpy as jnp
      >>> import optax
      >>> import optaxwd
      >>> params = {"kernel": jnp.ones((8, 4)), "bias": jnp.ones(4)}

      What is this optimizer's λ, really?

      >>> optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.adam(1e-3))
      >>> report = optaxwd.audit(optimizer, params)
      >>> leaf = report.leaves["kernel"]
      >>> leaf.decays, leaf.decoupled, leaf.coupling, round(leaf.weight_decay, 6)
      (True, False, 'l2', 0.1)

      Does this one do what I want? One line in a test suite:

      >>> wanted = {"kernel": True, "bias": False}
      >>> optimizer = optax.adamw(1e-3, weight_decay=0.1, mask=wanted)
      >>> report = optaxwd.audit(
      ...     optimizer, params, learning_rate=1e-3, weight_decay=0.1, mask=wanted
      ... )
      >>> report.raise_if("error")

    References:
      The bugs it knows are collected from the trackers of PyTorch, Keras, TensorFlow
      Addons, Transformers, apex and others; the laws are those of Optax, and of
      Loshchilov and Hutter, `Decoupled Weight Decay Regularization
      <https://arxiv.org/abs/1711.05101>`_, 2019.
    """
    progress = progress or (lambda text: None)
    extra = {**(extra_args or {}), **more_extra_args}
    params = _params(params)
    tree = probe_tree(params)
    expected = expectations(
        tree,
        params,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        mask=mask,
        frozen=frozen,
    )
    eta = LEARNING_RATE if learning_rate is None else expected.learning_rate
    lam = WEIGHT_DECAY if expected.weight_decay is None else expected.weight_decay
    subject = as_subject(optimizer, extra, learning_rate=eta, weight_decay=lam)
    if subject.is_factory:
        check_positive(lam, "weight_decay", "audit of a factory")
        expected = dataclasses.replace(expected, learning_rate=eta, weight_decay=lam)
    with double_precision():
        made = subject.make(eta, lam)
    tree, notes, doubt = choose_shapes(tree, made, extra)
    runner = Runner(made, tree, extra)
    with np.errstate(all="ignore"):  # what is not finite is reported
        laws, extra_findings = _laws(subject, runner, expected, progress)
    if doubt:
        for leaf, law in zip(tree.leaves, laws, strict=True):
            _doubt(leaf, law, doubt)
    progress("many steps in the leaves' own dtypes")
    small = tree.with_level(LEVELS[0])
    survived = survivals(lambda: subject.make(eta, lam), small, laws, extra)
    lost: list[InChain | None] = [None] * len(laws)
    # The updates of a whole step are differences of weights that it has rounded.
    if subject.kind != "step":
        lost = losses_in_chain(lambda: subject.make(eta, lam), small, laws, extra)
    findings = extra_findings + find(
        tree.leaves,
        laws,
        survived,
        lost,
        expected,
        decay_was_asked=bool(expected.weight_decay),
        is_factory=subject.is_factory,
    )
    return AuditReport(
        subject.kind,
        {
            leaf.path: LeafReport.build(leaf, law, survival)
            for leaf, law, survival in zip(tree.leaves, laws, survived, strict=True)
        },
        tuple(findings),
        expected.learning_rate,
        expected.weight_decay,
        tuple(notes),
    )


def _doubt(leaf: ProbeLeaf, law: Law, doubt: str) -> None:
    """Take back what was told of a leaf that could only be probed in another shape."""
    if leaf.shape != leaf.probe_shape:
        law.decays, law.coupling, law.decoupled = False, "other", None
        law.rates, law.weight_decay, law.factor = np.zeros(1), None, None
        law.broken = f"cannot be told from a smaller shape: {doubt}"


def _params(params: Any) -> Any:
    """Return the tree of parameters, or of their shapes if it is a function."""
    if not callable(params) or jax.tree.leaves(params) != [params]:
        return params
    try:
        return jax.eval_shape(params)
    except Exception:
        pass  # It may need to see numbers.
    try:
        return params()
    except Exception as error:
        raise AuditError(
            f"params, a function, raised {describe(error)}"
        ) from own_traceback(error)


def _laws(
    subject: Subject,
    runner: Runner,
    expected: Expectations,
    progress: Callable[[str], None],
) -> tuple[list[Law], list[Finding]]:
    """Return the law of each leaf, and findings about the optimizer as a program."""
    tree = runner.tree
    impure = impurity(tree, runner.optimizer, subject.extra_args)
    if impure:
        message = (
            f"`update` is not a function of its arguments: {impure}. Keep all that it "
            "remembers in the state"
        )
        broken = [Law(coupling="other", broken=impure) for _ in tree.leaves]
        return broken, [Finding("impure", "error", "", message)]
    if subject.is_factory:
        eta, lam = expected.learning_rate, float(expected.weight_decay or 0.0)
        probe = FactoryProbe(subject, runner, eta, lam, progress)
        scripts = _long_enough(runner, probe.acts)
        laws = laws_beside(probe.laws(scripts), runner, scripts)
    else:
        whole = ObjectProbe(runner, progress)
        scripts = _long_enough(runner, whole.acts)
        laws = held_back(whole.laws(scripts), runner, scripts)
        for i, law in enumerate(laws):
            name_coupling(law, i, expected)
    change = runner.state_change
    message = f"{change}: it cannot be carried through `jax.lax.scan`"
    return laws, [Finding("state-change", "warning", "", message)] if change else []


def _long_enough(runner: Runner, acts: Callable[[Scripts], bool]) -> Scripts:
    """Return scripts in which decay acts; the shortest if it does in none.

    It may start late, or only in the steps that end an accumulation.
    """
    shortest = Scripts(runner.tree)
    longest = shortest
    for steps in STEPS:
        if steps * runner.tree.size > LARGEST and steps > STEPS[0]:
            break
        longest = shortest if steps == STEPS[0] else Scripts(runner.tree, steps)
        if acts(longest):
            return longest
    updates = runner(longest.script(longest.a, longest.first))
    if not any(update.any() for update in updates):
        raise AuditError(
            f"all updates are zero in {longest.steps} steps, for every leaf: the "
            "optimizer does nothing, or its learning rate does not start within them."
        )
    return shortest
