"""Training imports boto3, which only an upload of data or weights to Amazon's S3 uses. 7.0.0 and later do so then."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="aws_import",
    title="Import boto3 when something is uploaded",
    why="no training starts where boto3 is not installed, and pruning has no use for it",
    until="releases before 7.0.0 are no longer of use",
    compat=True,
    variants=(
        Variant(
            versions=">=6.0.5,<=6.2.3",
            edits=(
                Replace(
                    file="yolov5/train.py",
                    anchor="from yolov5.utils.aws import upload_file_to_s3, upload_folder_to_s3",
                    code="from yolov5.slim.services import upload_file_to_s3, upload_folder_to_s3",
                ),
            ),
        ),
    ),
)
