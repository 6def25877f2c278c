"""The parts of a diagnosis that need the Hessian's spectrum, or a cut's measure in it."""

from __future__ import annotations

import torch

from prunekit.curvature import Curvature
from prunekit.diagnosis.stages import Plain, Work
from prunekit.importance import hessian_matrix
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.landscape import Landscape
from prunekit.limit.prediction import Method, predict

DENSE = 1500  # weights of a network up to which its Hessian is, and decomposed: seconds grow with the cube
SPECTRUM = 160  # products with the Hessian for its spectrum, at most
DIRECTION = 16  # products along a cut, at most
_RESOLUTION = 0.05  # of the share that stays: how near a limit's crossing is sought, which is in its error
_VECTORS = 2e9  # bytes of Lanczos vectors


def published(work: Work) -> Plain:
    """Return the published limit, for which the spectrum is enough."""
    return _limits(work, "published")


def orthogonal(work: Work) -> Plain:
    """Return the limit for random subspaces orthogonal to the cut, for which the cut's own measure is needed."""
    return _limits(work, "orthogonal")


def cone(work: Work) -> Plain:
    """Return the limit by the ellipsoid's exact cone, for which the cut's own measure is needed too."""
    return _limits(work, "cone")


def reoptimized(work: Work) -> Plain:
    """Return the limit of the quadratic model with the kept weights at their best, where the Hessian is dense."""
    if work.subject.total > DENSE:
        raise NotImplementedError(f"for networks of up to {DENSE:,} weights")
    return _limits(work, "re-optimized")


def _limits(work: Work, method: Method) -> Plain:
    """Return a limit that follows from the Hessian's spectrum, with its errors apart."""
    landscape: Landscape = work.once("landscape", lambda: _landscape(work))
    limit = predict(landscape, work.epsilon, method=method, resolution=_RESOLUTION)
    return {
        "share": 1 - limit.fraction,
        "probes": limit.scatter,
        "quadrature": limit.quadrature,
        "error": limit.error,
        "resolved": limit.resolved,
        "known_by": landscape.method,
        "samples": work.quadratic.count,
    }


def _landscape(work: Work) -> Landscape:
    """Return the balanced weights and the Hessian at them: dense for few weights, else by its products."""
    subject, batches = work.subject, work.quadratic.batches
    flat = torch.cat([w.double().flatten().cpu() for w in subject.weights.values()]).numpy()
    if flat.size <= DENSE:
        matrix = hessian_matrix(subject.model, subject.loss.given, batches, parameters=subject.names)
        return Landscape.of_matrix(flat, matrix.cpu().numpy())
    operator = Curvature(subject.model, subject.loss.given, batches, parameters=subject.names)
    budget = spectrum_products(flat.size)
    how = Lanczos(probes=2, budget=budget, accuracy=0.05, direction_steps=DIRECTION, seed=work.seed, storage="float32")
    return Landscape.of_operator(flat, operator, how)


def spectrum_products(total: int) -> int:
    """Return how many products a spectrum may take: as many as it resolves mostly, or their vectors fill 2 GB."""
    return max(16, min(SPECTRUM, int(_VECTORS / (4 * total))))
