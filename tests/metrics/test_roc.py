from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from hepflows.errors import DataError
from hepflows.metrics import auc, jensen_shannon, roc_curve
from hepflows.metrics.roc import cross_entropies


def tied(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return np.round(rng.normal(labels, 1.0), 1), labels, rng.gamma(2.0, size=n)


def test_auc_counts_pairs() -> None:
    scores, labels, weights = tied(60)
    up, down = labels == 1, labels == 0
    wins = (scores[up][:, None] > scores[down]) + 0.5 * (scores[up][:, None] == scores[down])
    pairs = weights[up][:, None] * weights[down]
    assert auc(scores, labels, weights) == pytest.approx((wins * pairs).sum() / pairs.sum(), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_auc_and_curve_agree_with_sklearn(seed: int) -> None:
    scores, labels, weights = tied(seed=seed)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), rel=1e-12)
    assert auc(scores, labels, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), rel=1e-12
    )
    grid = np.linspace(0, 1, 23)
    fpr, tpr, _ = sklearn_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(scores, labels, weights, grid=grid), np.interp(grid, fpr, tpr), atol=1e-12)


def test_a_weight_of_two_is_two_events() -> None:
    scores, labels, _ = tied(100)
    double = np.r_[scores, scores[:30]], np.r_[labels, labels[:30]]
    assert auc(scores, labels, 1.0 + (np.arange(100) < 30)) == pytest.approx(auc(*double), rel=1e-12)


def test_auc_of_two_gaussians() -> None:
    rng = np.random.default_rng(4)
    n, shift = 200_000, 0.8
    scores = np.r_[rng.normal(0, 1, n), rng.normal(shift, 1, n)]
    assert auc(scores, np.repeat([0, 1], n)) == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.003)


def test_jensen_shannon_of_the_true_posterior_is_the_divergence() -> None:
    shift, n = 1.5, 200_000
    rng = np.random.default_rng(1)
    x, labels = np.r_[rng.normal(0, 1, n), rng.normal(shift, 1, n)], np.repeat([0, 1], n)
    posterior = norm.pdf(x, shift) / (norm.pdf(x) + norm.pdf(x, shift))

    def integrand(t: float) -> float:
        p, q = norm.pdf(t), norm.pdf(t, shift)
        return float(0.5 * (p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))))

    assert jensen_shannon(cross_entropies(posterior, labels), labels) == pytest.approx(
        quad(integrand, -8, 10)[0], abs=0.005
    )


def test_jensen_shannon_weighs_the_classes_equally() -> None:
    labels = np.array([0, 0, 0, 1])
    entropies = cross_entropies([0.5, 0.5, 0.5, 0.9], labels)
    assert jensen_shannon(entropies, labels) == pytest.approx(1 - 0.5 * (1 - np.log2(0.9)), rel=1e-12)
    assert jensen_shannon(entropies, labels, [1, 1, 1, 100]) == pytest.approx(1 - 0.5 * (1 - np.log2(0.9)), rel=1e-12)


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([0.1, np.nan], [0, 1], "1 scores that are not finite"),
        ([0.1, 0.2, 0.3], [0, 1], "one length"),
        ([0.1, 0.2], [1, 1], "both must occur"),
    ],
)
def test_wrong_scores_are_refused(scores: list[float], labels: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        auc(scores, labels)
