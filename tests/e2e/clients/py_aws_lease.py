"""boto3 with nothing but placeholders, as `remit run` sets them: reads, lists, tries to write."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"max_attempts": 0}, connect_timeout=20, read_timeout=20)
s3 = boto3.client("s3", region_name="us-east-1", config=config)


def tried(call, **arguments):
    try:
        return call(**arguments)
    except ClientError as error:
        return {"status": error.response["ResponseMetadata"]["HTTPStatusCode"], "code": error.response["Error"]["Code"],
                "message": error.response["Error"].get("Message", "")}


body = s3.get_object(Bucket="agents-leased", Key="a/b c.txt")["Body"].read().decode()
listed = [item["Key"] for item in s3.list_objects_v2(Bucket="agents-leased")["Contents"]]
written = tried(s3.put_object, Bucket="agents-leased", Key="new.txt", Body=b"x" * 4096)
print(json.dumps({"key": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"], "body": body,
                  "listed": listed, "written": written if "code" in written else "written"}))
