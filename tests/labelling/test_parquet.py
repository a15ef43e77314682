"""Columns of Parquet files: what comes back, and what is said of files that are none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.errors import UserError
from helpers.labelling.parquet import matrix, read_columns


@pytest.fixture
def file(tmp_path):
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 2)
    columns = {"fixed": fixed, "lists": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "numbers": [7, 8, 9]}
    columns |= {
        "holes": [[None], [2.0], [3.0]],
        "ragged": [[1.0], [2.0, 3.0], [4.0]],
        "lost": [[1.0], None, [3.0]],
    }
    columns |= {"empty": pa.array([[], [], []], pa.list_(pa.float32())), "texts": ["a", "b", "c"]}
    pq.write_table(pa.table(columns), tmp_path / "some.parquet")
    return tmp_path / "some.parquet"


def test_columns_come_in_the_order_asked_for(file):
    assert read_columns(file, ["texts", "fixed"], "labels").column_names == ["texts", "fixed"]
    optional = read_columns(file, ["texts"], "labels", optional=["id", "numbers"])
    assert optional.column_names == ["texts", "numbers"]
    assert read_columns(file, None, "labels").equals(pq.read_table(file))


def test_lists_and_numbers_become_a_matrix(file):
    table = read_columns(file, None, "labels")
    np.testing.assert_array_equal(matrix(table, "fixed", file), np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(matrix(table, "lists", file), [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(matrix(table, "numbers", file), [[7], [8], [9]])
    np.testing.assert_array_equal(matrix(table, "holes", file), [[np.nan], [2], [3]])
    assert matrix(table, "empty", file).shape == (3, 0)
    assert matrix(table.slice(0, 0), "fixed", file).shape == (0, 2)
    np.testing.assert_array_equal(matrix(table.slice(1), "fixed", file), [[2, 3], [4, 5]])
    together = pa.concat_tables([table, table])
    assert (
        matrix(together, "fixed", file).shape == (6, 2)
        and matrix(together, "fixed", file).dtype == np.float32
    )


@pytest.mark.parametrize("name", ["ragged", "lost", "texts"])
def test_a_column_that_is_no_matrix(file, name):
    with pytest.raises(UserError, match=f"some.parquet: column {name}: numbers, or lists of one length"):
        matrix(read_columns(file, [name], "labels"), name, file)


def test_files_that_cannot_be_read(file):
    with pytest.raises(UserError, match="other.parquet: no such file of labels: pool them"):
        read_columns(file.with_name("other.parquet"), ["a"], "labels: pool them")
    with pytest.raises(UserError, match=r"is no file of labels \(no column a, b; it has fixed, "):
        read_columns(file, ["a", "texts", "b"], "labels")
    with pytest.raises(UserError, match="is no file of labels"):
        read_columns(file.parent, ["a"], "labels")
    for damage in (file.read_bytes()[:-100], b"PAR1 and no more", b""):
        file.write_bytes(damage)
        with pytest.raises(UserError, match="some.parquet: is no file of labels") as error:
            read_columns(file, ["texts"], "labels")
        assert "\n" not in str(error.value)
