"""Faults in the decay engine and in the transforms."""

from tests.mutation.record import mutants

DECAY = "transforms/test_decay.py"
STABLE = "transforms/test_stable.py"
FORMS = "transforms/test_forms.py"
MUTANTS = [
    *mutants(
        "transforms/_engine.py",
        DECAY,
        {
            "decay added on both sides of the learning rate": (
                "update - decay if after_learning_rate else update + decay",
                "update + decay",
                "test_by_hand_before_and_after_the_learning_rate",
            ),
            "decay subtracted on both sides of the learning rate": (
                "update - decay if after_learning_rate else update + decay",
                "update - decay",
                "test_by_hand_before_and_after_the_learning_rate",
            ),
            "the rate squared": (
                "strength = rate if multiplier == 1 else rate * multiplier",
                "strength = rate * rate * multiplier",
                "test_by_hand_before_and_after_the_learning_rate",
            ),
            "the multiplier dropped": (
                "strength = rate if multiplier == 1 else rate * multiplier",
                "strength = rate",
                "transforms/test_forms.py::test_masks_and_multipliers_reach_every_form",
            ),
            "the anchor added": (
                "widen(param) - widen(anchor)",
                "widen(param) + widen(anchor)",
                "test_penalties_and_anchors_by_hand",
            ),
            "the gate reversed": (
                "jnp.sign(offset)).real >= 0",
                "jnp.sign(offset)).real <= 0",
                "test_cautious_compares_signs_without_underflow",
            ),
            "the gate shut at zero": (
                "jnp.sign(offset)).real >= 0",
                "jnp.sign(offset)).real > 0",
                "test_after_the_learning_rate_no_step_counts_as_agreement",
            ),
            "the gate asks the sign of a product that underflows": (
                "(jnp.conj(jnp.sign(direction)) * jnp.sign(offset)).real >= 0",
                "(jnp.conj(direction) * offset).real >= 0",
                "test_cautious_compares_signs_without_underflow",
            ),
            "the gate looks at the wrong side of the step": (
                "direction = -update if after_learning_rate else update",
                "direction = update",
                "test_cautious_compares_signs_without_underflow",
            ),
            "a traced zero is summed": (
                "keep = rate != 0",
                "keep = rate == rate",
                "test_zero_leaves_every_bit",
            ),
            "integers decay": (
                "if not tree.is_inexact(param):",
                "if not hasattr(param, 'dtype'):",
                "test_leaves_that_are_not_parameters_are_left_alone",
            ),
            "the pull is taken before the step": (
                "return x - strength * pull(x)",
                "return x - strength * pull(before)",
                f"{FORMS}::test_one_step_by_hand",
            ),
            "the target forgets its anchor": (
                "_decayed_target(x, offset, strength, penalty, form) + origin",
                "_decayed_target(x, offset, strength, penalty, form)",
                f"{FORMS}::test_every_coupling_sets_the_rate[proximal-constant]",
            ),
        },
    ),
    *mutants(
        "transforms/_decay.py",
        DECAY,
        {
            "the step is not counted": (
                "(optax.safe_increment(count), state.anchor, now)",
                "(count, state.anchor, now)",
                "test_a_schedule_counts_from_zero",
            ),
            "the schedule is asked one step late": (
                "rates_at(lam, factor, count, owner)",
                "rates_at(weight_decay, factor, count + 1, owner)",
                "test_a_schedule_counts_from_zero",
            ),
            "the corrected mask inverted": (
                "rate if is_scaled.decays else other(decay)",
                "other(decay) if is_scaled.decays else rate",
                "optimizers/test_corrected_mask.py::test_masks_of_every_kind",
            ),
            "forms may stand before the learning rate": (
                'if form != "additive" and not after_learning_rate:',
                'if form != "additive" and after_learning_rate is None:',
                f"{FORMS}::test_forms_after_the_step_refuse_to_stand_before_it",
            ),
        },
    ),
    *mutants(
        "transforms/_rates.py",
        DECAY,
        {
            "the factor dropped": (
                "rate if plain else rate * scale",
                "rate",
                "test_the_factor_multiplies_every_rate",
            ),
            "a rule's own λ ignored": (
                "weight_decay if decay.weight_decay is None else decay.weight_decay",
                "weight_decay",
                "rules/test_rules.py::TestOneTransformServesAllGroups::test_rates_by_hand",
            ),
            "a schedule's value is not checked": (
                "if is_static_number(value) or jnp.ndim(value):",
                "if False:",
                "test_a_schedule_that_cannot_be_right",
            ),
        },
    ),
    *mutants(
        "transforms/_learning_rate.py",
        "transforms/test_preconditioners.py",
        {
            "steps go uphill": (
                "sign = -1 if flip_sign else 1",
                "sign = 1",
                "test_flip_sign_is_optax_s",
            ),
            "the learning rate's count stands still": (
                "(optax.safe_increment(count), now)",
                "(count, now)",
                "test_learning_rate_counts_from_zero_for_every_kind",
            ),
            "a schedule of the learning rate dropped": (
                'eta = value_at(learning_rate, count, "learning_rate", _NAME)',
                'eta = value_at(learning_rate, 0, "learning_rate", _NAME)',
                "test_against_optax.py::"
                "test_twin[scale_by_learning_rate-schedule-float32]",
            ),
        },
    ),
    *mutants(
        "transforms/_anchors.py",
        "transforms/test_anchors.py",
        {
            "the ratio of norms dropped": (
                "return _on_sphere(param, ratio * kept)",
                "return _on_sphere(param, kept)",
                "test_a_ratio_of_zero_is_plain_decay",
            ),
            "a zero tensor divides by its norm": (
                "jnp.where(length != 0, radius / nonzero(length), 1)",
                "radius / length",
                "test_a_zero_tensor_has_no_direction_and_no_nan",
            ),
            "the copy keeps the parameters' dtype": (
                "self.dtype if narrow else None",
                "None",
                "test_a_copy_in_bfloat16_takes_half_and_is_off_by_its_rounding",
            ),
        },
    ),
    *mutants(
        "transforms/_anchoring.py",
        "transforms/test_anchors.py",
        {
            "a rule's own anchor ignored": (
                "        if decay.anchor is None:\n            return self.default",
                "        if True:\n            return self.default",
                "test_a_rule_gives_its_leaves_another_anchor",
            ),
            "an empty group has no anchors": (
                "        if not jax.tree.leaves(params):\n            return nothing\n",
                "",
                "test_a_group_of_a_partition_may_be_empty",
            ),
        },
    ),
    *mutants(
        "transforms/_penalties.py",
        FORMS,
        {
            "huber clips from below": (
                "return jnp.clip(x, -delta, delta)",
                "return jnp.maximum(x, -delta)",
                f"{DECAY}::test_penalties_and_anchors_by_hand",
            ),
            "huber's threshold forgets the step": (
                "inside = jnp.abs(x) <= (1 + tau) * delta",
                "inside = jnp.abs(x) <= delta",
                "test_huber_s_forms_differ_near_delta",
            ),
            "the soft threshold steps over zero": (
                "shrunk = jnp.maximum(jnp.abs(x) - tau * ratio, 0)",
                "shrunk = jnp.abs(x) - tau * ratio",
                "test_only_the_soft_threshold_stops_at_zero",
            ),
            "the shares of L1 and L2 exchanged": (
                "ratio * jnp.sign(x) + (1 - ratio) * x",
                "(1 - ratio) * jnp.sign(x) + ratio * x",
                "test_twenty_steps[additive-float64]",
            ),
            "the power of the p-norm off by one": (
                "jnp.abs(x) ** (power - 1) * jnp.sign(x)",
                "jnp.abs(x) ** power * jnp.sign(x)",
                "test_two_is_l2_and_one_is_l1",
            ),
            "the proximal operator of L2 is its pull": (
                "lambda x, tau, before: x / (1 + tau)",
                "lambda x, tau, before: x * (1 - tau)",
                "test_one_step_by_hand",
            ),
        },
    ),
    *mutants(
        "transforms/_moments.py",
        STABLE,
        {
            "bias correction to the power of one": (
                "-jnp.expm1(steps * jnp.log1p(rate - 1))",
                "-jnp.expm1(jnp.log1p(rate - 1))",
                "test_a_measured_b2_is_a_given_one",
            ),
        },
    ),
    *mutants(
        "transforms/_stable.py",
        STABLE,
        {
            "stable decay divides by the mean and not its root": (
                "root = jnp.sqrt(jnp.where(nothing, 1, mean))",
                "root = jnp.where(nothing, 1, mean)",
                "test_by_hand",
            ),
            "the measured bias not corrected": (
                "mean = mean / probe_state.nu",
                "mean = mean",
                "test_the_golden_step",
                "test_by_hand",
            ),
            "nothing to divide by gives NaN": (
                "jnp.where(nothing | (rate == 0), 0, rate / root)",
                "rate / jnp.sqrt(mean)",
                "test_without_any_gradient_nothing_decays",
            ),
        },
    ),
    *mutants(
        "transforms/_norm_control.py",
        "transforms/test_anchors.py",
        {
            "the ratio of norm control forgotten": (
                "InitialNorm(1.0 if ratio is None else ratio)",
                "InitialNorm(1.0)",
                "test_the_norm_is_pulled_to_its_target",
            ),
        },
    ),
    *mutants(
        "transforms/_constrain.py",
        "transforms/test_constrain.py",
        {
            "the multiplier of CPR may fall below zero": (
                "jnp.maximum(nu + kappa_update / entries * excess, 0)",
                "nu + kappa_update / entries * excess",
                "test_two_steps_by_hand",
                "test_below_the_bound_every_bit_passes",
            ),
            "CPR's excess with its sign turned": (
                "value - new_kappa)",
                "new_kappa - value)",
                "test_two_steps_by_hand",
            ),
            "CPR pulls past its centre": (
                "pull = jnp.where(jnp.abs(pull) <= jnp.abs(furthest), pull, furthest)",
                "pull = pull + 0 * furthest",
                "test_a_multiplier_that_would_turn_signs_ends_at_zero",
            ),
        },
    ),
    *mutants(
        "transforms/_project.py",
        "transforms/test_project.py",
        {
            "the ratio of projected decay everywhere": (
                "ratio = jnp.where(projected, weight_decay_ratio, 1.0)",
                "ratio = weight_decay_ratio",
                "test_by_hand",
            ),
            "the threshold without the root of the size": (
                "largest < delta / math.sqrt(max(size, 1))",
                "largest < delta",
                "test_the_threshold_is_delta_over_the_root_of_the_size",
            ),
            "one channel is enough": (
                "largest = jnp.max(cosines, axis=whole, keepdims=True, initial=0.0)",
                "largest = jnp.min(cosines, axis=whole, keepdims=True, initial=1e9)",
                "test_all_channels_must_pass",
            ),
            "the radial part added": (
                "return direction - radial * param",
                "return direction + radial * param",
                "test_by_hand",
            ),
        },
    ),
]
