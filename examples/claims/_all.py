"""The experiments, in the order of their claims."""

from examples.claims import (
    c01_spurious_feature,
    c02_effective_shrinkage,
    c03_sgd,
    c04_weight_sharing,
    c05_recurrence,
    c06_normalisation,
    c07_quantisation,
    c08_warmup_and_delay,
    c09_worked_examples,
    c10_zero_gradient,
    c11_rare_tokens,
    c12_dropout_fine_tuning_adapters,
    c13_l1_or_l2,
)

CLAIMS = {
    module.CLAIM.name: module.CLAIM
    for module in (
        c01_spurious_feature,
        c02_effective_shrinkage,
        c03_sgd,
        c04_weight_sharing,
        c05_recurrence,
        c06_normalisation,
        c07_quantisation,
        c08_warmup_and_delay,
        c09_worked_examples,
        c10_zero_gradient,
        c11_rare_tokens,
        c12_dropout_fine_tuning_adapters,
        c13_l1_or_l2,
    )
}
