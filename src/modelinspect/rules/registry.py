"""Every rule about unsafe and wasteful content, which of them are chosen, and what they find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from modelinspect.core.artifact import Severity
from modelinspect.core.suggestions import did_you_mean
from modelinspect.errors import UsageError
from modelinspect.networks.subject import Subject
from modelinspect.reports.entries import FindingEntry
from modelinspect.reports.lint import LintFinding, RuleEntry
from modelinspect.rules.base import Finding, Group, Rule

GROUPS = tuple(str(group) for group in Group)
_RANK = {severity: rank for rank, severity in enumerate((Severity.ERROR, Severity.WARNING, Severity.NOTE))}


def unsafe_rules() -> tuple[Rule, ...]:
    """Return the rules about unsafe content, sorted by id."""
    from modelinspect.rules.unsafe import (
        archives,
        checksums,
        configurations,
        odd_bytes,
        operators,
        references,
        templates,
    )

    modules = (archives, checksums, configurations, odd_bytes, operators, references, templates)
    tables = (module.RULES for module in modules)
    return _sorted(rule for table in tables for rule in table)


def wasteful_rules() -> tuple[Rule, ...]:
    """Return the rules about what makes an artifact large, sorted by id."""
    from modelinspect.rules.wasteful import (
        baseline_already_sparse,
        block_mismatch,
        build_noise,
        compiled_program,
        const_and_variable,
        dead_channels,
        dense_zeros,
        densify_present,
        duplicate_tensors,
        embedded_data,
        float_with_few_values,
        gradient_duplicate,
        hidden_bytes,
        identical_weights,
        missing_data,
        negative_zeros,
        optimizer_never_stepped,
        optimizer_state,
        pruning_not_stripped,
        quant_params_dominate,
        quantization_aware_training,
        second_instance,
        sparse_encoding_net_loss,
        sparse_hybrid,
        sparse_weights_lost,
        sparsity_lost,
        sparsity_not_applied,
        splat_constant,
        stablehlo_constants,
        stayed_float,
        tiny_model_overhead,
        uncalibrated_quantization,
        zip_stored,
    )

    modules = (
        baseline_already_sparse.RULE,
        block_mismatch.RULE,
        build_noise.RULE,
        compiled_program.RULE,
        embedded_data.RULE,
        const_and_variable.RULE,
        dead_channels.RULE,
        dense_zeros.RULE,
        densify_present.RULE,
        duplicate_tensors.RULE,
        float_with_few_values.RULE,
        gradient_duplicate.RULE,
        hidden_bytes.RULE,
        identical_weights.RULE,
        missing_data.RULE,
        negative_zeros.RULE,
        optimizer_never_stepped.RULE,
        optimizer_state.RULE,
        pruning_not_stripped.RULE,
        quant_params_dominate.RULE,
        quantization_aware_training.RULE,
        second_instance.RULE,
        sparse_encoding_net_loss.RULE,
        sparse_hybrid.RULE,
        sparse_weights_lost.RULE,
        sparsity_lost.RULE,
        sparsity_not_applied.RULE,
        splat_constant.RULE,
        stayed_float.RULE,
        stablehlo_constants.RULE,
        tiny_model_overhead.RULE,
        uncalibrated_quantization.RULE,
        zip_stored.RULE,
    )
    return _sorted(modules)


def choose(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Return the rules that a selection leaves: ids, patterns or groups.

    Raises `UsageError` for what names no rule.
    """
    rules = _sorted((*unsafe_rules(), *wasteful_rules()))
    for pattern in (*select, *ignore):
        if not any(_matches(rule, pattern) for rule in rules):
            raise UsageError(
                "there is no rule"
                f" {pattern!r}{did_you_mean(pattern, [*(rule.id for rule in rules), *GROUPS])}"
            )
    kept = (rule for rule in rules if not select or any(_matches(rule, pattern) for pattern in select))
    return tuple(rule for rule in kept if not any(_matches(rule, pattern) for pattern in ignore))


def rule_entries(rules: Iterable[Rule]) -> tuple[RuleEntry, ...]:
    """Describe rules as a report has them."""
    return tuple(
        RuleEntry(
            id=rule.id,
            group=str(rule.group),
            severity=str(rule.severity),
            reason=rule.reason,
            remedy=rule.remedy,
        )
        for rule in rules
    )


def run_rules(subject: Subject, rules: Iterable[Rule]) -> tuple[LintFinding, ...]:
    """Run rules; the severest findings come first, then those of a rule in the order of the file."""
    found = [lint_finding(rule, finding) for rule, finding in _findings(subject, rules)]
    return tuple(sorted(dict.fromkeys(found), key=finding_order))


def find_all(subject: Subject) -> tuple[FindingEntry, ...]:
    """Run every rule about wasteful content; the severest findings come first, then those about the most
    bytes.
    """
    found = sorted(
        _findings(subject, wasteful_rules()),
        key=lambda pair: (_RANK[pair[0].severity], -pair[1].bytes, pair[0].id),
    )
    return tuple(
        FindingEntry(
            rule=rule.id,
            severity=str(rule.severity),
            message=finding.message,
            bytes=finding.bytes,
            remedy=finding.what_to_do,
        )
        for rule, finding in found
    )


def lint_finding(rule: Rule, finding: Finding) -> LintFinding:
    """Return a finding as a report of lint has it."""
    place = finding.place
    return LintFinding(
        rule=rule.id,
        severity=str(rule.severity),
        message=finding.message,
        bytes=finding.bytes,
        remedy=finding.what_to_do,
        member=place.member if place is not None else None,
        offset=place.offset if place is not None else None,
        size=(place.size or None) if place is not None else None,
    )


def _findings(subject: Subject, rules: Iterable[Rule]) -> Iterator[tuple[Rule, Finding]]:
    for rule in rules:
        for finding in rule.run(subject):
            yield rule, finding


def _sorted(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(sorted(rules, key=lambda rule: rule.id))


def _matches(rule: Rule, pattern: str) -> bool:
    return pattern in (rule.id, str(rule.group), "all") or fnmatchcase(rule.id, pattern)


def finding_order(finding: LintFinding) -> tuple[int, str, str, int, str]:
    """Return what findings are sorted by: the severest first, then those of a rule in the order of the
    file.
    """
    return (
        _RANK[Severity(finding.severity)],
        finding.rule,
        finding.member or "",
        finding.offset or 0,
        finding.message,
    )
