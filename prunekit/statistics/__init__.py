"""Numbers with their errors, and measurements held against predictions within their own standard error."""

from prunekit.statistics.deviations import (
    binomial_interval,
    deviation_bound,
    largest_deviation,
    leads,
    mean_and_error,
    median_and_error,
    rank_correlation,
    rank_correlation_and_error,
)
from prunekit.statistics.estimates import Estimate, ProbedEstimate, chance_of_two, few, mean, student

__all__ = [
    "Estimate",
    "ProbedEstimate",
    "binomial_interval",
    "chance_of_two",
    "deviation_bound",
    "few",
    "largest_deviation",
    "leads",
    "mean",
    "mean_and_error",
    "median_and_error",
    "rank_correlation",
    "rank_correlation_and_error",
    "student",
]
