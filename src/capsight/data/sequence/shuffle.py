"""Shuffles of DNA that keep every dinucleotide: same bases, same neighbours, no motifs."""

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capsight.data.genome.alphabet import Codes, Ints

#: A, C, G, T and N; N is shuffled as a letter of its own.
_LETTERS: Final = 5
_ROWS_AT_ONCE: Final = 1 << 10


def dinucleotide_shuffle(codes: Codes, seed: int, keys: Ints) -> Codes:
    """Shuffle sequences, each uniformly among those with the same first base and the same dinucleotides.

    Parameters
    ----------
    codes
        ``(n, length)`` base codes, 0 to 4.
    seed, keys
        Each row's draws depend on `seed` and its row of `keys`, ``(n, n_keys)`` whole numbers of 0 or more,
        and on nothing else.

    Notes
    -----
    Altschul and Erickson (1985): a sequence is a path over its letters along every one of its dinucleotides.
    Draw the last step out of each letter, so that these steps form a tree that leads to the last letter (here
    uniformly, by the number of ways in which each possible tree can be formed), put the other steps in random
    order, and walk.
    """
    if codes.shape[1] < 3:
        return codes.copy()
    draws = (np.random.default_rng([seed, *key]).random(codes.shape[1]) for key in keys.tolist())
    random = np.fromiter(draws, dtype=(np.float64, codes.shape[1]), count=len(codes))
    cuts = range(0, len(codes), _ROWS_AT_ONCE)
    parts = [_shuffle(codes[i : i + _ROWS_AT_ONCE], random[i : i + _ROWS_AT_ONCE]) for i in cuts]
    return np.concatenate(parts) if parts else codes.copy()


def _trees() -> Ints:
    """Return every tree over the letters that leads to a root: parents ``(root, tree, letter)``, the root's its own."""
    trees: list[list[tuple[int, ...]]] = [[] for _ in range(_LETTERS)]
    for parents in product(range(_LETTERS), repeat=_LETTERS):
        ends = np.arange(_LETTERS)
        for _ in range(_LETTERS):
            ends = np.array(parents)[ends]
        if (ends == ends[0]).all() and parents[ends[0]] == ends[0]:
            trees[ends[0]].append(parents)
    return np.array(trees)


_TREES: Final = _trees()


def _shuffle(codes: Codes, random: NDArray[np.float64]) -> Codes:
    """Shuffle rows by numbers from 0 to 1, ``(n, length)``: the last draws the tree, the others order the steps."""
    n, length = codes.shape
    rows = np.arange(n)[:, None]
    here, there = codes[:, :-1].astype(np.int64), codes[:, 1:]
    step = here * _LETTERS + there
    counts = np.bincount((rows * _LETTERS**2 + step).ravel(), minlength=n * _LETTERS**2)
    counts = counts.reshape(n, _LETTERS, _LETTERS)
    rank = here * 2 + random[:, :-1]
    last = _draw_tree(step, counts, codes[:, -1], random[:, -1])
    rank[last] = here[last] * 2 + 1.0  # after all others from the same letter
    following = np.take_along_axis(there, np.argsort(rank, axis=1), axis=1).ravel()
    # Where the next step out of each letter stands; they are used up one by one.
    leaving = counts.sum(axis=2)
    pointer = (np.cumsum(leaving, axis=1) - leaving + rows * (length - 1)).ravel()
    result = codes.copy()
    first = rows[:, 0] * _LETTERS
    for i in range(1, length):
        at = first + result[:, i - 1]
        result[:, i] = following[pointer[at]]
        pointer[at] += 1
    return result


def _draw_tree(step: Ints, counts: Ints, root: Codes, random: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which step of each row, ``(n, length - 1)``, is the last out of its letter.

    Parameters
    ----------
    step, counts
        From which letter to which, as from * 5 + to; and how often, ``(n, from, to)``.
    root, random
        The last letter, and a number from 0 to 1, of each row, ``(n,)``.
    """
    n = len(step)
    letters = np.arange(_LETTERS)
    absent = counts.sum(axis=2) == 0
    absent[np.arange(n), root] = True
    # A letter that is never left, and the root, take no part: exactly one tree per way for the others to be joined.
    hung = np.where(absent[:, :, None], letters == root[:, None, None], counts)
    parents = _TREES[root]
    weight = hung[np.arange(n)[:, None, None], letters, parents].prod(axis=2, dtype=np.float64)
    below = weight.cumsum(axis=1) <= (random * weight.sum(axis=1))[:, None]
    tree = parents[np.arange(n), np.minimum(below.sum(axis=1), parents.shape[1] - 1)]
    last = np.zeros(step.shape, dtype=bool)
    for letter in range(_LETTERS):
        used = ~absent[:, letter]
        found = step == (letter * _LETTERS + tree[:, letter])[:, None]
        place = step.shape[1] - 1 - found[:, ::-1].argmax(axis=1)
        last[used, place[used]] = True
    return last
