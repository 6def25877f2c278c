"""The train, prune, retrain experiment, against the same steps taken one by one."""

import numpy as np

from prunekit.linear import LinearGaussian
from prunekit.linear.least_squares import min_norm, retrain
from prunekit.linear.risk_curves import measured_risks
from prunekit.linear.strategies import Magnitude, support

PROBLEM = LinearGaussian(np.linspace(0.5, 2, 12), np.linspace(-1, 1, 12), 0.3)


def test_fresh_retraining_uses_new_samples_and_changes_nothing_else():
    settings = {"repetitions": 3, "seed": [4, 2]}
    plain = measured_risks(PROBLEM, 8, 3, [5, 12], {"magnitude": Magnitude}, **settings)
    more = measured_risks(PROBLEM, 8, 3, [5, 12], {"magnitude": Magnitude}, **settings, fresh=True)
    assert set(more) - set(plain) == {"magnitude, retrained fresh"}
    for label, risks in plain.items():
        np.testing.assert_array_equal(more[label], risks)
    for r, child in enumerate(np.random.SeedSequence([4, 2]).spawn(3)):
        X, y = PROBLEM.sample(8, child)
        kept = support(min_norm(X, y), Magnitude(3))
        X_new, y_new = PROBLEM.sample(8, child.spawn(1)[0])
        assert not np.allclose(X, X_new)
        expected = PROBLEM.risk(retrain(X_new, y_new, kept))
        np.testing.assert_allclose(more["magnitude, retrained fresh"][r, 1], expected, rtol=1e-9)


def test_fresh_retraining_has_the_classical_risk_on_a_support_that_the_data_did_not_choose():
    flat = LinearGaussian(np.ones(12), np.zeros(12), 1.0)  # what is kept does not matter
    found = measured_risks(flat, 30, 4, [12], {"magnitude": Magnitude}, repetitions=2000, seed=1, fresh=True)
    fresh = found["magnitude, retrained fresh"][:, 0]
    assert abs(fresh.mean() - 29 / 25) < 5 * fresh.std() / np.sqrt(2000)
    same = found["magnitude, retrained"][:, 0]
    assert same.mean() - 29 / 25 > 5 * same.std() / np.sqrt(2000)  # the support was chosen by the noise
