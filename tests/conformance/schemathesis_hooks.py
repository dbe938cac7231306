"""What JSON Schema cannot say about a public key: that its point is on the curve.

Every second string of the right form is no key, and the server says 422 to them, as it must. Where a generated
request is meant to be valid, a real key takes the place of the random one. Nothing else is changed, and requests that
are meant to be invalid go out as they were generated.
"""

import schemathesis

# The generators of secp256k1 and of P-256, and the Ed25519 key of RFC 8037 A.2.
PUBKEYS = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "03F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9",
]
KEY_SETS = [
    {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},
    {
        "keys": [
            {
                "kty": "EC", "crv": "P-256", "kid": "a", "alg": "ES256", "use": "sig",
                "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
                "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
            },
            {"kty": "OKP", "crv": "Ed25519", "kid": "b", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        ]
    },
]


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    if isinstance(case.body.get("pubkey"), str):
        case.body["pubkey"] = PUBKEYS[len(str(case.body)) % len(PUBKEYS)]
    if isinstance(case.body.get("jwks"), dict):
        case.body["jwks"] = KEY_SETS[len(str(case.body)) % len(KEY_SETS)]
