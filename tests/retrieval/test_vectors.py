import numpy as np
import pytest

from retrieval.vectors import VectorIndex

VECTORS_N_D = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
QUERY_D = np.random.default_rng(1).normal(size=16).astype(np.float32)


def test_cosine_ranks_by_angle_whatever_the_lengths():
    angles_N = VECTORS_N_D @ QUERY_D / np.linalg.norm(VECTORS_N_D, axis=1)
    lengths_N_1 = np.random.default_rng(2).uniform(0.1, 9, size=(200, 1)).astype(np.float32)
    assert VectorIndex(VECTORS_N_D * lengths_N_1).search(3 * QUERY_D, 10) == np.argsort(-angles_N)[:10].tolist()


def test_inner_product_counts_lengths():
    found = VectorIndex(VECTORS_N_D, "inner_product").search(QUERY_D, 10)
    assert found == np.argsort(-(VECTORS_N_D @ QUERY_D))[:10].tolist()


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_asking_for_more_than_there_is_gives_all(metric):
    assert sorted(VectorIndex(VECTORS_N_D[:3], metric).search(QUERY_D, 10)) == [0, 1, 2]


def test_a_zero_vector_is_far_from_everything_and_breaks_nothing():
    index = VectorIndex(np.stack([np.zeros(16), QUERY_D]).astype(np.float32))
    assert index.search(QUERY_D, 2) == [1, 0]
    assert sorted(index.search(np.zeros(16, dtype=np.float32), 2)) == [0, 1]


def test_it_says_where_the_vectors_are():
    assert VectorIndex(VECTORS_N_D).device in {"cpu", "gpu"}
