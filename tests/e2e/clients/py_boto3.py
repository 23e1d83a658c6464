"""boto3: STS and S3; signed requests arrive as they were signed."""

import json

import boto3
from botocore.config import Config

once = {"region_name": "us-east-1", "aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret",
        "config": Config(retries={"max_attempts": 0}, connect_timeout=20, read_timeout=20)}
account = boto3.client("sts", **once).get_caller_identity()["Account"]
s3 = boto3.client("s3", **once)
s3.create_bucket(Bucket="agents-bucket")
s3.put_object(Bucket="agents-bucket", Key="a/b c.txt", Body=b"kept" * 100_000)
body = s3.get_object(Bucket="agents-bucket", Key="a/b c.txt")["Body"].read()
print(json.dumps({"account": account, "bytes": len(body), "same": body == b"kept" * 100_000}))
