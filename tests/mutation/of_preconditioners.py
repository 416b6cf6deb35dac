"""Faults in Adam, NAdam, clipping and the step of one pass."""

from tests.mutation.record import mutants

MUTANTS = [
    *mutants(
        "transforms/_adam.py",
        "test_against_optax.py",
        {
            "the bias of the mean not corrected": (
                "corrected = mean / of_mean.astype(mean.dtype)",
                "corrected = mean",
                "test_adamw_is_optax_s[constant-constant-True-float32]",
            ),
            "the bias of the squares corrected as of the mean": (
                "1 - b1**count, 1 - b2**count)",
                "1 - b1**count, 1 - b1**count)",
                "test_adamw_is_optax_s[constant-constant-True-float32]",
            ),
            "ε inside of the root": (
                "corrected / (root + eps)",
                "corrected / jnp.sqrt(root**2 + eps)",
                "test_adamw_is_optax_s[constant-constant-True-float32]",
            ),
            "Nesterov's look-ahead without its step": (
                "ahead = optax.safe_increment(count) if nesterov else count",
                "ahead = count",
                "test_twin[nadamw-schedule-float32]",
            ),
        },
    ),
    *mutants(
        "transforms/_nadam.py",
        "transforms/test_preconditioners.py",
        {
            "the warming momentum does not warm": (
                "b1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))",
                "b1",
                "test_nadam_by_hand",
            ),
            "the product of momenta forgotten": (
                "product = state.momentum_product * now",
                "product = now",
                "optimizers/test_references.py::"
                "test_twenty_steps[nadamw warming-learning_rate-float64]",
            ),
            "NAdam takes the momentum of now for the next": (
                "momentum(step), momentum(step + 1)",
                "momentum(step), momentum(step)",
                "test_nadam_by_hand",
            ),
        },
    ),
    *mutants(
        "transforms/_clip.py",
        "transforms/test_clip.py",
        {
            "small gradients scaled up": (
                "return jnp.minimum(1.0, max_norm / norm)",
                "return max_norm / norm",
                "test_gradients_below_the_norm_pass_bit_for_bit",
            ),
            "max for min": (
                "return jnp.minimum(1.0, max_norm / norm)",
                "return jnp.maximum(1.0, max_norm / norm)",
                "test_by_hand",
            ),
            "the norm summed in the dtype of each leaf": (
                "square_norm(widen(leaf))",
                "square_norm(leaf)",
                "test_float16_does_not_overflow",
            ),
        },
    ),
    *mutants(
        "transforms/_one_pass.py",
        "transforms/test_one_pass.py",
        {
            "one pass without its flag": (
                "if not is_flag_set():",
                "if is_flag_set():",
                "test_never_without_the_flag",
            ),
        },
    ),
    *mutants(
        "transforms/_multi_output_fusion.py",
        "transforms/test_one_pass.py",
        {
            "other flags of XLA lost": (
                '" ".join([*others, _OPTIONS + joined])',
                "_OPTIONS + joined",
                "test_options_that_were_there_stay",
            ),
        },
    ),
]
