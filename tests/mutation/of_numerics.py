"""Faults in rounding, splitting and blocks, and in what keeps 16 bits right."""

from tests.mutation.record import mutants

ROUND = "precision/test_round_updates.py"
MUTANTS = [
    *mutants(
        "numerics/_rounding.py",
        "numerics/test_rounding.py",
        {
            "ties away from zero": (
                "((near.excess == half) & near.is_odd)",
                "(near.excess == half)",
                "test_nearest_by_hand",
            ),
            "rounded towards zero": (
                "is_up = (near.excess > half) | ((near.excess == half) & near.is_odd)",
                "is_up = near.excess < 0",
                "test_nearest_by_hand",
            ),
            "noise that goes up too often": (
                "jnp.where(drawn < near.excess, near.up, near.down)",
                "jnp.where(drawn // 2 < near.excess, near.up, near.down)",
                "test_stochastic_is_unbiased",
            ),
            "noise that moves what fits": (
                "jnp.where(drawn < near.excess, near.up, near.down)",
                "jnp.where(drawn <= near.excess, near.up, near.down)",
                "test_zero_and_what_is_far_below_the_smallest_number_stay_zero",
                "test_stochastic_leaves_what_fits",
                "test_stochastic_is_unbiased",
            ),
            "a spacing of half": (
                "return power * 2.0**-info.nmant",
                "return power * 2.0 ** -(info.nmant + 1)",
                "test_spacing_is_the_distance_to_the_next",
            ),
            "the sign lost": (
                "magnitude | (_bits(x) & ~_MAGNITUDE), x.dtype",
                "magnitude, x.dtype",
                "test_nearest_is_the_cast",
            ),
        },
    ),
    *mutants(
        "numerics/_split.py",
        "numerics/test_split.py",
        {
            "the high half truncated": (
                "high = (magnitude + 0x8000) >> 16",
                "high = magnitude >> 16",
                "test_the_high_half_is_the_nearest",
                "test_any_bits_come_back",
            ),
            "the rest joined with its sign turned": (
                "joined = wide + rest.astype(jnp.float32)",
                "joined = wide - rest.astype(jnp.float32)",
                "test_float16_comes_back_where_it_can",
            ),
        },
    ),
    *mutants(
        "numerics/_codes.py",
        "numerics/test_blocks.py",
        {
            "codes rounded down": (
                "added: Any = 1 << (_DROPPED - 1)",
                "added: Any = 0",
                "test_codes_are_the_nearest_of_all",
                "test_errors_are_within_half_a_step",
            ),
            "small second moments become zero": (
                "codes = jnp.maximum(codes, jnp.minimum(magnitude, floor))",
                "codes = jnp.maximum(codes, 0)",
                "test_without_signs_nothing_positive_becomes_zero",
            ),
            "the smallest of a block for its largest": (
                "largest = jnp.max(magnitude, axis=-1, keepdims=True)",
                "largest = jnp.min(magnitude, axis=-1, keepdims=True)",
                "test_codes_with_signs_by_hand",
            ),
        },
    ),
    *mutants(
        "precision/_roundings.py",
        ROUND,
        {
            "what is left over lost": (
                "rest = wanted - (end - wide)",
                "rest = step - (end - wide)",
                "test_compensated_keeps_the_sum",
            ),
            "the copy in float32 not stepped": (
                "return land(target, as_float32(param), param.dtype)[0], master",
                "return land(target, as_float32(param), param.dtype)[0], kept",
                "precision/test_with_precision.py::test_by_hand",
                "precision/test_with_precision.py::"
                "test_the_bits_of_a_float32_run[lionw-master]",
            ),
            "the rest of another number joined": (
                "jnp.abs(rest) <= spacing(as_float32(param), param.dtype)",
                "jnp.abs(rest) >= 0",
                "test_a_parameter_changed_from_outside_counts_as_it_is",
            ),
        },
    ),
    *mutants(
        "precision/_rounder.py",
        ROUND,
        {
            "the same noise in every step": (
                "count = optax.safe_increment(count)",
                "count = count + 0",
                "test_noise_is_of_the_key_the_step_and_the_path",
            ),
        },
    ),
    *mutants(
        "precision/_landing.py",
        ROUND,
        {
            "updates that do not land": (
                "jnp.clip(target - param, -_LARGEST, _LARGEST), target",
                "jnp.clip(target - param, -1e-3, 1e-3), target",
                "test_by_hand",
            ),
        },
    ),
    *mutants(
        "precision/_regions.py",
        "precision/test_regions.py",
        {
            "a kernel that waits for itself": (
                "and late.isdisjoint(variables_of(one.invars))",
                "and True",
                "test_what_waits_for_a_result_stays_outside",
            ),
            "a kernel that what it reads waits for": (
                "and k not in first",
                "and k not in core",
                "test_what_leads_to_something_that_is_read_stays_outside",
            ),
            "arrays read for what only follows": (
                "and all(v in made or v in near for v in arrays)",
                "and True",
                "test_a_direction_goes_along_and_decay_does_not",
            ),
            "two results where one would do": (
                "if not (is_end and read.issuperset(arrays)):",
                "if is_end or not read.issuperset(arrays):",
                "test_of_two_results_that_follow_from_each_other_one_comes_out",
            ),
            "sorting taken for entrywise": (
                '_CHOICES = {"abs", ',
                '_CHOICES = {"abs", "sort", ',
                "test_without_entrywise_equations_the_new_array_is_read",
            ),
            "one kernel for all numbers that are multiplied with": (
                "return str(atom.aval), repr(atom.val)",
                "return str(atom.aval)",
                "test_other_numbers_powers_and_shapes_have_other_signatures",
            ),
            "one kernel for leaves of all shapes": (
                "return names.setdefault(atom, len(names)), str(atom.aval)",
                "return names.setdefault(atom, len(names))",
                "test_other_numbers_powers_and_shapes_have_other_signatures",
            ),
        },
    ),
    *mutants(
        "precision/_in_kernels.py",
        "precision/test_kernels.py",
        {
            "leaves tied together by functions of whole trees": (
                "traced = without_calls(traced, loaded)",
                "without_calls(traced, loaded)",
                "test_functions_of_whole_trees_are_divided_among_kernels",
            ),
        },
    ),
    *mutants(
        "precision/_jaxprs.py",
        "precision/test_kernels.py",
        {
            "random numbers drawn another way": (
                "with scope, equation.ctx.manager:",
                "with scope:",
                "test_what_a_computation_was_traced_with_stays",
            ),
        },
    ),
    *mutants(
        "precision/_region_kernel.py",
        "precision/test_kernels.py",
        {
            "the first rows for all": (
                "lambda i: (i, 0))",
                "lambda i: (0, 0))",
                "test_random_numbers_of_all_magnitudes",
            ),
            "no kernel on the device that is asked for": (
                'default=plain if fallback == "xla" else interpreted',
                "default=plain",
                "test_kernels_are_traced_once_per_shape",
            ),
        },
    ),
    *mutants(
        "precision/_in_kernels.py",
        "precision/test_kernels.py",
        {
            "a kernel over two devices": (
                "len(devices) == 1 and",
                "len(devices) >= 1 and",
                "test_where_kernels_are_taken",
            ),
            "a kernel compiled at every call": (
                "not leaves or any(map(is_known, leaves))",
                "not leaves",
                "test_outside_of_compiled_steps_there_is_none",
            ),
        },
    ),
]
