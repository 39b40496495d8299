"""Votes become instances: each pixel with the centre that its vote is nearest to."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.distillation.clusters import VoteSettings, candidates, find_instances
from insegan_ros.distillation.network import OUTPUTS, NetworkConfig

CONFIG = NetworkConfig(part_length_m=0.04, part_thickness_m=0.02, pixel_m=0.002)
VOTES = VoteSettings()


def ideal_votes(
    labels: np.ndarray, centres: np.ndarray, rng: np.random.Generator, noise: float = 0.1
) -> np.ndarray:
    """What a network that knows the truth would say, with some noise."""
    output = np.zeros((OUTPUTS, *labels.shape), np.float32)
    v, u = np.mgrid[: labels.shape[0], : labels.shape[1]]
    own = np.concatenate([[[0, 0, 0]], centres])[labels]  # (H, W, 3)
    output[0] = np.where(labels > 0, 5, -5)
    output[1] = (own[..., 0] - u) / CONFIG.unit_px
    output[2] = (own[..., 1] - v) / CONFIG.unit_px
    output[3] = own[..., 2] / CONFIG.pixel_m / CONFIG.unit_px
    output[1:4] += rng.normal(0, noise, output[1:4].shape)
    output[4] = -2
    return output


def discs(centres: list[tuple[int, int]], radius: int = 10, side: int = 64) -> np.ndarray:
    v, u = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int64)
    for k, (x, y) in enumerate(centres, 1):
        labels[(u - x) ** 2 + (v - y) ** 2 <= radius**2] = k
    return labels


def test_votes_tell_touching_discs_apart() -> None:
    places = [(16, 20), (36, 20), (26, 38)]
    labels = discs(places)
    centres = np.array([[x, y, 0.01] for x, y in places])
    found = find_instances(ideal_votes(labels, centres, np.random.default_rng(0)), CONFIG, VOTES)
    assert len(found.centres) == 3
    for k in (1, 2, 3):
        own = np.bincount(found.labels[labels == k]).argmax()
        assert ((found.labels == own) == (labels == k)).all()


def test_votes_tell_a_part_from_the_one_below_it() -> None:
    labels = discs([(32, 32)], radius=16)
    labels[discs([(32, 32)], radius=9) > 0] = 2
    centres = np.array([[32, 32, 0.01], [32, 32, 0.03]])
    found = find_instances(ideal_votes(labels, centres, np.random.default_rng(1)), CONFIG, VOTES)
    assert len(found.centres) == 2
    assert np.allclose(np.sort(found.centres[:, 2]), [0.01, 0.03], atol=0.003)


def test_concurring_votes_score_higher() -> None:
    rng = np.random.default_rng(2)
    labels = discs([(16, 20), (46, 40)])
    output = ideal_votes(labels, np.array([[16, 20, 0.01], [46, 40, 0.01]]), rng)
    output[1:4, labels == 2] += rng.normal(0, 0.4, (3, (labels == 2).sum()))
    found = find_instances(output, CONFIG, VOTES)
    steady, scattered = (found.labels[20, 16] - 1, found.labels[40, 46] - 1)
    assert found.agreement[steady] > found.agreement[scattered]


def test_nothing_is_found_where_no_pixel_shows_a_part() -> None:
    output = np.full((OUTPUTS, 32, 48), -5, np.float32)
    found = find_instances(output, CONFIG, VOTES)
    assert found.labels.shape == (32, 48)
    assert not found.labels.any()
    assert len(found.centres) == len(found.agreement) == len(found.visible) == 0


def two_discs() -> np.ndarray:
    """Votes for two discs 20 px apart, the second seen in two pieces that vote 10 px apart."""
    labels = discs([(16, 20), (36, 20)])
    pieces = labels.copy()
    pieces[:, 37:][labels[:, 37:] == 2] = 3
    centres = np.array([[16, 20, 0.01], [33, 20, 0.01], [43, 20, 0.01]])
    return ideal_votes(pieces, centres, np.random.default_rng(0))


def test_what_clusters_know_of_themselves_stays_true_when_some_are_dropped() -> None:
    clusters = candidates(two_discs(), CONFIG, VOTES)
    assert len(clusters) == 3
    left = int(clusters.centres[:, 0].argmax())
    orphans = clusters.labels == left + 1
    clusters.drop(left)
    assert clusters.area.tolist() == [(clusters.labels == k).sum() for k in (1, 2)]
    heir = np.unique(clusters.labels[orphans])
    assert heir.tolist() == [1 + int(clusters.centres[:, 0].argmax())]  # the nearer one
    only = candidates(two_discs(), CONFIG, VOTES)
    only.keep(np.array([False, True, False]))
    assert only.support[0] == pytest.approx(clusters.support.sum())
    assert only.agreement[0] < clusters.agreement.min()


def test_pruning_decides_what_becomes_an_instance() -> None:
    def to_the_left_alone(clusters) -> None:
        clusters.keep(clusters.centres[:, 0] < 25)

    found = find_instances(two_discs(), CONFIG, VOTES, prune=to_the_left_alone)
    assert len(found.centres) == 1
    assert set(np.unique(found.labels)) == {0, 1}
    none = find_instances(
        two_discs(), CONFIG, VOTES, prune=lambda c: c.keep(np.zeros(len(c), bool))
    )
    assert not none.labels.any()
    assert len(none.centres) == 0


def test_few_votes_make_no_candidate() -> None:
    votes = two_discs()
    assert len(candidates(votes, CONFIG, VoteSettings(min_area=400))) == 0
    assert len(candidates(votes, CONFIG, VoteSettings(min_support=1000.0))) == 0


def one_disc() -> np.ndarray:
    labels = discs([(32, 32)])
    return ideal_votes(labels, np.array([[32, 32, 0.01]]), np.random.default_rng(0))


def test_a_pixel_shows_a_part_when_it_is_more_likely_than_asked_for() -> None:
    votes = one_disc()
    votes[0] = np.where(votes[0] > 0, np.log(0.6 / 0.4), -5)  # 60 % likely
    for asked, shown in ((0.5, True), (0.7, False)):
        found = candidates(votes, CONFIG, VoteSettings(part_probability=asked))
        assert (len(found) == 1) is shown


@pytest.mark.parametrize(('spread', 'weight'), [(-2, 1.0), (0, 0.2), (1, 0.2 / np.e), (9, 0.027)])
def test_a_vote_supports_its_centre_the_less_the_less_sure_it_is(
    spread: float, weight: float
) -> None:
    votes = one_disc()
    votes[4] = spread
    found = candidates(votes, CONFIG, VOTES)
    assert found.support[0] == pytest.approx(weight * found.area[0], rel=0.01)


def test_visible_is_the_mean_of_what_the_pixels_say() -> None:
    votes = one_disc()
    votes[5] = np.log(3.0)
    assert candidates(votes, CONFIG, VOTES).visible[0] == pytest.approx(0.75)


def test_agreement_falls_with_the_distance_of_votes_from_their_centre() -> None:
    votes = one_disc()
    votes[1] += np.where(np.arange(64) % 2, 0.5, -0.5)  # half a vote unit left and right
    found = candidates(votes, CONFIG, VoteSettings(separation=2.0))  # they are one part's
    assert found.agreement[0] == pytest.approx(np.exp(-0.5), abs=0.05)


def test_centres_nearer_than_the_separation_are_one() -> None:
    labels = discs([(20, 32), (44, 32)])  # 24 px apart
    centres = np.array([[20, 32, 0.01], [44, 32, 0.01]])
    votes = ideal_votes(labels, centres, np.random.default_rng(0))
    thickness_px = CONFIG.part_thickness_m / CONFIG.pixel_m
    for share, count in ((20 / thickness_px, 2), (30 / thickness_px, 1)):
        assert len(candidates(votes, CONFIG, VoteSettings(separation=share))) == count


def test_distances_of_centres_stay_right_when_one_is_taken_away() -> None:
    places = [(16, 20), (46, 20), (26, 48)]
    centres = np.array([[x, y, 0.01] for x, y in places])
    found = candidates(
        ideal_votes(discs(places, radius=7), centres, np.random.default_rng(0)), CONFIG, VOTES
    )
    before = found.apart
    found.drop(1)
    offset = (found.centres[:, None] - found.centres[None]) / CONFIG.length_px
    assert np.allclose(found.apart, np.linalg.norm(offset, axis=2))
    assert np.allclose(found.apart, before[np.ix_([0, 2], [0, 2])])


def test_of_centres_too_near_each_other_the_one_with_more_votes_stays() -> None:
    labels = discs([(20, 32)], radius=8) + 2 * discs([(44, 32)], radius=10)
    centres = np.array([[20, 32, 0.01], [44, 32, 0.01]])
    votes = ideal_votes(labels, centres, np.random.default_rng(0))
    apart = VoteSettings(separation=24.5 * CONFIG.pixel_m / CONFIG.part_thickness_m)
    (centre,) = candidates(votes, CONFIG, apart).centres
    assert centre[:2] == pytest.approx([44, 32], abs=1)


@pytest.mark.parametrize(('share', 'count'), [(0.6, 1), (0.4, 0)])
def test_half_the_votes_asked_for_make_a_candidate(share: float, count: int) -> None:
    labels = discs([(32, 32)], radius=5)
    centre, rng = np.array([[32, 32, 0.01]]), np.random.default_rng(0)
    votes = ideal_votes(labels, centre, rng, noise=0.0)
    asked = VoteSettings(min_support=(labels > 0).sum() / share)
    assert len(candidates(votes, CONFIG, asked)) == count


def test_instances_of_a_network_of_one_kind_are_of_the_first() -> None:
    assert find_instances(one_disc(), CONFIG, VOTES).kinds.tolist() == [1]


def test_a_centre_lies_where_the_sure_votes_are() -> None:
    votes = one_disc()
    votes[1, :, 32:] += 4 / CONFIG.unit_px  # half of the votes are 4 px off,
    votes[4, :, 32:] = 9.0  # and say that they are unsure
    wide = VoteSettings(separation=2.0)
    (centre,) = candidates(votes, CONFIG, wide).centres
    assert centre[:2] == pytest.approx([32, 32], abs=0.5)


@pytest.mark.parametrize(('share', 'support', 'area'), [(4.0, 8.0, 48), (0.01, 0.02, 1)])
def test_an_image_of_other_pixels_asks_for_as_much_of_the_part(
    share: float, support: float, area: int
) -> None:
    votes = VoteSettings(separation=0.7).at_pixels(share)
    assert (votes.min_support, votes.min_area) == (pytest.approx(support), area)
    assert votes.separation == 0.7
