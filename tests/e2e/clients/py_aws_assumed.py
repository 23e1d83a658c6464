"""boto3 assumes a role by itself and works with the keys that STS answers with."""

import json

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"max_attempts": 0}, connect_timeout=20, read_timeout=20)
sts = boto3.client("sts", region_name="us-east-1", config=config)
given = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/readers", RoleSessionName="agent")["Credentials"]
keys = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"]}
s3 = boto3.client("s3", region_name="us-east-1", config=config, **keys)
body = s3.get_object(Bucket="agents-leased", Key="a/b c.txt")["Body"].read().decode()
url = s3.generate_presigned_url("get_object", Params={"Bucket": "agents-leased", "Key": "a/b c.txt"})
try:
    s3.put_object(Bucket="agents-leased", Key="new.txt", Body=b"x" * 4096)
    written = "written"
except ClientError as error:
    written = error.response["Error"]["Code"]
again = boto3.client("sts", region_name="us-east-1", config=config, **keys)
caller = again.get_caller_identity()["Arn"]
print(json.dumps({"keys": keys, "ends": given["Expiration"].timestamp(), "body": body, "url": url, "written": written,
                  "caller": caller}))
