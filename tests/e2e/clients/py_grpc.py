"""grpcio: unary, both-ways streaming, trailers, a status from the origin, and an origin without h2."""

import json

import grpc

options = [("grpc.enable_retries", 0)]


def outcome(call) -> dict:
    try:
        answer, done = call()
        return {"answer": answer, "trailers": dict(done.trailing_metadata())}
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details(), "trailers": dict(error.trailing_metadata() or ())}


def unary(channel, method: str, body: bytes):
    answer, call = channel.unary_unary(f"/demo.Echo/{method}").with_call(
        body, timeout=20, metadata=(("x-sent", "by-client"),))
    return answer.decode(), call


def stream(channel):
    call = channel.stream_stream("/demo.Echo/Stream")(iter([b"a", b"b", b"c"]), timeout=20)
    return [answer.decode() for answer in call], call


channel = grpc.secure_channel("grpc.up.test:443", grpc.ssl_channel_credentials(), options)
h1 = grpc.secure_channel("grpc-h1.up.test:443", grpc.ssl_channel_credentials(), options)
print(json.dumps({
    "unary": outcome(lambda: unary(channel, "Unary", b"x" * 10)),
    "large": outcome(lambda: (len(unary(channel, "Unary", b"y" * 3_000_000)[0]), unary(channel, "Unary", b"z")[1])),
    "stream": outcome(lambda: stream(channel)),
    "fail": outcome(lambda: unary(channel, "Fail", b"x")),
    "h1": outcome(lambda: unary(h1, "Unary", b"x"))}))
