"""Logistic regression whose weights are at least 0."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from capsight.data.genome.alphabet import Floats

#: L2 penalty of the weights: it only keeps them finite where the classes separate wholly.
_PENALTY = 1e-3


def fit_nonnegative(features: Floats, labels: NDArray[np.bool_]) -> tuple[float, Floats]:
    """Fit a logistic regression, each weight of which is at least 0, by L-BFGS-B (Byrd et al. 1995).

    Parameters
    ----------
    features
        ``(n, n_features)``.
    labels
        ``(n,)``.

    Returns
    -------
    intercept, weights
        The probability is ``expit(intercept + features @ weights)``; weights ``(n_features,)``.
    """

    def loss_and_gradient(parameters: Floats) -> tuple[float, Floats]:
        weights = parameters[1:]
        logits = parameters[0] + features @ weights
        loss = np.logaddexp(0, logits).sum() - logits[labels].sum() + _PENALTY * (weights**2).sum() / 2
        errors = expit(logits) - labels
        return loss, np.r_[errors.sum(), features.T @ errors + _PENALTY * weights]

    bounds = [(None, None), *[(0, None)] * features.shape[1]]
    fit = minimize(loss_and_gradient, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(fit.x[0]), fit.x[1:]
