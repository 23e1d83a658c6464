"""A SPIFFE Workload API that gives one node its JWT-SVID, over a socket of its own. No part of the product."""

from __future__ import annotations

import contextlib
import time
from concurrent import futures
from pathlib import Path

import grpc
import jwt
from spiffe._proto import workload_pb2 as pb2
from spiffe._proto import workload_pb2_grpc as pb2_grpc


@contextlib.contextmanager
def workload_api(folder: Path, key, issuer: str, subject: str):
    """`key` signs (`standins.oidc.Key`). Gives the endpoint."""

    class Servicer(pb2_grpc.SpiffeWorkloadAPIServicer):
        def FetchJWTSVID(self, request, context):  # noqa: N802, the name is the protocol's
            assert dict(context.invocation_metadata()).get("workload.spiffe.io") == "true"
            now = int(time.time())
            claims = {"iss": issuer, "sub": subject, "aud": list(request.audience), "exp": now + 60, "iat": now}
            token = jwt.encode(claims, key.pem, algorithm="ES256", headers={"kid": key.jwk["kid"]})
            return pb2.JWTSVIDResponse(svids=[pb2.JWTSVID(spiffe_id=subject, svid=token)])

    api = grpc.server(futures.ThreadPoolExecutor(8))
    pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(Servicer(), api)
    endpoint = f"unix:{folder}/api.sock"
    api.add_insecure_port(endpoint)
    api.start()
    try:
        yield endpoint
    finally:
        api.stop(None)
