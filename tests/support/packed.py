"""Parquet and Arrow files of images, as Hugging Face writes them."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as parquet


def encoded(image):
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def table_of(rows, names=None, image="image", label="label", more=None):
    """Return a table of (picture or bytes or None, label) rows; `names` describes the label as a ClassLabel."""
    contents = [each if isinstance(each, bytes | None) else encoded(each) for each, _ in rows]
    images = pa.array(
        [{"bytes": each, "path": None} for each in contents], pa.struct({"bytes": pa.binary(), "path": pa.string()})
    )
    columns = {image: images, label: pa.array([value for _, value in rows])} | (more or {})
    table = pa.table(columns)
    features = {image: {"_type": "Image"}}
    if names:
        features[label] = {"names": list(names), "_type": "ClassLabel"}
        described = {"info": {"features": features}}
        return table.replace_schema_metadata({"huggingface": json.dumps(described)})
    return table


def write_table(path, rows, row_group=5, **options):
    """Write rows as a Parquet file of several row groups, or as an Arrow stream like `save_to_disk`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table_of(rows, **options)
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=row_group)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=row_group)
