//! What an application may be registered as: the members of its body, the rules across them, and the way into and out
//! of the stored record.

use assay_engine::VerifyKey;
use assay_oauth::jose::jwk::JwkSet;
use assay_oauth::limits::{JWKS_KEYS_MAX, REDIRECT_URI_BYTES_MAX, REDIRECT_URIS_MAX};
use assay_oauth::{redirect_uri, scope};
use assay_storage::record;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Shaped;
use super::problem::FieldError;
use super::query::Seconds;
use super::shape::{
    Member, PLAIN_TEXT, Rule, Shape, VISIBLE_ASCII, independent, integer, is_plain_text, is_visible_ascii,
};
use crate::limits::{
    ACCESS_TOKEN_LIFETIME_S_MAX, ACCESS_TOKEN_LIFETIME_S_MIN, APPLICATION_AUDIENCE_BYTES_MAX,
    APPLICATION_AUDIENCES_MAX, APPLICATION_NAME_CHARS_MAX, APPLICATION_SCOPE_BYTES_MAX, INTROSPECTION_MAX_AGE_S_MAX,
};
use crate::state::client::{parse_pubkey, verify_key};

const AUTH_METHODS: &[&str] =
    &["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "bitcoin_signature"];
const GRANTS: &[&str] = &["authorization_code", "client_credentials"];

/// https anywhere, http to this machine; the usual spellings of what `assay_oauth::redirect_uri` accepts.
const WEB_URI: &str = concat!(
    r"^(https://(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){0,8}[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
    r"|(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}",
    r"|\[[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}\])",
    r"|http://(localhost|127\.0\.0\.1|\[::1\]))(:[1-9][0-9]{0,3})?",
    r"(/(\.?[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)?)*",
    r"(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$",
);
/// A native application's reverse-domain scheme (RFC 8252 §7.1).
const NATIVE_URI: &str =
    r"^[a-z][a-z0-9-]{0,62}(\.[a-z0-9-]{1,63}){1,8}:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*$";

static REDIRECT_URI: Rule = Rule::Special {
    schema: || json!({ "type": "string", "maxLength": REDIRECT_URI_BYTES_MAX, "anyOf": [{ "pattern": WEB_URI }, { "pattern": NATIVE_URI }] }),
    check: |value| {
        let uri = value.as_str().ok_or("must be a string")?;
        redirect_uri::validate(uri, true).map_err(|refused| refused.to_string())
    },
};

static AUDIENCE: Rule = Rule::Text {
    chars_max: APPLICATION_AUDIENCE_BYTES_MAX,
    pattern: VISIBLE_ASCII,
    accepts: is_visible_ascii,
    must: "must be a URI, or a name of visible ASCII characters",
};

static MEMBERS: &[Member] = &[
    Member {
        name: "name",
        rule: Rule::Text {
            chars_max: APPLICATION_NAME_CHARS_MAX,
            pattern: PLAIN_TEXT,
            accepts: is_plain_text,
            must: "must have at least one character and no control character",
        },
        nullable: false,
        about: "Name shown to people.",
    },
    Member {
        name: "redirect_uris",
        rule: Rule::List { items_max: REDIRECT_URIS_MAX, item: &REDIRECT_URI },
        nullable: false,
        about: "Where authorization codes may be sent, compared byte for byte. https, or http to this machine; native applications also reverse-domain schemes.",
    },
    Member {
        name: "grants",
        rule: Rule::List { items_max: GRANTS.len(), item: &Rule::OneOf(GRANTS) },
        nullable: false,
        about: "Grant types it may use; none for a resource server that only introspects.",
    },
    Member {
        name: "scope",
        rule: Rule::Text {
            chars_max: APPLICATION_SCOPE_BYTES_MAX,
            pattern: r"^([!#-\[\]-~]+( [!#-\[\]-~]+){0,63})?$",
            accepts: is_scope,
            must: "must be at most 64 scopes separated by single spaces",
        },
        nullable: false,
        about: "Scopes it may ask for; empty means openid, profile and email.",
    },
    Member {
        name: "auth_method",
        rule: Rule::OneOf(AUTH_METHODS),
        nullable: false,
        about: "How it authenticates; client_secret_basic unless given.",
    },
    Member {
        name: "pubkey",
        rule: Rule::Special {
            schema: || json!({ "type": "string", "pattern": "^0[23][0-9a-fA-F]{64}$", "format": "secp256k1-public-key" }),
            check: |value| {
                let key = value.as_str().filter(|text| text.len() == 66).and_then(parse_pubkey);
                let is_point = key.is_some_and(|key| VerifyKey::secp256k1_sec1(&key).is_ok());
                if is_point { Ok(()) } else { Err("must be a compressed secp256k1 public key in hex".to_owned()) }
            },
        },
        nullable: true,
        about: "Its Bitcoin public key, compressed, in hex: what a bitcoin_signature application signs with.",
    },
    Member {
        name: "jwks",
        rule: Rule::Special { schema: jwks_schema, check: check_jwks },
        nullable: true,
        about: "Public keys of a private_key_jwt application (RFC 7517). Several keys need distinct kids.",
    },
    Member {
        name: "audiences",
        rule: Rule::List { items_max: APPLICATION_AUDIENCES_MAX, item: &AUDIENCE },
        nullable: false,
        about: "Resources it may ask tokens for; of a resource server, the audiences it answers to. Empty means the issuer.",
    },
    Member {
        name: "introspect",
        rule: Rule::Boolean,
        nullable: false,
        about: "It may introspect tokens of its audiences.",
    },
    Member { name: "first_party", rule: Rule::Boolean, nullable: false, about: "People are not asked for consent." },
    Member {
        name: "native",
        rule: Rule::Boolean,
        nullable: false,
        about: "It runs on people's own devices: loopback redirects with any port, reverse-domain schemes.",
    },
    Member {
        name: "access_token_lifetime",
        rule: Rule::Integer { min: ACCESS_TOKEN_LIFETIME_S_MIN, max: ACCESS_TOKEN_LIFETIME_S_MAX },
        nullable: true,
        about: "Seconds its access tokens live; the configured lifetime unless given.",
    },
    Member {
        name: "introspection_max_age",
        rule: Rule::Integer { min: 0, max: INTROSPECTION_MAX_AGE_S_MAX },
        nullable: true,
        about: "Seconds it may keep an introspection answer; it may not unless given.",
    },
    Member {
        name: "introspection_signed_response_alg",
        rule: Rule::OneOf(&["ES256"]),
        nullable: true,
        about: "Answer its introspections as a signed JWT (RFC 9701).",
    },
];

static NEW_APPLICATION: Shape = Shape {
    name: "NewApplication",
    about: "An application to register.",
    members: MEMBERS,
    required: &["name", "grants"],
    across: across_schema,
    example: || {
        json!({
            "name": "Demo", "redirect_uris": ["https://app.example/cb"], "grants": ["authorization_code"],
            "auth_method": "none", "scope": "openid profile"
        })
    },
};

static APPLICATION_CHANGE: Shape = Shape {
    name: "ApplicationChange",
    about: "Members to change; what is absent stays. `null` takes a value back.",
    members: MEMBERS,
    required: &[],
    across: independent,
    example: || json!({ "name": "Demo 2", "access_token_lifetime": 3600 }),
};

/// The rules of [`contradictions`] as JSON Schema, for a body that says everything.
fn across_schema() -> Value {
    let method = |words: &[&str]| json!({ "enum": words });
    json!({ "allOf": [
        { "anyOf": [
            { "properties": { "auth_method": method(&["client_secret_basic", "client_secret_post"]) } },
            {
                "properties": {
                    "auth_method": method(&["none"]),
                    "grants": { "items": { "enum": ["authorization_code"] } },
                    "introspect": { "enum": [false] },
                },
                "required": ["auth_method"],
            },
            {
                "properties": { "auth_method": method(&["private_key_jwt"]), "jwks": { "type": "object" } },
                "required": ["auth_method", "jwks"],
            },
            {
                "properties": { "auth_method": method(&["bitcoin_signature"]), "pubkey": { "type": "string" } },
                "required": ["auth_method", "pubkey"],
            },
        ] },
        { "anyOf": [
            { "properties": { "native": { "enum": [true] } }, "required": ["native"] },
            { "properties": { "redirect_uris": { "items": { "pattern": "^https?://" } } } },
        ] },
    ] })
}

/// Rules across members.
pub(crate) fn contradictions(client: &record::Client) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |wrong: bool, pointer: &str, detail: &str| {
        if wrong {
            errors.push(FieldError::new(pointer, detail));
        }
    };
    let method = client.auth_method.as_str();
    refuse(method == "bitcoin_signature" && client.pubkey.is_none(), "/pubkey", "is needed for bitcoin_signature");
    refuse(method == "private_key_jwt" && client.jwks.is_none(), "/jwks", "is needed for private_key_jwt");
    let is_public = method == "none";
    refuse(
        is_public && client.grants.iter().any(|grant| grant == "client_credentials"),
        "/grants",
        "client_credentials is not for an application that does not authenticate",
    );
    refuse(is_public && client.introspect, "/introspect", "is not for an application that does not authenticate");
    for (index, uri) in client.redirect_uris.iter().enumerate() {
        if let Err(refused) = redirect_uri::validate(uri, client.native) {
            refuse(true, &format!("/redirect_uris/{index}"), &refused.to_string());
        }
    }
    errors
}

fn is_scope(text: &str) -> bool {
    text.is_empty() || !text.split(' ').any(str::is_empty) && scope::parse(text).is_ok()
}

fn jwks_schema() -> Value {
    // 32 bytes: 42 full characters, and one whose last two bits are zero.
    let coordinate = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$" });
    // Odd numbers of 2048, 3072 or 4096 bits; sizes in between are accepted too, and nobody has one.
    let modulus = json!({ "type": "string", "pattern": concat!(
        "^[g-z0-9_-]([A-Za-z0-9_-]{340}[Qw]|[A-Za-z0-9_-]{510}[BDFHJLNPRTVXZbdfhjlnprtvxz13579_]",
        "|[A-Za-z0-9_-]{681}[EMUcks08])$",
    ) });
    let key = |required: Value, properties: Value| {
        let mut schema = json!({ "type": "object", "required": required, "properties": properties });
        schema["properties"]["kid"] = json!({ "type": "string" });
        schema["properties"]["use"] = json!({ "type": "string", "enum": ["sig"] });
        schema["properties"]["key_ops"] = json!({ "type": "array", "contains": { "enum": ["verify"] } });
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            schema["properties"][private] = json!(false);
        }
        schema
    };
    let curve = |name: &str, alg: &str| {
        let members = json!({
            "kty": { "enum": ["EC"] }, "crv": { "enum": [name] }, "x": coordinate, "y": coordinate, "alg": { "enum": [alg] },
        });
        key(json!(["kty", "crv", "x", "y"]), members)
    };
    json!({
        "type": "object",
        "required": ["keys"],
        "properties": { "keys": { "type": "array", "minItems": 1, "maxItems": JWKS_KEYS_MAX, "items": { "anyOf": [
            curve("P-256", "ES256"),
            curve("secp256k1", "ES256K"),
            key(json!(["kty", "crv", "x"]), json!({
                "kty": { "enum": ["OKP"] }, "crv": { "enum": ["Ed25519"] }, "x": coordinate, "alg": { "enum": ["EdDSA"] },
            })),
            key(json!(["kty", "n", "e"]), json!({
                "kty": { "enum": ["RSA"] }, "n": modulus, "e": { "enum": ["AQAB"] }, "alg": { "enum": ["RS256"] },
            })),
        ] } } },
    })
}

/// A key set that the token endpoint will be able to use: parsed as it will be, each key on its curve.
fn check_jwks(value: &Value) -> Result<(), String> {
    let set = JwkSet::parse(value).map_err(|refused| refused.to_string())?;
    for (index, key) in set.keys.iter().enumerate() {
        verify_key(key).map_err(|_| format!("key {index} is not a valid public key"))?;
    }
    Ok(())
}

/// A body that registers an application, or changes one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    grants: Option<Vec<String>>,
    scope: Option<String>,
    auth_method: Option<String>,
    #[serde(deserialize_with = "present")]
    pubkey: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    jwks: Option<Option<Value>>,
    audiences: Option<Vec<String>>,
    introspect: Option<bool>,
    first_party: Option<bool>,
    native: Option<bool>,
    #[serde(deserialize_with = "present_integer")]
    access_token_lifetime: Option<Option<u64>>,
    #[serde(deserialize_with = "present_integer")]
    introspection_max_age: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    introspection_signed_response_alg: Option<Option<String>>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for whole numbers.
fn present_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    integer(deserializer).map(Some)
}

impl Change {
    /// Puts the members that are there into a record.
    pub(crate) fn apply(self, client: &mut record::Client) {
        fn set<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        set(&mut client.name, self.name);
        set(&mut client.redirect_uris, self.redirect_uris);
        set(&mut client.grants, self.grants);
        set(&mut client.scope, self.scope.map(|text| scope::parse(&text).unwrap_or_default()));
        set(&mut client.auth_method, self.auth_method);
        set(&mut client.pubkey, self.pubkey.map(|key| key.map(|hex| hex.to_ascii_lowercase())));
        set(&mut client.jwks, self.jwks);
        set(&mut client.audiences, self.audiences);
        set(&mut client.introspect, self.introspect);
        set(&mut client.first_party, self.first_party);
        set(&mut client.native, self.native);
        set(&mut client.access_token_lifetime, self.access_token_lifetime);
        set(&mut client.introspection_max_age, self.introspection_max_age);
        set(&mut client.introspection_signed_response_alg, self.introspection_signed_response_alg);
    }
}

/// [`Change`] with the members that a registration must have.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Registration(pub(crate) Change);

impl Shaped for Registration {
    const SHAPE: &'static Shape = &NEW_APPLICATION;
}

impl Shaped for Change {
    const SHAPE: &'static Shape = &APPLICATION_CHANGE;
}

/// An application before anything was said about it.
pub(crate) fn blank(client_id: String, now: Seconds) -> record::Client {
    record::Client {
        client_id,
        name: String::new(),
        secrets: Vec::new(),
        redirect_uris: Vec::new(),
        grants: Vec::new(),
        scope: Vec::new(),
        auth_method: "client_secret_basic".to_owned(),
        pubkey: None,
        jwks: None,
        audiences: Vec::new(),
        introspect: false,
        first_party: false,
        native: false,
        enabled: true,
        access_token_lifetime: None,
        introspection_max_age: None,
        introspection_signed_response_alg: None,
        created_at: now,
        updated_at: now,
    }
}

/// Whether this authentication method uses a secret of ours.
pub(crate) fn uses_secret(client: &record::Client) -> bool {
    matches!(client.auth_method.as_str(), "client_secret_basic" | "client_secret_post")
}

/// A registered application.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    /// Its identifier.
    #[schema(example = "app_5M9xqJ2kQv7LrWbN3cTzYd")]
    pub(crate) client_id: String,
    /// The new secret, in clear, in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) client_secret: Option<String>,
    /// Name shown to people.
    #[schema(example = "Demo")]
    name: String,
    /// Where authorization codes may be sent.
    redirect_uris: Vec<String>,
    /// Grant types it may use.
    grants: Vec<String>,
    /// Scopes it may ask for; empty means openid, profile and email.
    scope: String,
    /// How it authenticates.
    #[schema(example = "client_secret_basic")]
    auth_method: String,
    /// Its Bitcoin public key, compressed, in hex.
    #[schema(required = true)]
    pubkey: Option<String>,
    /// Its public keys.
    #[schema(required = true, value_type = Option<Object>)]
    jwks: Option<Value>,
    /// Resources it may ask tokens for, or answers to.
    audiences: Vec<String>,
    /// Whether it may introspect.
    introspect: bool,
    /// Whether people are not asked for consent.
    first_party: bool,
    /// Whether it runs on people's own devices.
    native: bool,
    /// Whether it may do anything at all.
    enabled: bool,
    /// Seconds its access tokens live, when not the configured lifetime.
    #[schema(required = true)]
    access_token_lifetime: Option<u64>,
    /// Seconds it may keep an introspection answer.
    #[schema(required = true)]
    introspection_max_age: Option<u64>,
    /// Algorithm of its signed introspection answers.
    #[schema(required = true)]
    introspection_signed_response_alg: Option<String>,
    /// Its live secrets, oldest first: only when they were made and when they end.
    secrets: Vec<SecretDates>,
    /// When it was registered, in Unix seconds.
    #[schema(example = 1_767_225_600)]
    created_at: u64,
    /// When it was last changed, in Unix seconds.
    #[schema(example = 1_767_225_600)]
    updated_at: u64,
}

/// The dates of a secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretDates {
    /// When it was made, in Unix seconds.
    created_at: u64,
    /// From when it is refused, in Unix seconds.
    #[schema(required = true)]
    expires_at: Option<u64>,
}

impl Application {
    /// A record as the administrator sees it at `now`.
    pub(crate) fn of(client: &record::Client, now: Seconds) -> Application {
        let live = client.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|at| now < at));
        Application {
            client_id: client.client_id.clone(),
            client_secret: None,
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.clone(),
            grants: client.grants.clone(),
            scope: client.scope.join(" "),
            auth_method: client.auth_method.clone(),
            pubkey: client.pubkey.clone(),
            jwks: client.jwks.clone(),
            audiences: client.audiences.clone(),
            introspect: client.introspect,
            first_party: client.first_party,
            native: client.native,
            enabled: client.enabled,
            access_token_lifetime: client.access_token_lifetime,
            introspection_max_age: client.introspection_max_age,
            introspection_signed_response_alg: client.introspection_signed_response_alg.clone(),
            secrets: live.map(|s| SecretDates { created_at: s.created_at, expires_at: s.expires_at }).collect(),
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}
