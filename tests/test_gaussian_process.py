"""The Gaussian process against scikit-learn's, and its gradient and leave-one-out means against plain definitions."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from hybrid_search.gaussian_process import JITTER, GaussianProcess, Hyperparameters, Inputs, fit, squared_distances


def data(count, seed=0):
    """Return rows of four columns in three groups, with targets and noise scales."""
    rng = np.random.default_rng(seed)
    inputs = Inputs(rng.random((count, 4)), np.array([0, 1, 1, 2]))
    targets = np.sin(3 * inputs.rows[:, 0]) + inputs.rows[:, 1] * inputs.rows[:, 3] + 0.05 * rng.normal(size=count)
    return inputs, targets, np.where(np.arange(count) % 3 == 0, 4.0, 1.0)


PARAMETERS = Hyperparameters(np.array([0.7, 1.3, 0.4]), 0.02)


def oracle(process, inputs, targets, noise_scale):
    """Return scikit-learn's regressor with the same hyperparameters, fitted to the targets without their mean."""
    regressor = GaussianProcessRegressor(
        Matern(PARAMETERS.lengths[inputs.groups], nu=2.5),
        alpha=PARAMETERS.noise * noise_scale + JITTER,
        optimizer=None,
    )
    return regressor.fit(inputs.rows, targets - process._gls_mean)


def test_mean_and_deviation_are_those_of_scikit_learn():
    inputs, targets, noise_scale = data(30)
    new, *_ = data(20, seed=1)
    process = GaussianProcess(inputs, targets, noise_scale, PARAMETERS)
    mean, deviation = oracle(process, inputs, targets, noise_scale).predict(new.rows, return_std=True)
    ours, our_deviation = process.predict(new)
    assert ours == pytest.approx(mean + process._gls_mean, rel=1e-9)
    assert process.mean(new) == pytest.approx(ours, rel=1e-12)
    assert our_deviation / process.variance**0.5 == pytest.approx(deviation, rel=1e-6)


def test_the_joint_posterior_is_that_of_scikit_learn():
    inputs, targets, noise_scale = data(30)
    new, *_ = data(12, seed=1)
    process = GaussianProcess(inputs, targets, noise_scale, PARAMETERS)
    _, expected = oracle(process, inputs, targets, noise_scale).predict(new.rows, return_cov=True)
    mean, covariance = process.joint_posterior(new)
    assert mean == pytest.approx(process.mean(new), rel=1e-12)
    assert covariance / process.variance == pytest.approx(expected, abs=1e-9)


def test_the_likelihood_is_that_of_scikit_learn_at_the_best_variance():
    inputs, targets, noise_scale = data(25)
    process = GaussianProcess(inputs, targets, noise_scale, PARAMETERS)
    unit = process.variance**0.5
    regressor = oracle(process, inputs, targets, noise_scale)
    regressor.fit(inputs.rows, (targets - process._gls_mean) / unit)
    count = len(targets)
    expected = regressor.log_marginal_likelihood_value_ - count * np.log(unit)
    constants = -0.5 * count * (1 + np.log(2 * np.pi))
    assert process.log_likelihood() + constants == pytest.approx(expected, rel=1e-9)


def test_leave_one_out_means_are_those_of_processes_without_the_row():
    inputs, targets, noise_scale = data(15)
    process = GaussianProcess(inputs, targets, noise_scale, PARAMETERS)
    found = process.loo_mean(targets)
    for row in range(15):
        others = np.delete(np.arange(15), row)
        kernel = oracle(process, inputs, targets, noise_scale).kernel_
        alpha = PARAMETERS.noise * noise_scale[others] + JITTER
        without = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None)
        without.fit(inputs.rows[others], targets[others] - process._gls_mean)
        expected = without.predict(inputs.rows[[row]])[0] + process._gls_mean
        assert found[row] == pytest.approx(expected, rel=1e-6)


def test_fitted_hyperparameters_explain_the_targets_better_than_the_start():
    inputs, targets, noise_scale = data(60)
    start = Hyperparameters(np.full(3, 20.0), 1.0)
    fitted = fit(inputs, squared_distances(inputs), targets, noise_scale, start)
    before, after = (GaussianProcess(inputs, targets, noise_scale, each).log_likelihood() for each in (start, fitted))
    assert after > before + 10
    assert fitted.noise < 0.2
