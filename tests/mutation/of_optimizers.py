"""Faults in how optimizers are put together."""

from tests.mutation.record import mutants

MUTANTS = [
    *mutants(
        "optimizers/_assemble.py",
        "optimizers/test_builders.py",
        {
            "independent decay before the learning rate": (
                'coupling == "l2" or (coupling in TIED and form == "additive")',
                'coupling != "constant" and form == "additive"',
                "test_the_chain_written_by_hand[schedule-independent]",
            ),
            "L2 after the preconditioner": (
                "stages = (decay, preconditioner, to_step)",
                "stages = (preconditioner, decay, to_step)",
                "test_the_chain_written_by_hand[0.1-l2]",
            ),
            "decay after the step that should come before": (
                "stages = (preconditioner, decay, to_step)",
                "stages = (preconditioner, to_step, decay)",
                "test_the_chain_written_by_hand[0.1-learning_rate]",
            ),
            "decouple takes itself to be before the learning rate": (
                'after_learning_rate=coupling != "l2",',
                "after_learning_rate=False,",
                "test_decouple_agrees_with_the_builder[constant-False]",
            ),
            "L2 around an optimizer put last": (
                '(decay, optimizer) if coupling == "l2" else (optimizer, decay)',
                "(optimizer, decay)",
                "test_decouple_agrees_with_the_builder[l2-False]",
            ),
            "frozen rules do not freeze": (
                "if isinstance(mask, DecayRules) and mask.freezes:",
                "if mask is None:",
                "rules/test_rules.py::TestFreeze::test_in_every_optimizer[adamw]",
            ),
            "the gate is not shown the direction": (
                'extra_args = {**extra_args, "direction": direction}',
                "extra_args = {**extra_args}",
                "optimizers/test_cautious.py::"
                "test_a_step_that_vanishes_still_has_its_direction[0.0-constant-float32]",
            ),
            "gradients are not clipped": (
                "clip_before(stages[0], max_grad_norm, owner)",
                "clip_before(stages[0], None, owner)",
                "transforms/test_clip.py::test_decouple_clips_first",
            ),
            "a mask corrected by any coupling": (
                'if corrected_mask is not None and coupling != "corrected":',
                'if corrected_mask == "corrected":',
                "optimizers/test_corrected_mask.py::"
                "test_other_couplings_refuse_the_mask",
            ),
        },
    ),
    *mutants(
        "optimizers/_couplings.py",
        "optimizers/test_builders.py",
        {
            "the peak forgotten": (
                "return lambda count: learning_rate(count) / peak",
                "return lambda count: learning_rate(count)",
                "test_the_chain_written_by_hand[schedule-independent]",
            ),
            "the learning rate multiplied twice": (
                "if coupling in TIED and not scaled_later:",
                "if coupling in TIED:",
                "test_the_chain_written_by_hand[0.1-learning_rate]",
            ),
            "a schedule's peak guessed": (
                "if not given and not is_static_number(learning_rate):",
                "if not given and callable(peak_learning_rate):",
                "test_messages",
            ),
            "the sum of factors for their product": (
                "return math.prod(values)",
                "return sum(values)",
                "test_the_chain_written_by_hand[schedule-independent]",
            ),
        },
    ),
    *mutants(
        "optimizers/_adam.py",
        "optimizers/test_references.py",
        {
            "adam_l2 decoupled": (
                'owner="adam_l2",\n        coupling="l2"',
                'owner="adam_l2",\n        coupling="learning_rate"',
                "test_against_optax.py::test_twin[adam_l2-schedule-float32]",
            ),
            "NAdam forgets its momentum decay": (
                "    if momentum_decay is None:\n        preconditioner",
                "    if True:\n        preconditioner",
                "test_twenty_steps[nadamw warming-learning_rate-float64]",
            ),
        },
    ),
    *mutants(
        "optimizers/_clipped.py",
        "transforms/test_clip.py",
        {
            "frozen gradients count in the norm": (
                "lambda is_frozen, update: None if is_frozen else update,",
                "lambda is_frozen, update: update,",
                "test_frozen_gradients_count_in_no_norm[muonw]",
            ),
        },
    ),
]
