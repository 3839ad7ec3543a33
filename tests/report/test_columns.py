"""Tables as text, CSV and Markdown."""

import csv
import io

from cellsearch.report.columns import PROSE, WHOLE, Column, as_csv, as_markdown, column, table, text, wrapped


def columns() -> list[Column]:
    return [
        column("cell", ["a|b", 'say "x, y"', "`*[<"]),
        column("score", [1 / 3, None, 1e-17], ".3f"),
        column("count", [1_234_567, 0, -1], ","),
        column("equations", ["h' = [x] * h | 1", "", "two\nlines"], code=True),
        Column("shown", [text("–"), text("1.0"), text("x")], right=True),  # noqa: RUF001
    ]


def test_csv_has_every_value_in_full() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(columns()))))
    assert rows[0] == ["cell", "score", "count", "equations", "shown"]
    assert [row[0] for row in rows[1:]] == ["a|b", 'say "x, y"', "`*[<"]
    assert [row[1] for row in rows[1:]] == [repr(1 / 3), "", "1e-17"]
    assert [row[2] for row in rows[1:]] == ["1234567", "0", "-1"]
    assert rows[3][3] == "two\nlines" and rows[1][4] == "–"  # noqa: RUF001


def test_titles_of_csv_are_words_without_spaces() -> None:
    assert as_csv([column("xml accuracy", [0.5])]) == "xml_accuracy\n0.5\n"


def test_markdown_is_a_table_whatever_stands_in_a_cell() -> None:
    assert as_markdown(columns()) == (
        "| cell | score | count | equations | shown |\n"
        "| --- | ---: | ---: | --- | ---: |\n"
        "| a\\|b | 0.333 | 1,234,567 | `h' = [x] * h \\| 1` | – |\n"  # noqa: RUF001
        '| say "x, y" |  | 0 |  | 1.0 |\n'
        "| \\`\\*\\[\\< | 0.000 | -1 | `two lines` | x |\n"
    )


def test_a_table_without_rows_keeps_its_titles() -> None:
    none = [column("cell", []), column("score", [])]
    assert as_csv(none) == "cell,score\n"
    assert as_markdown(none) == "| cell | score |\n| --- | --- |\n"


def test_a_file_gets_every_column_whole_and_prose_in_lines() -> None:
    long = "word " * 200
    (title, row) = table([column("a", [long.strip()]), column("b", ["end"])], WHOLE)
    assert row.plain == f"{long.strip()}  end" and title.plain.startswith("a ")
    lines = wrapped(long, WHOLE, "  ")
    assert max(len(line.plain) for line in lines) <= PROSE < len(long)
    assert " ".join(line.plain.strip() for line in lines) == long.strip()
