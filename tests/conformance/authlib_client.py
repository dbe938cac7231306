"""PyPI Authlib: discovery, client_credentials, introspection, revocation, and a code with PKCE."""

import json
import os

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

with open(os.environ["CONFORMANCE_SCENE"], encoding="utf-8") as file:
    SCENE = json.load(file)
BASE = SCENE["base"]
DONE = 0


def ok(what):
    global DONE
    DONE += 1
    print(f"  ok {what}")


def discovery():
    documents = []
    for kind, name in ((OpenIDProviderMetadata, "openid-configuration"), (AuthorizationServerMetadata, "oauth-authorization-server")):
        document = kind(requests.get(f"{BASE}/.well-known/{name}", timeout=10).json())
        # Two of Authlib's rules are left out, the rest must hold. It insists on https, which a server on localhost does
        # not speak; and OpenID Connect Discovery wants every issuer to offer RS256, while ours signs with ES256 only.
        judged = {key: value.replace("http://", "https://") if isinstance(value, str) else value for key, value in document.items()}
        assert document["id_token_signing_alg_values_supported"] == ["ES256"], document
        judged["id_token_signing_alg_values_supported"] = ["ES256", "RS256"]
        kind(judged).validate()
        documents.append(document)
    ok("discovery: both documents are valid metadata")
    return documents[0]


def service(metadata, name, method):
    app = SCENE[name]
    with OAuth2Session(
        app["client_id"], app["client_secret"], token_endpoint_auth_method=method, revocation_endpoint_auth_method=method, scope="read"
    ) as session:
        token = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
        assert token["token_type"] == "Bearer" and token["scope"] == "read", token
        first = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"], token_type_hint="access_token")
        assert first.status_code == 200 and first.json()["active"] is True, first.text
        assert first.json()["client_id"] == app["client_id"], first.text
        gone = session.revoke_token(metadata["revocation_endpoint"], token=token["access_token"], token_type_hint="access_token")
        assert gone.status_code == 200, gone.text
        last = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
        assert last.json() == {"active": False}, last.text
    ok(f"{method}: client_credentials, introspection, revocation")


def code(metadata):
    """A browser session was opened by run.sh's scene; Authlib does the application's half."""
    app = SCENE["web"]
    with OAuth2Session(
        app["client_id"], None, token_endpoint_auth_method="none", scope="openid profile", redirect_uri=SCENE["redirect_uri"], code_challenge_method="S256"
    ) as session:
        verifier = "v" * 64
        url, state = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        answer = requests.get(url, headers={"Cookie": SCENE["cookie"]}, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        token = session.fetch_token(
            metadata["token_endpoint"], authorization_response=answer.headers["Location"], state=state, code_verifier=verifier
        )
        assert token["id_token"], token
        info = session.get(metadata["userinfo_endpoint"])
        assert info.status_code == 200 and info.json()["pubkey"], info.text
    ok("authorization code with PKCE, userinfo")


def main():
    metadata = discovery()
    service(metadata, "service", "client_secret_basic")
    service(metadata, "service_post", "client_secret_post")
    code(metadata)
    assert DONE == 4, "every check of this script ran"


main()
