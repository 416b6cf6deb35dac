"""Faults in rules, patterns and masks."""

from tests.mutation.record import mutants

MUTANTS = [
    *mutants(
        "rules/_rules.py",
        "rules/test_rules.py",
        {
            "the last match wins": (
                "self._decision(leaf, hits[0] if hits else None)",
                "self._decision(leaf, hits[-1] if hits else None)",
                "test_the_first_match_wins",
            ),
            "the default is no decay": (
                "decay = self.default or LeafDecay(0.0)",
                "decay = LeafDecay(0.0)",
                "test_the_first_match_wins",
            ),
            "the mask inverted": (
                "[d.decay.decays for d in decided]",
                "[not d.decay.decays for d in decided]",
                "test_the_first_match_wins",
                "TestInsideOptax::test_as_a_mask_of_optax_s_own",
            ),
            "useless rules pass": (
                "if problems and check:",
                "if problems and not check:",
                "test_a_useless_rule_is_an_error",
            ),
            "shadowed rules pass": (
                "elif not won[index]:",
                "elif won[index] < 0:",
                "test_a_useless_rule_is_an_error",
            ),
            "decisions of one tree remembered for all": (
                "        structure,\n        tuple((x.shape",
                "        None,\n        tuple((None",
                "test_each_tree_has_decisions_of_its_own",
            ),
        },
    ),
    *mutants(
        "rules/_patterns.py",
        "rules/test_rules.py",
        {
            "a part of the path is enough": (
                "bool(expression.fullmatch(leaf.path)))",
                "bool(expression.search(leaf.path)))",
                "test_patterns",
            ),
            "a double star takes one component or more": (
                "range(min(reached), len(components) + 1)",
                "range(min(reached) + 1, len(components) + 1)",
                "test_a_double_star_also_matches_no_component",
            ),
        },
    ),
    *mutants(
        "rules/_masks.py",
        "rules/test_masks.py",
        {
            "a tree of bools inverted": (
                "LeafDecay(float(decays))",
                "LeafDecay(float(not decays))",
                "test_multipliers",
            ),
            "no mask decays nothing": (
                "lambda _: LeafDecay(), params",
                "lambda _: LeafDecay(0.0), params",
                "test_multipliers",
                "transforms/test_decay.py::"
                "test_by_hand_before_and_after_the_learning_rate",
            ),
        },
    ),
    *mutants(
        "transforms/_freeze.py",
        "rules/test_rules.py",
        {
            "frozen parameters take the update": (
                "show=no_update",
                "show=lambda update, param: update",
                "TestFreeze::test_whatever_the_chain_holds",
                "TestFreeze::test_in_every_optimizer[adamw]",
            ),
        },
    ),
    *mutants(
        "tree/_match.py",
        "rules/test_masks.py",
        {
            "a mask that covers nothing passes": (
                "if path not in used and _covering_path(path, empty) is None:",
                "if path not in used and path in used:",
                "test_another_structure_names_the_path",
            ),
        },
    ),
]
