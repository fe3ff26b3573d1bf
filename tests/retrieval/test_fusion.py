from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import reciprocal_rank_fusion

RANKINGS = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), max_size=4)


def test_each_ranking_adds_the_reciprocal_of_constant_and_rank():
    assert reciprocal_rank_fusion([[7, 8], [8, 9]], constant=60) == [(8, 1 / 62 + 1 / 61), (7, 1 / 61), (9, 1 / 62)]


def test_what_two_rankings_agree_on_comes_before_the_favourite_of_one():
    assert reciprocal_rank_fusion([[1, 2, 3], [4, 2, 5]])[0][0] == 2


@given(st.lists(st.integers(0, 30), unique=True))
def test_one_ranking_keeps_its_order(ranking):
    assert [item for item, _ in reciprocal_rank_fusion([ranking])] == ranking


@given(RANKINGS)
def test_everything_ranked_comes_back_once_best_first_whatever_the_order_of_rankings(rankings):
    fused = reciprocal_rank_fusion(rankings)
    assert sorted(item for item, _ in fused) == sorted({item for ranking in rankings for item in ranking})
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    assert {item: round(score, 12) for item, score in fused} == {
        item: round(score, 12) for item, score in reciprocal_rank_fusion(rankings[::-1])
    }


def test_ties_go_to_the_smaller_item():
    assert [item for item, _ in reciprocal_rank_fusion([[5, 1], [1, 5]])] == [1, 5]
