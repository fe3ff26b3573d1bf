from pathlib import Path

import pytest

from retrieval.encoder import find_model
from retrieval.errors import ModelNotFound
from retrieval.passage import Document
from retrieval.rerank import open_reranker
from retrieval.retriever import Retriever

DOCUMENTS = [
    Document(f"{word}", f"{word}.md", f"The {word} bridge is old.") for word in ("long", "short", "wide", "low")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one layer with random weights: real code, no judgement."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reranker")
    tokenizer = AutoTokenizer.from_pretrained(find_model("all-MiniLM-L6-v2"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=1.0,
        id2label={0: "relevance"},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_cross_encoder_gives_each_text_a_score_that_depends_on_the_question(folder):
    reranker = open_reranker(str(folder))
    texts = [document.text for document in DOCUMENTS]
    scores = reranker.scores("Which bridge is long?", texts)
    assert len(set(scores)) == len(texts)
    assert all(isinstance(score, float) for score in scores)
    assert scores != reranker.scores("Who built the mill?", texts)


def test_the_retriever_orders_what_it_found_by_the_reranker(folder):
    reranker = open_reranker(str(folder))
    retriever = Retriever.over(DOCUMENTS, reranker=reranker)
    found = retriever.search("bridge", k=3)
    scores = reranker.scores("bridge", [document.text for document in DOCUMENTS])
    assert [passage.score for passage in found] == pytest.approx(sorted(scores, reverse=True)[:3])
    assert retriever.method.endswith("reranked")
    assert retriever.search("zebra") == []


def test_a_folder_that_holds_no_cross_encoder_is_said(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelNotFound, match=r"reranker .* could not be loaded"):
        open_reranker(str(tmp_path)).scores("question", ["text"])
