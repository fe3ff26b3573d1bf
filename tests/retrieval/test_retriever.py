import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import retrieval
from retrieval.encoder import open_encoder
from retrieval.errors import EncoderMismatch, IndexNotFound
from retrieval.indexing import index
from retrieval.passage import Document
from retrieval.retriever import Retriever

ROOT = Path(__file__).parents[2]
SAMPLE = Path(retrieval.__file__).with_name("sample")
DOCUMENTS = [
    Document("Varnholt", "varnholt.md", "Varnholt is a town. It was founded in 1412. Its population is 8,430."),
    Document("Ostrey", "ostrey.md", "Ostrey is a village. It was founded in 1530. Its population is 1,260."),
    Document("The Long Bridge", "bridge.md", "The bridge was designed by Odile Marchetti. It is 236 metres long."),
]
TEXTS = st.text(st.sampled_from("mill bridge old. \n\u00e4"), max_size=400)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the sample for BM25 alone."""
    folder = tmp_path_factory.mktemp("sample")
    index([SAMPLE], folder, None)
    return folder


def test_a_passage_is_found_with_its_title_and_its_place(encoder):
    [passage] = Retriever.over(DOCUMENTS, encoder).search("Who designed the Long Bridge?", k=1)
    assert (passage.title, passage.source, passage.start) == ("The Long Bridge", "bridge.md", 0)
    assert passage.text == DOCUMENTS[2].text


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, max_size=4), TEXTS, st.integers(1, 6))
def test_every_passage_is_the_exact_text_of_its_document(encoder, texts, query, k):
    documents = [Document("", f"{i}", text) for i, text in enumerate(texts)]
    for retriever in (Retriever.over(documents, encoder, chunk_size=50), Retriever.over(documents, chunk_size=50)):
        found = retriever.search(query, k)
        assert all(p.text == documents[int(p.source)].text[p.start : p.end] for p in found)
        assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
        assert len({p.text for p in found}) == len(found) <= k


def test_in_memory_and_on_disk_find_the_same(docs, folder, encoder):
    index([docs], folder, encoder)
    opened = Retriever.open(folder, encoder)
    over = Retriever.over(opened.documents, encoder)
    for query in ("bridge", "paper mill founded", "118,000", "nothing of this"):
        assert opened.search(query) == over.search(query)


def test_fusion_finds_what_either_finds(encoder):
    words, both = Retriever.over(DOCUMENTS), Retriever.over(DOCUMENTS, encoder)
    assert words.method == "BM25 alone (no encoder was given)"
    assert both.method == "BM25 and words, fused"
    assert words.search("zebra") == []
    assert both.search("zebra") != []
    assert {p.source for p in words.search("population")} <= {p.source for p in both.search("population")}


@pytest.mark.parametrize("query", ["", "  \n", "\0"])
def test_an_empty_query_finds_nothing(query):
    assert Retriever.over(DOCUMENTS).search(query) == []


@pytest.mark.parametrize("k", [0, -1])
def test_no_passages_are_given_to_who_asks_for_none(k, encoder):
    assert Retriever.over(DOCUMENTS, encoder).search("bridge", k) == []


def test_no_documents_make_a_retriever_that_finds_nothing(encoder):
    assert Retriever.over([], encoder).search("bridge") == []
    assert Retriever.over([Document("", "", " ")], encoder).search("bridge") == []


def test_an_empty_folder_makes_an_index_that_finds_nothing(tmp_path, folder, encoder):
    (tmp_path / "docs").mkdir()
    assert index([tmp_path / "docs"], folder, encoder).documents == 0
    assert Retriever.open(folder, encoder).search("bridge") == []


def test_queries_of_any_kind_are_answered(encoder):
    retriever = Retriever.over(DOCUMENTS, encoder)
    assert retriever.search("bridge " * 150_000)[0].source == "bridge.md"
    assert retriever.search("bridge \udce9 <|im_start|>system")[0].source == "bridge.md"


def test_the_same_text_in_two_documents_is_one_passage(encoder):
    copies = [Document("Mill", f"copy{i}.md", "The mill is old.") for i in range(10)]
    found = Retriever.over([*copies, *DOCUMENTS], encoder).search("old mill", k=3)
    assert found[0].source == "copy0.md"
    assert len({passage.text for passage in found}) == 3


@pytest.mark.parametrize("k", [2, 5])
def test_a_text_that_is_there_many_times_hides_no_other(k):
    same = [Document("", f"{i}", "The old mill stands at the old bridge.") for i in range(200)]
    found = Retriever.over([*same, Document("", "other", "A mill is old.")]).search("old mill", k)
    assert len(found) == 2
    assert {passage.source for passage in found} == {"0", "other"}


def test_a_search_sees_the_index_as_it_was_when_it_was_opened(docs, folder, encoder):
    index([docs], folder, encoder)
    retriever = Retriever.open(folder, encoder)
    before = retriever.search("mill")
    (docs / "mill.txt").unlink()
    index([docs], folder, encoder)
    assert retriever.search("mill") == before
    assert Retriever.open(folder, encoder).search("mill") != before


def test_an_index_of_another_encoder_is_refused(docs, folder, encoder):
    index([docs], folder, encoder)
    with pytest.raises(EncoderMismatch, match=r"made with other weights \(words\) than others: .* or index again"):
        Retriever.open(folder, type(encoder)("others"))
    assert Retriever.open(folder).search("mill")


def test_a_folder_without_an_index_is_said(tmp_path):
    with pytest.raises(IndexNotFound):
        Retriever.open(tmp_path)


def test_threads_may_share_a_retriever(encoder):
    retriever = Retriever.over(DOCUMENTS, encoder)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(retriever.search, ["bridge", "population of Varnholt"] * 50))
    assert found == [retriever.search("bridge"), retriever.search("population of Varnholt")] * 50


def test_searching_by_words_alone_imports_neither_torch_nor_faiss_nor_a_parser(sample):
    program = (
        "import sys; from retrieval.retriever import Retriever\n"
        f"assert Retriever.open({str(sample)!r}).search('Who designed the Long Bridge?')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    heavy = {"torch", "transformers", "sentence_transformers", "faiss", "markitdown", "pypdfium2", "semchunk"}
    assert not heavy & set(done.stdout.split())


SAMPLE_QUESTIONS = [
    ("When was Varnholt founded?", "founded in 1412"),
    ("What is the population of Ostrey?", "population is 1,260"),
    ("How long is the Long Bridge?", "236 metres long"),
    ("Who designed the house of Tolland Library?", "designed by Odile Marchetti"),
    ("When was Odile Marchetti born?", "born in 1851"),
    ("How large is the mirror of the telescope of Aldern Observatory?", "mirror of 1.2 metres"),
    ("Who founded Sella Paper Mill?", "founded by Greta Sorn"),
]


@pytest.mark.parametrize(("question", "answer"), SAMPLE_QUESTIONS)
def test_the_sample_answers_by_words_alone(sample, question, answer):
    found = Retriever.open(sample).search(question, k=3)
    assert any(answer in " ".join(passage.text.split()) for passage in found)


def test_the_sample_answers_with_the_default_encoder(folder):
    encoder = open_encoder()
    report = index([SAMPLE], folder, encoder)
    assert (report.documents, report.skipped) == (7, ())
    retriever = Retriever.open(folder, encoder)
    for question, answer in [*SAMPLE_QUESTIONS, ("Who is in charge of the books in Varnholt?", "Ruth Amsel")]:
        found = retriever.search(question, k=3)
        assert any(answer in " ".join(passage.text.split()) for passage in found), question
