//! `grant_type=authorization_code`: redeeming a code, once.
//!
//! [`decide`] says yes or no and what becomes of the code. A yes is a [`Redeem`], which yields tokens only after the
//! commit that marks the code held ([`Redeem::committed`]), so a code cannot pay out twice.

use super::issue::{IssueTokens, Person};
use super::token::{self, GrantType};
use crate::UnixSeconds;
use crate::error::{ErrorCode, OAuthError};
use crate::facts::{ClientFacts, CodeFacts, CodeState, TenantFacts, UserFacts};
use crate::form::Form;
use crate::pkce;
use crate::proof::{ClientAuthenticated, CodeBurned, PkceMatched};
use crate::revocation::{Holder, RevocationView};

/// A parsed request.
#[derive(Clone, Copy)]
pub struct TokenByCode<'a> {
    /// The code, in clear: hash it at once.
    pub code: &'a str,
    /// As sent.
    pub redirect_uri: Option<&'a str>,
    /// As sent.
    pub code_verifier: Option<&'a str>,
    form: &'a Form<'a>,
}

/// Everything loaded for the decision.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Record of the authenticated client.
    pub client: &'a ClientFacts,
    /// The stored code.
    pub code: &'a CodeFacts,
    /// The person it was issued for, if they still exist.
    pub user: Option<&'a UserFacts>,
    /// The tenant.
    pub tenant: &'a TenantFacts,
}

/// What to do with the stored code after a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeFate {
    /// Mark it redeemed without tokens: whoever holds it does not have the rest (sigma.md 2.3).
    Burn,
    /// Leave it as it is.
    Keep,
    /// It was used before: revoke what the first use minted (RFC 6749 §4.1.2, attack 44).
    RevokeMinted {
        /// Access token to revoke.
        jti: String,
        /// Until when the revocation must be remembered.
        expires_at: UnixSeconds,
    },
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The answer.
    pub error: OAuthError,
    /// What to commit before answering.
    pub code: CodeFate,
}

/// A yes, waiting for its commit.
#[derive(Debug)]
#[must_use]
pub struct Redeem {
    issue: IssueTokens,
    _matched: PkceMatched,
}

impl<'a> TokenByCode<'a> {
    /// Reads the request.
    ///
    /// # Errors
    /// `invalid_request` without a code.
    pub fn parse(form: &'a Form<'a>) -> Result<Self, OAuthError> {
        Ok(Self {
            code: form.require("code")?,
            redirect_uri: form.get("redirect_uri"),
            code_verifier: form.get("code_verifier"),
            form,
        })
    }
}

/// The answer when no such code is stored.
pub fn unknown_code() -> OAuthError {
    OAuthError::invalid_grant("invalid code")
}

/// Decides one redemption. The client was authenticated before the code was looked up, so a failed authentication
/// never burns a code.
///
/// # Errors
/// [`Refused`], with the code's fate.
pub fn decide(
    request: &TokenByCode<'_>,
    authenticated: &ClientAuthenticated,
    facts: Facts<'_>,
    view: &impl RevocationView,
    now: UnixSeconds,
) -> Result<Redeem, Refused> {
    let code = facts.code;
    if let CodeState::Redeemed { jti, access_expires_at } = &code.state {
        let fate = if jti.is_empty() {
            CodeFate::Keep
        } else {
            CodeFate::RevokeMinted { jti: jti.clone(), expires_at: *access_expires_at }
        };
        return Err(Refused { error: unknown_code(), code: fate });
    }
    let keep = |error| Refused { error, code: CodeFate::Keep };
    let burn = |error| Refused { error, code: CodeFate::Burn };
    if now >= code.expires_at {
        return Err(keep(OAuthError::invalid_grant("code expired")));
    }
    GrantType::AuthorizationCode.require(facts.client).map_err(keep)?;
    if authenticated.client_id() != code.client_id || facts.client.client_id != code.client_id {
        return Err(burn(unknown_code()));
    }
    let uri_matches = match request.redirect_uri {
        Some(uri) => uri == code.redirect_uri,
        None => !code.redirect_uri_given,
    };
    if !uri_matches {
        return Err(burn(OAuthError::invalid_grant("redirect_uri mismatch")));
    }
    let matched = pkce::check(code.code_challenge.as_deref(), request.code_verifier).map_err(burn)?;
    let Some(user) = facts.user.filter(|user| !user.suspended && user.user_id == code.user_id) else {
        return Err(burn(unknown_code()));
    };
    let holder = Holder {
        tid: &facts.tenant.tid,
        client_id: Some(&code.client_id),
        user_id: Some(&code.user_id),
        sid: code.sid.as_deref(),
    };
    if holder.is_revoked(code.generation, view) {
        return Err(burn(unknown_code()));
    }
    let resources = resources(request.form, facts.client, &code.resources).map_err(keep)?;
    let person = Person {
        user: user.clone(),
        sid: code.sid.clone(),
        auth_time: code.auth_time,
        amr: code.amr.clone(),
        nonce: code.nonce.clone(),
    };
    let issue = IssueTokens::new(facts.client, facts.tenant, Some(person), code.scope.clone(), resources);
    Ok(Redeem { issue, _matched: matched })
}

/// What was granted, or a part of it (RFC 8707 §2.2).
fn resources(form: &Form<'_>, client: &ClientFacts, granted: &[String]) -> Result<Vec<String>, OAuthError> {
    let requested = token::resources(form, client)?;
    if requested.is_empty() {
        return Ok(granted.to_vec());
    }
    if !granted.is_empty() && !requested.iter().all(|resource| granted.contains(resource)) {
        return Err(OAuthError::new(ErrorCode::InvalidTarget, "the resource was not granted"));
    }
    Ok(requested)
}

impl Redeem {
    /// The tokens to be minted: draw the jti, sign, and put the redeemed state into the commit.
    pub fn tokens(&self) -> &IssueTokens {
        &self.issue
    }

    /// Turns the outcome of the commit (`expect_unchanged` on the code) into the right to answer with tokens.
    ///
    /// # Errors
    /// `invalid_grant` when the commit lost: someone else redeemed it (attack 45). Load the code again and call
    /// [`decide`] again to learn what must be revoked.
    pub fn committed(self, held: bool) -> Result<(IssueTokens, CodeBurned), OAuthError> {
        if held { Ok((self.issue, CodeBurned(()))) } else { Err(unknown_code()) }
    }
}

/// The response body; asks for the proof that the code is gone.
pub fn response(
    issue: &IssueTokens,
    _burned: &CodeBurned,
    access_token: &str,
    id_token: Option<&str>,
    now: UnixSeconds,
) -> String {
    issue.response(access_token, id_token, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::AuthMethod;
    use crate::flow::issue::Mint;
    use crate::flow::tests::{CHALLENGE, VERIFIER, client, code, tenant, user};
    use crate::revocation::Level;
    use crate::revocation::tests::Table;

    const NOW: u64 = 1_000;

    struct Case {
        form: String,
        client_id: &'static str,
        client: ClientFacts,
        code: CodeFacts,
        user: Option<UserFacts>,
        view: Table,
        now: u64,
    }

    fn case() -> Case {
        Case {
            form: format!("code=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&code_verifier={VERIFIER}"),
            client_id: "app",
            client: client(),
            code: code(),
            user: Some(user()),
            view: Table::default(),
            now: NOW,
        }
    }

    fn run(case: &Case) -> Result<IssueTokens, Refused> {
        let form = Form::parse(case.form.as_bytes()).unwrap();
        let request = TokenByCode::parse(&form).unwrap();
        let tenant = tenant();
        let facts = Facts { client: &case.client, code: &case.code, user: case.user.as_ref(), tenant: &tenant };
        let authenticated = ClientAuthenticated::new(case.client_id, AuthMethod::None);
        decide(&request, &authenticated, facts, &case.view, case.now).map(|redeem| redeem.committed(true).unwrap().0)
    }

    fn check(change: impl FnOnce(&mut Case), expected: Result<(), (ErrorCode, CodeFate)>) {
        let mut case = case();
        change(&mut case);
        assert_eq!(run(&case).map(|_| ()).map_err(|refused| (refused.error.code, refused.code)), expected);
    }

    const IG: ErrorCode = ErrorCode::InvalidGrant;

    #[test]
    fn a_good_code_pays_out() {
        let issue = run(&case()).unwrap();
        let claims = issue.access_claims(&tenant(), Mint { jti: "j", generation: 12, now: NOW });
        assert_eq!((claims.sub.as_str(), claims.client_id.as_str(), claims.generation), ("usr_1", "app", 12));
        assert_eq!(claims.sid.as_deref(), Some("s1"));
        let id = issue.id_claims(&tenant(), NOW).unwrap();
        assert_eq!((id.nonce.as_deref(), id.aud.as_str(), id.exp), (Some("n1"), "app", NOW + 36_000));
    }

    #[test]
    fn attack_44_code_twice() {
        let state = CodeState::Redeemed { jti: "j1".into(), access_expires_at: 5_000 };
        check(
            |c| c.code.state = state.clone(),
            Err((IG, CodeFate::RevokeMinted { jti: "j1".into(), expires_at: 5_000 })),
        );
        // The reuse is seen even when everything else about the request is wrong, and after expiry.
        check(
            |c| {
                c.code.state = state.clone();
                c.now = 999_999;
                c.client_id = "other";
                c.form = "code=x".into();
            },
            Err((IG, CodeFate::RevokeMinted { jti: "j1".into(), expires_at: 5_000 })),
        );
        check(
            |c| c.code.state = CodeState::Redeemed { jti: String::new(), access_expires_at: 0 },
            Err((IG, CodeFate::Keep)),
        );
    }

    #[test]
    fn attack_45_the_commit_decides() {
        let form = Form::parse(b"code=x").unwrap();
        let mut facts_code = code();
        facts_code.redirect_uri_given = false;
        facts_code.code_challenge = None;
        let (client, user, tenant) = (client(), user(), tenant());
        let facts = Facts { client: &client, code: &facts_code, user: Some(&user), tenant: &tenant };
        let authenticated = ClientAuthenticated::new("app", AuthMethod::None);
        let redeem =
            decide(&TokenByCode::parse(&form).unwrap(), &authenticated, facts, &Table::default(), NOW).unwrap();
        assert_eq!(redeem.committed(false).unwrap_err().code, IG);
    }

    #[test]
    fn attack_46_to_49_bindings() {
        check(|_| {}, Ok(()));
        check(|c| c.client_id = "other", Err((IG, CodeFate::Burn)));
        check(|c| c.code.client_id = "other".into(), Err((IG, CodeFate::Burn)));
        check(|c| c.form = c.form.replace("%2Fcb", "%2Fcb2"), Err((IG, CodeFate::Burn)));
        check(|c| c.form = c.form.replace("app.example", "APP.example"), Err((IG, CodeFate::Burn)));
        check(|c| c.form = format!("code=x&code_verifier={VERIFIER}"), Err((IG, CodeFate::Burn)));
        check(
            |c| {
                c.form = format!("code=x&code_verifier={VERIFIER}");
                c.code.redirect_uri_given = false;
            },
            Ok(()),
        );
        check(|c| c.now = c.code.expires_at, Err((IG, CodeFate::Keep)));
        check(|c| c.now = c.code.expires_at - 1, Ok(()));
        check(|c| c.form = c.form.replace(VERIFIER, CHALLENGE), Err((IG, CodeFate::Burn)));
        check(|c| c.form = c.form.replace(VERIFIER, ""), Err((IG, CodeFate::Burn)));
        check(|c| c.form = c.form.replace(VERIFIER, &VERIFIER[..42]), Err((IG, CodeFate::Burn)));
        check(|c| c.form = c.form.replace(VERIFIER, &"a".repeat(129)), Err((IG, CodeFate::Burn)));
        check(|c| c.code.code_challenge = None, Err((IG, CodeFate::Burn)));
    }

    #[test]
    fn people_and_generations() {
        check(|c| c.user = None, Err((IG, CodeFate::Burn)));
        check(|c| c.user.as_mut().unwrap().suspended = true, Err((IG, CodeFate::Burn)));
        check(|c| c.user.as_mut().unwrap().user_id = "usr_2".into(), Err((IG, CodeFate::Burn)));
        for (level, id) in
            [(Level::Tenant, "default"), (Level::Client, "app"), (Level::User, "usr_1"), (Level::Session, "s1")]
        {
            check(|c| c.view = Table::with(level, id, 11), Err((IG, CodeFate::Burn)));
            check(|c| c.view = Table::with(level, id, 10), Ok(()));
            check(|c| c.view = Table::with(level, "another", 11), Ok(()));
        }
        check(|c| c.client.grants.clear(), Err((ErrorCode::UnauthorizedClient, CodeFate::Keep)));
    }

    #[test]
    fn resources_can_only_shrink() {
        let target = Err((ErrorCode::InvalidTarget, CodeFate::Keep));
        let with = |resource: &str, granted: &[&str]| {
            let mut case = case();
            case.client.audiences = vec!["https://a.example".into(), "https://b.example".into()];
            case.code.resources = granted.iter().map(|resource| (*resource).to_owned()).collect();
            if !resource.is_empty() {
                case.form.push_str(&format!("&resource={resource}"));
            }
            run(&case).map(|issue| issue.audience).map_err(|refused| (refused.error.code, refused.code))
        };
        assert_eq!(with("", &[]), Ok(vec!["https://a.example".into(), "https://b.example".into()]));
        assert_eq!(with("", &["https://a.example"]), Ok(vec!["https://a.example".into()]));
        assert_eq!(with("https://a.example", &[]), Ok(vec!["https://a.example".into()]));
        assert_eq!(with("https://b.example", &["https://a.example"]), target);
        assert_eq!(with("https://c.example", &[]), target);
    }
}
