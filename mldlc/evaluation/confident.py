"""Which labels are likely wrong, by scores of models that did not see them: confident learning, a fence for numbers.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70 (2021), sections 3.1 and
3.2. Of numbers: the outer fence of Tukey, Exploratory Data Analysis (1977), around the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DIGITS = 9  # scores are compared at so many decimals: what lies beyond hangs on the order of sums


@dataclass(frozen=True)
class Doubts:
    """Rows whose label is likely wrong, the surest first.

    index: (m,) positions among the rows that were scored. suggested: (m,) label in place of the given one. doubt:
    (m,) how sure: the margin of the suggested class over the given one, or interquartile ranges beyond the fence.
    """

    index: np.ndarray
    suggested: np.ndarray
    doubt: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def take(self, chosen: np.ndarray) -> Doubts:
        """Those at the positions `chosen`, or where a mask is true."""
        return Doubts(self.index[chosen], self.suggested[chosen], self.doubt[chosen])


@dataclass(frozen=True)
class Joint:
    """Given label against likely label. counts: (k, k) rows that are confidently of class j though labelled i.

    wrong: (k, k) rows labelled i that are expected to be of class j, 0 on the diagonal. thresholds: (k,) mean score of
    class j over the rows labelled j; a row is confidently j where its score reaches that.
    """

    counts: np.ndarray
    wrong: np.ndarray
    thresholds: np.ndarray


def confident_joint(label: np.ndarray, said: np.ndarray) -> Joint:
    """label: (n,) int64 given classes. said: (n, k) out-of-fold probabilities."""
    present = np.bincount(label, minlength=said.shape[1])
    thresholds = np.array([said[label == j, j].mean() if n else np.inf for j, n in enumerate(present)])
    reached = said >= thresholds
    likely = np.where(reached, said, -1.0).argmax(1)
    sure = reached.any(1)
    counts = np.zeros((len(present), len(present)), np.int64)
    np.add.at(counts, (label[sure], likely[sure]), 1)
    scaled = counts + np.diag(counts.diagonal() == 0)  # a class that nothing reaches keeps its labels
    wrong = np.rint(scaled / scaled.sum(1, keepdims=True) * present[:, None]).astype(np.int64)
    np.fill_diagonal(wrong, 0)
    return Joint(counts, wrong, thresholds)


def doubtful_classes(label: np.ndarray, said: np.ndarray, rule: str) -> tuple[Doubts, Joint]:
    """Rows that a rule prunes and whose likeliest class is another one than the given.

    rule `class`: of every class as many as are expected to be wrong, those with the lowest score of it; `noise_rate`:
    of every pair as many as are expected, those with the largest margin of j over i; `both`: what the two agree on.
    """
    said = np.round(said, DIGITS)
    joint = confident_joint(label, said)
    margin = said - np.take_along_axis(said, label[:, None], 1)
    suggested = said.argmax(1)
    pruned = suggested != label
    if rule in ("class", "both"):
        pruned &= _by_class(label, said, joint.wrong)
    if rule in ("noise_rate", "both"):
        pruned &= _by_noise_rate(label, margin, joint.wrong)
    index = np.flatnonzero(pruned)
    doubt = margin[index, suggested[index]]
    return Doubts(index, suggested[index], doubt).take(np.argsort(-doubt, kind="stable")), joint


def _by_class(label: np.ndarray, said: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    pruned = np.zeros(len(label), bool)
    for i, number in enumerate(wrong.sum(1)):
        rows = np.flatnonzero(label == i)
        pruned[rows[np.argsort(said[rows, i], kind="stable")[:number]]] = True
    return pruned


def _by_noise_rate(label: np.ndarray, margin: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    pruned = np.zeros(len(label), bool)
    for i, j in zip(*np.nonzero(wrong), strict=True):
        rows = np.flatnonzero(label == i)
        pruned[rows[np.argsort(-margin[rows, j], kind="stable")[: wrong[i, j]]]] = True
    return pruned


def doubtful_numbers(label: np.ndarray, said: np.ndarray, fence: float) -> tuple[Doubts, tuple[float, float]]:
    """Rows whose residual lies more than `fence` interquartile ranges beyond the quartiles; the two ends of that.

    suggested: the label drawn back to the fence (winsorised residuals: Huber, Robust Statistics, 1981, chapter 7).
    """
    residual = np.round(label - said, DIGITS)
    low, high = np.quantile(residual, [0.25, 0.75])
    spread = high - low
    ends = (float(low - fence * spread), float(high + fence * spread))
    beyond = np.maximum(ends[0] - residual, residual - ends[1])
    index = np.flatnonzero(beyond > 0)
    doubt = beyond[index] / (spread or 1.0)
    found = Doubts(index, said[index] + np.clip(residual[index], *ends), doubt)
    return found.take(np.argsort(-doubt, kind="stable")), ends


def limited(found: Doubts, label: np.ndarray, most: int) -> Doubts:
    """The surest `most` of them, of no class more than half: confident learning takes a class to be mostly right."""
    given = label[found.index]
    kept = np.ones(len(found), bool)
    for value in np.unique(given) if label.dtype.kind == "i" else ():
        of_class = np.flatnonzero(given == value)
        kept[of_class[int((label == value).sum()) // 2 :]] = False
    return found.take(np.flatnonzero(kept)[:most])
