"""stripe: trusts only the roots that it bundles, unless remit's environment adds ours."""

import json

import stripe

from refused import told

client = stripe.StripeClient("sk_test_123", max_network_retries=0)
customers = client.v1.customers.list()
try:
    client.v1.customers.create({"email": "a@up.test"})
    refused = None
except stripe.StripeError as error:
    refused = told(error.http_status, error.headers, json.loads(error.http_body))
print(json.dumps({"object": customers.object, "refused": refused}))
