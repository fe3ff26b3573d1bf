import contextlib
import io
import zipfile
from collections.abc import Iterator

import pytest

from retrieval.converter import Converter, Unreadable

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    with Converter() as converter:
        yield converter


def pdf(*pages: str, trailer: str = "") -> bytes:
    """A PDF with a line of text on each page."""
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]/MediaBox[0 0 300 300]"
        "/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
    ]
    for i, text in enumerate(pages):
        stream = f"BT /F 12 Tf 20 200 Td ({text}) Tj ET"
        objects += [f"<</Type/Page/Parent 2 0 R/Contents {4 + 2 * i} 0 R>>"]
        objects += [f"<</Length {len(stream)}>>stream\n{stream}\nendstream"]
    body, offsets = "%PDF-1.4\n", []
    for i, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{i} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    body += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R{trailer}>>\n"
    return f"{body}startxref\n{body.index('xref')}\n%%EOF".encode()


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def docx(*paragraphs: str) -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    relation = f'<Relationship Id="a" Type="{OFFICE}" Target="word/document.xml"/>'
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    return zipped(
        **{
            "[Content_Types].xml": f'<Types xmlns="{types}"><Override PartName="/word/document.xml" '
            f'ContentType="{main}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}">{relation}</Relationships>',
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        }
    )


def pptx(text: str) -> bytes:
    from pptx import Presentation

    presentation, buffer = Presentation(), io.BytesIO()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    assert slide.shapes.title is not None
    slide.shapes.title.text = text
    presentation.save(buffer)
    return buffer.getvalue()


def xlsx(*row: object) -> bytes:
    from openpyxl import Workbook

    workbook, buffer = Workbook(), io.BytesIO()
    assert workbook.active is not None
    workbook.active.append(["name", "length"])
    workbook.active.append(list(row))
    workbook.save(buffer)
    return buffer.getvalue()


def epub(text: str) -> bytes:
    container = "urn:oasis:names:tc:opendocument:xmlns:container"
    return zipped(
        **{
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'<container xmlns="{container}" version="1.0"><rootfiles>'
            '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>'
            '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
            "a.xhtml": f"<html><body><p>{text}</p></body></html>",
        }
    )


def test_the_pages_of_a_pdf_are_paragraphs(converter):
    assert converter.convert(pdf("The bridge is long.", "The mill is old."), ".pdf") == (
        "The bridge is long.\n\nThe mill is old.",
        "",
    )


def test_a_word_hyphenated_at_the_end_of_a_line_is_one_word(converter):
    assert converter.convert(pdf("its imple-) Tj 0 -14 Td (mentation"), ".pdf")[0] == "its implementation"


def test_html_loses_its_scripts_and_keeps_headings_and_title(converter):
    page = b"<title>A page</title><script>let x = 1</script><h2>Mill</h2><p>It is <b>old</b>.</p><style>p {}</style>"
    text, title = converter.convert(page, ".html")
    assert title == "A page"
    assert "## Mill" in text
    assert "It is **old**." in text
    assert "let x" not in text


def test_html_in_an_older_encoding_says_which_itself(converter):
    page = '<meta charset="windows-1252"><p>Größe: 5 €</p>'.encode("cp1252")
    assert "Größe: 5 €" in converter.convert(page, ".htm")[0]


@pytest.mark.parametrize(
    ("suffix", "data", "words"),
    [
        (".docx", docx("The mill is old.", "It makes paper."), ["The mill is old.", "It makes paper."]),
        (".pptx", pptx("The Long Bridge"), ["The Long Bridge"]),
        (".xlsx", xlsx("Sella", 87), ["Sella", "87"]),
        (".epub", epub("The mill is old."), ["The mill is old."]),
    ],
)
def test_office_files_become_markdown(converter, suffix, data, words):
    text, _ = converter.convert(data, suffix)
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("suffix", "data", "reason"),
    [
        (".pdf", b"%PDF-1.4 and then nothing", "broken"),
        (".pdf", pdf("x", trailer="/Encrypt<</Filter/Standard/V 1/R 2/O(x)/U(y)/P -4>>"), "protected by a password"),
        (".pdf", pdf(""), "scan needs OCR"),
        (".docx", b"not a zip at all", "not a docx file"),
        (".docx", docx("cut")[:-30], "not a docx file"),
        (".docx", zipped(nothing="here"), "broken"),
        (".pptx", zipped(nothing="here"), "broken"),
        (".xlsx", zipped(nothing="here"), "broken"),
        (".epub", zipped(nothing="here"), "broken"),
    ],
)
def test_a_broken_file_is_a_reason_and_the_next_one_is_converted(converter, suffix, data, reason):
    with pytest.raises(Unreadable, match=reason):
        converter.convert(data, suffix)
    assert converter.convert(pdf("still here"), ".pdf")[0] == "still here"


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    with Converter(max_bytes=1000) as converter, pytest.raises(Unreadable, match="unpack to more than"):
        converter.convert(docx("0" * 1_000_000), ".docx")


def test_html_nested_beyond_the_recursion_limit_is_read_or_given_a_reason(converter):
    page = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
    with contextlib.suppress(Unreadable):
        assert "deep" in converter.convert(page, ".html")[0]
    assert converter.convert(pdf("still here"), ".pdf")[0] == "still here"


def test_a_file_that_takes_too_long_is_given_up():
    with Converter(seconds=0.0) as converter:
        for _ in range(2):
            with pytest.raises(Unreadable, match="longer than 0 s"):
                converter.convert(pdf("x"), ".pdf")


def test_a_parser_that_crashes_costs_one_file():
    with Converter() as converter:
        assert converter.convert(pdf("one"), ".pdf")[0] == "one"
        assert converter._child is not None
        converter._child.kill()  # as the kernel does to a parser that breaks its memory
        converter._child.wait()
        with pytest.raises(Unreadable, match="crashed"):
            converter.convert(pdf("two"), ".pdf")
        assert converter.convert(pdf("three"), ".pdf")[0] == "three"
