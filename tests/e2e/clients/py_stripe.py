"""stripe: trusts only the roots that it bundles, unless remit's environment adds ours."""

import json

import stripe

client = stripe.StripeClient("sk_test_123", max_network_retries=0)
customers = client.v1.customers.list()
try:
    client.v1.customers.create({"email": "a@up.test"})
    refused = None
except stripe.StripeError as error:
    refused = {"status": error.http_status, "body": json.loads(error.http_body)}
print(json.dumps({"object": customers.object, "refused": refused}))
