//! Revocations: everything issued so far for a subject, a client, a session or the tenant, or one token, is dead.

use assay_storage::record::Level;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Shaped};
use super::problem::{FieldError, Problem};
use super::query::Revoked;
use super::shape::{Member, PLAIN_TEXT, Rule, Shape, VISIBLE_ASCII, integer, is_plain_text, is_visible_ascii};
use super::{Admin, log_change};
use crate::limits::{
    ACCESS_TOKEN_LIFETIME_S_MAX, ADMIN_ID_BYTES_MAX, ADMIN_REASON_CHARS_MAX, REVOKED_TOKENS_COUNT_MAX, UNIX_SECONDS_MAX,
};
use crate::state::revoke::{keep_until, put_revocation};

pub(crate) fn router() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(revoke))
}

const fn identifier(name: &'static str, about: &'static str) -> Member {
    let rule = Rule::Text {
        chars_max: ADMIN_ID_BYTES_MAX,
        pattern: VISIBLE_ASCII,
        accepts: is_visible_ascii,
        must: "must be an identifier: visible ASCII characters",
    };
    Member { name, rule, nullable: false, about }
}

/// The members that name what is revoked: exactly one of them.
const TARGETS: [&str; 5] = ["client", "jti", "session", "subject", "tenant"];

static REVOCATION: Shape = Shape {
    name: "Revocation",
    about: "What to revoke: exactly one of client, jti, session, subject, tenant.",
    members: &[
        identifier("client", "Everything issued to this application."),
        Member {
            name: "exp",
            rule: Rule::Integer { min: 0, max: UNIX_SECONDS_MAX },
            nullable: false,
            about: "With jti: when that token expires anyway, in Unix seconds. Without it the longest lifetime is assumed.",
        },
        identifier("jti", "This one token."),
        Member {
            name: "reason",
            rule: Rule::Text {
                chars_max: ADMIN_REASON_CHARS_MAX,
                pattern: PLAIN_TEXT,
                accepts: is_plain_text,
                must: "must have at least one character and no control character",
            },
            nullable: false,
            about: "Why, for the record.",
        },
        identifier("session", "Everything that came from this session, by its sid."),
        identifier("subject", "Everything issued for this user."),
        Member { name: "tenant", rule: Rule::OneOf(&["default"]), nullable: false, about: "Everything of the tenant." },
    ],
    required: &[],
    across: || {
        let alone = |name: &str| {
            let mut others: Vec<&str> = TARGETS.into_iter().filter(|other| *other != name).collect();
            if name != "jti" {
                others.push("exp");
            }
            let absent: Value = others
                .into_iter()
                .map(|other| (other.to_owned(), Value::Bool(false)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            json!({ "required": [name], "properties": absent })
        };
        json!({ "oneOf": TARGETS.map(alone) })
    },
    example: || json!({ "subject": "usr_5M9xqJ2kQv7LrWbN3cTzYd", "reason": "lost phone" }),
};

/// Every request shape of this file.
pub(crate) static SHAPES: &[&Shape] = &[&REVOCATION];

/// See [`REVOCATION`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Revocation {
    client: Option<String>,
    #[serde(deserialize_with = "integer")]
    exp: Option<u64>,
    jti: Option<String>,
    reason: Option<String>,
    session: Option<String>,
    subject: Option<String>,
    tenant: Option<String>,
}

impl Shaped for Revocation {
    const SHAPE: &'static Shape = &REVOCATION;
}

impl Revocation {
    /// Level and id of the one thing named.
    fn target(&self) -> Result<(Level, &str), FieldError> {
        let targets = [
            (Level::Client, &self.client),
            (Level::Jti, &self.jti),
            (Level::Session, &self.session),
            (Level::User, &self.subject),
            (Level::Tenant, &self.tenant),
        ];
        let mut named = targets.into_iter().filter_map(|(level, id)| Some((level, id.as_deref()?)));
        let (Some(target), None) = (named.next(), named.next()) else {
            return Err(FieldError::new("", format!("must name exactly one of {}", TARGETS.join(", "))));
        };
        if self.exp.is_some() && target.0 != Level::Jti {
            return Err(FieldError::new("/exp", "goes with jti only"));
        }
        Ok(target)
    }
}

/// Revoke
///
/// The effect is visible on every core before the answer. Tokens issued later are not touched.
#[utoipa::path(post, path = "/revocations", tag = "revocations",
    request_body = ref("#/components/schemas/Revocation"),
    responses((status = 200, description = "It is done.", body = Revoked)))]
async fn revoke(State(admin): State<Admin>, Json(body): Json<Revocation>) -> Result<axum::Json<Revoked>, Problem> {
    let now = admin.now();
    let (level, id) = body.target().map_err(|error| Problem::invalid(vec![error]))?;
    let directory = &admin.shared.directory;
    let has_room = directory.can_revoke_token() && directory.revocations_count() < 2 * REVOKED_TOKENS_COUNT_MAX;
    if !has_room {
        tracing::error!(
            "the table of revocations is full; revoke the tenant, a client or a key instead of single things"
        );
        return Err(Problem::unavailable());
    }
    let expires_at = match level {
        // A token that says it lives longer than any token may is remembered as long as any.
        Level::Jti => {
            let longest = now.saturating_add(ACCESS_TOKEN_LIFETIME_S_MAX);
            body.exp.map_or(longest, |exp| exp.min(longest)).saturating_add(1)
        }
        _ => keep_until(now),
    };
    let mut commit = admin.start_commit(now);
    put_revocation(&mut commit, level, id, body.reason.clone(), now, expires_at);
    let seq = admin.shared.store.commit(commit).await?;
    log_change(
        match level {
            Level::Client => "client revoked",
            Level::Jti => "token revoked",
            Level::Key => "key revoked",
            Level::Session => "session revoked",
            Level::Tenant => "tenant revoked",
            Level::User => "subject revoked",
        },
        id,
    );
    Ok(axum::Json(Revoked { seq: seq.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_target() {
        fn check(body: Value, expected: Option<(Level, &str)>) {
            let errors = REVOCATION.check(&body);
            let target = serde_json::from_value::<Revocation>(body.clone()).ok();
            let got = target.as_ref().filter(|_| errors.is_empty()).and_then(|body| body.target().ok());
            assert_eq!(got, expected, "{body}");
        }
        check(json!({"subject": "u"}), Some((Level::User, "u")));
        check(json!({"client": "c", "reason": "r"}), Some((Level::Client, "c")));
        check(json!({"session": "s"}), Some((Level::Session, "s")));
        check(json!({"tenant": "default"}), Some((Level::Tenant, "default")));
        check(json!({"jti": "j", "exp": 5}), Some((Level::Jti, "j")));
        check(json!({"jti": "j"}), Some((Level::Jti, "j")));
        check(json!({"tenant": "other"}), None);
        check(json!({"subject": "u", "exp": 5}), None);
        check(json!({"subject": "u", "client": "c"}), None);
        check(json!({"reason": "r"}), None);
        check(json!({"subject": ""}), None);
        check(json!({"subject": "a b"}), None);
        check(json!({"subject": null}), None);
        check(json!({}), None);
    }
}
