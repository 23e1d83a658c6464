"""moto, with what it leaves out of temporary keys: that they can do no more than their session policy says, that they end, and that
AssumeRoleWithWebIdentity looks at the token.

`MOTO_ISSUERS` names a file with who may vouch for whom: `{ISSUER: {"keys": [JWK], "audience": NAME, "subject": NAME}}`. Run as a program, with moto_server's own arguments. Each key that STS gives is appended to the file `MOTO_SESSIONS` names, one JSON
object a line, so that a test can try what nobody but remit should ever hold.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import os
import sys

import jwt
from moto.iam import access_control
from moto.server import main
from moto.sts import models, responses
from moto.sts.exceptions import STSClientError


def _listed(value) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _among(patterns, text: str) -> bool:
    return any(fnmatch.fnmatchcase(text.lower(), pattern.lower()) for pattern in _listed(patterns))


def _in_force(statement: dict, now: datetime.datetime) -> bool:
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            assert key == "aws:CurrentTime", f"the stand-in knows no condition on {key}"
            at = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            holds = {"DateGreaterThanEquals": now >= at, "DateLessThan": now < at}[operator]
            if not holds:
                return False
    return True


def allows(policy: dict, action: str, resource: str) -> bool:
    """IAM's rule for one policy: something allows, nothing denies."""
    now, allowed = datetime.datetime.now(datetime.timezone.utc), False
    statements = policy["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        named = _among(statement["Action"], action) if "Action" in statement else not _among(statement["NotAction"], action)
        where = _among(statement.get("Resource", "*"), resource) or resource == "*"
        if named and where and _in_force(statement, now):
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed


_permitted = access_control.IAMRequestBase.check_action_permitted


def _check(self, resource: str) -> None:
    _permitted(self, resource)
    for backends in models.sts_backends[self.account_id].values():
        for role in backends.assumed_roles:
            if role.access_key_id != self._access_key._access_key_id:
                continue
            ended = role.expiration.replace(tzinfo=None) <= datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
            if ended or (role.policy and not allows(json.loads(role.policy), self._action, resource)):
                self._raise_access_denied()


access_control.IAMRequestBase.check_action_permitted = _check

_made = models.AssumedRole.__init__


def _make(self, *arguments, **named) -> None:
    _made(self, *arguments, **named)
    if path := os.environ.get("MOTO_SESSIONS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({
                "role": self.role_arn, "session": self.session_name, "policy": self.policy, "key": self.access_key_id,
                "secret": self.secret_access_key, "token": self.session_token}) + "\n")


models.AssumedRole.__init__ = _make

_checked = responses.TokenResponse._authenticate_and_authorize_action


def _vouched(token: str) -> bool:
    with open(os.environ["MOTO_ISSUERS"], encoding="utf-8") as file:
        issuers = json.load(file)
    try:
        issuer = issuers[jwt.decode(token, options={"verify_signature": False})["iss"]]
        key = jwt.PyJWK(issuer["keys"][0]).key
        claims = jwt.decode(token, key, algorithms=["ES256", "RS256"], audience=issuer["audience"],
                            options={"require": ["exp", "aud", "sub"]})
    except (jwt.InvalidTokenError, KeyError):
        return False
    return claims["sub"] == issuer["subject"]


def _authenticate(self, kind, resource: str = "*") -> None:
    # It is signed by nobody: the token says who asks.
    if self._get_action() != "AssumeRoleWithWebIdentity":
        _checked(self, kind, resource)


_assumed = responses.TokenResponse.assume_role_with_web_identity


def _assume(self):
    if not _vouched(self._get_param("WebIdentityToken") or ""):
        raise STSClientError("InvalidIdentityToken", "The ID Token provided is not a valid JWT: issuer, key or audience.")
    return _assumed(self)


responses.TokenResponse._authenticate_and_authorize_action = _authenticate
responses.TokenResponse.assume_role_with_web_identity = _assume

if __name__ == "__main__":
    sys.exit(main())
