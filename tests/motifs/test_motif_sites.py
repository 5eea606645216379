import numpy as np

from capsight.motifs.motif_sites import Sites, preferred_offset, profile


def test_a_sharp_place_is_kept_to_the_base() -> None:
    assert preferred_offset(np.array([-31] * 20 + [-30, -29, -33, 5, 60])) == -31


def test_a_place_that_varies_is_its_middle() -> None:
    assert preferred_offset(np.repeat([-57, -56, -55, -54, -53], [12, 9, 10, 9, 11])) == -55


def test_of_equal_places_the_nearest_to_the_cap_site() -> None:
    assert preferred_offset(np.array([-40, 12])) == 12


def test_sites_that_leave_the_window_or_repeat_are_dropped() -> None:
    sites = Sites(np.array([0, 0, 1, 1]), np.array([-1, 3, 3, 8]), 4).inside(10)
    assert sites.start.tolist() == [3, 3]
    assert len(Sites(np.array([2, 2]), np.array([3, 3]), 4).inside(10)) == 1


def test_profile_counts_either_side() -> None:
    sites = Sites(np.array([0, 1, 2, 3]), np.array([4, 4, 6, 4]), 2)
    table = profile("x", "kmer", sites, np.array([True, True, True, False]), cap=5)
    assert table.to_numpy().tolist() == [["x", "kmer", -1, 2, 1], ["x", "kmer", 1, 1, 0]]
