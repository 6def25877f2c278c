"""Networks of two layers from initializations (λW, V/λ), pruned in several ways and trained again from their start.

`Plan` says what is pruned how; `pruned` makes one mask, `train_again` trains all that are left together. Source: li,
Section 4, Figure 3, and Appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from prunekit import _checks, nets
from prunekit.importance.scaled import Scaled
from prunekit.masks import scores
from prunekit.masks.mask import Keep, Mask

RULES = ("magnitude", "Hessian")
SCOPES: tuple[Literal["global", "layer"], ...] = ("global", "layer")
RANGE = (0.25, 4.0)  # of λ within which networks are trained again
Case = tuple[float, Literal["global", "layer"], str, float]


@dataclass(frozen=True)
class Plan:
    """Which pruned networks are trained again.

    Attributes
    ----------
    lambdas : sequence of float
        λ of all networks, increasing.
    retrained : sequence of float
        The λ at which they are trained again, increasing, some of them.
    fractions : sequence of float
        Of the weights kept, increasing; the second is the middle one.
    equal_sizes : float
        λ at which He's weights are of one size in both layers, (d/m)^(1/4).
    """

    lambdas: Sequence[float]
    retrained: Sequence[float]
    fractions: Sequence[float]
    equal_sizes: float

    @classmethod
    def of(
        cls, lambdas: Sequence[float], retrained: Sequence[float] | None, fractions: Sequence[float], equal_sizes: float
    ) -> Plan:
        """Return a plan; its networks are trained again at all λ from 1/4 to 4 where `retrained` is None.

        Raises
        ------
        ValueError
            If `retrained` has others than these, or none on one side of the balanced λ; for fewer than two fractions.
        """
        lams, keeps = _numbers("lambdas", lambdas), _numbers("fractions", fractions)
        inside = [lam for lam in lams if RANGE[0] <= lam <= RANGE[1]]
        again = inside if retrained is None else _numbers("retrained", retrained)
        if not again or not set(again) <= set(inside):
            raise ValueError(f"retrained is {again}: give some of lambdas from 1/4 to 4")
        if len(keeps) < 2:
            raise ValueError(f"fractions is {keeps}: give two or more")
        plan = cls(lams, again, keeps, _checks.scalar("equal_sizes", equal_sizes, positive=True))
        if plan.balanced in (again[0], again[-1]):
            raise ValueError(
                f"retrained is {again}, and equal_sizes {equal_sizes:g}: give some of lambdas on both sides of it"
            )
        return plan

    @property
    def balanced(self) -> float:
        """The λ trained again at which the weights of both layers are most alike in size."""
        return min(self.retrained, key=lambda lam: abs(math.log(lam / self.equal_sizes)))

    @property
    def compared(self) -> list[float]:
        """The λ at which layers are also pruned one by one: the outermost ones and the balanced one."""
        return sorted({self.retrained[0], self.balanced, self.retrained[-1]})

    @property
    def middle(self) -> float:
        """The second fraction."""
        return self.fractions[1]

    @property
    def cases(self) -> list[Case]:
        """What is trained again: λ, scope, rule and fraction; one by one only the two smallest fractions."""
        return [
            (lam, scope, rule, keep)
            for lam in self.retrained
            for scope in SCOPES
            for rule in RULES
            for keep in self.fractions
            if scope == "global" or (lam in self.compared and keep in self.fractions[:2])
        ]


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    """Return positive numbers in increasing order."""
    return sorted(_checks.scalar(name, value, positive=True) for value in _checks.listed(name, values, "numbers"))


def pruned(
    model: nn.Module,
    diagonal: Mapping[str, Tensor],
    rule: str,
    keep: Keep,
    scope: Literal["global", "layer"] = "global",
) -> Mask:
    """Return the mask of magnitude or of Hessian pruning.

    Parameters
    ----------
    model : Module
        The trained network.
    diagonal : mapping of str to tensor
        The Hessian's, by parameter name, for the rule "Hessian".
    rule : str
        One of `RULES`.
    keep, scope
        As for `Mask.from_scores`.
    """
    _checks.choice("rule", rule, RULES)
    score = scores.magnitude(model) if rule == "magnitude" else scores.hessian(model, diagonal)
    return Mask.from_scores(score, keep, scope)


def train_again(
    setting: Scaled,
    data: nets.Dataset,
    repetition: int,
    trained: Mapping[float, tuple[nn.Module, Mapping[str, Tensor]]],
    cases: Sequence[Case],
) -> tuple[dict[Case, float], int]:
    """Prune trained networks, put what is kept back to its initial weights, and train it again with new batches.

    Networks of which a whole layer is gone are not trained: no gradient can change them.

    Parameters
    ----------
    setting : Scaled
        How the networks were made and trained.
    data : Dataset
        What they were trained on.
    repetition : int
        Which repetition they are of.
    trained : mapping of float to (Module, mapping of str to tensor)
        By λ, the trained network and its Hessian's diagonal.
    cases : sequence of (float, str, str, float)
        λ, scope, rule and fraction, as `Plan.cases`.

    Returns
    -------
    accuracies : dict
        Test accuracy by case.
    count : int
        How many networks were trained.
    """
    _checks.instance("setting", setting, Scaled, "a Scaled")
    _checks.instance("trained", trained, Mapping, "a mapping from λ to a network and its diagonal")
    done: dict[Case, nn.Module] = {}
    alive: dict[Case, Mask] = {}
    for case in _checks.listed("cases", cases, "(λ, scope, rule, fraction)"):
        if not isinstance(case, tuple) or len(case) != 4 or case[0] not in trained:
            raise ValueError(f"cases holds {_checks.shown(case)}: give (λ, scope, rule, fraction) with a λ of trained")
        lam, scope, rule, keep = case
        model, diagonal = _pair(trained, lam)
        mask = pruned(model, diagonal, rule, keep, scope)
        [done[case]] = setting.networks(data, repetition, [lam])
        mask.apply_(done[case])
        if min(mask.counts().values()) > 0:
            alive[case] = mask
    networks, scales = [done[case] for case in alive], [case[0] for case in alive]
    masks = [dict(mask) for mask in alive.values()]
    if networks:
        setting.train(networks, scales, data, order=setting.key(repetition) + 1000, masks=masks)
    return {case: nets.evaluate(net, data)[1] for case, net in done.items()}, len(alive)


def _pair(trained: Mapping[float, tuple[nn.Module, Mapping[str, Tensor]]], lam: float) -> Any:
    """Return a trained network and its diagonal."""
    pair = _checks.listed(f"trained[{lam}]", trained[lam], "a network and its diagonal")
    if len(pair) != 2:
        raise ValueError(f"trained[{lam}] has {len(pair)} parts: give a network and its diagonal")
    return pair
