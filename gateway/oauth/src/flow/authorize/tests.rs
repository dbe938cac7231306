//! Cases of `authorize`, most of them refusals.

use super::*;
use crate::flow::tests::{CHALLENGE, client, session, tenant, user};
use crate::revocation::Level;
use crate::revocation::tests::Table;

const NOW: u64 = 1_000;

struct Case {
    query: String,
    client: Option<ClientFacts>,
    user: crate::facts::UserFacts,
    session: Option<crate::facts::SessionFacts>,
    consent: Option<ConsentFacts>,
    view: Table,
}

fn case() -> Case {
    Case {
        query: format!(
            "client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=s&scope=openid\
             &code_challenge={CHALLENGE}&code_challenge_method=S256&nonce=n"
        ),
        client: Some(client()),
        user: user(),
        session: Some(session()),
        consent: Some(ConsentFacts { scopes: vec!["openid".into()] }),
        view: Table::default(),
    }
}

fn run(change: impl FnOnce(&mut Case)) -> Outcome {
    let mut case = case();
    change(&mut case);
    let form = match Form::parse(case.query.as_bytes()) {
        Ok(form) => form,
        Err(error) => return Outcome::Page(error),
    };
    let tenant = tenant();
    let facts = Facts {
        client: case.client.as_ref(),
        signed_in: case.session.as_ref().map(|session| SignedIn { session, user: &case.user }),
        consent: case.consent.as_ref(),
        tenant: &tenant,
    };
    decide(&form, facts, &case.view, NOW)
}

/// A word for the outcome: "code", "consent", "login", "page", or the redirected error.
fn check(change: impl FnOnce(&mut Case), expected: &str) {
    let outcome = run(change);
    let word = match &outcome {
        Outcome::IssueCode(_) => "code",
        Outcome::NeedConsent(_) => "consent",
        Outcome::NeedLogin { .. } => "login",
        Outcome::Page(_) => "page",
        Outcome::Redirect { location, error } => {
            assert!(location.starts_with("https://app.example/"), "{location}");
            assert!(location.contains(&format!("error={}&", error.code.as_str())), "{location}");
            assert!(location.ends_with("&iss=https%3A%2F%2Fid.example"), "{location}"); // attack 57
            error.code.as_str()
        }
    };
    assert_eq!(word, expected, "{outcome:?}");
}

fn with(text: &str) -> impl FnOnce(&mut Case) {
    let text = text.to_owned();
    move |case| case.query.push_str(&text)
}

fn replaced(from: &str, to: &str) -> impl FnOnce(&mut Case) {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |case| case.query = case.query.replace(&from, &to)
}

#[test]
fn success() {
    let Outcome::IssueCode(issue) = run(|_| {}) else { panic!("a code is due") };
    assert_eq!(issue.location("as_ac_1"), "https://app.example/cb?code=as_ac_1&state=s&iss=https%3A%2F%2Fid.example");
    let code = issue.code_facts(10, NOW);
    assert_eq!(
        (code.client_id.as_str(), code.user_id.as_str(), code.expires_at, code.generation),
        ("app", "usr_1", 1_060, 10)
    );
    assert_eq!(
        (code.nonce.as_deref(), code.sid.as_deref(), code.code_challenge.as_deref()),
        (Some("n"), Some("s1"), Some(CHALLENGE))
    );
    assert_eq!(
        issue.denied(),
        "https://app.example/cb?error=access_denied&error_description=User%20denied%20access&state=s&iss=https%3A%2F%2Fid.example"
    );
}

#[test]
fn attack_51_53_54_55_pages_never_redirect() {
    check(|case| case.client = None, "page");
    check(|case| case.client.as_mut().unwrap().enabled = false, "page");
    check(replaced("client_id=app", "client_id=other"), "page");
    check(replaced("client_id=app&", ""), "page");
    check(replaced("redirect_uri=https%3A%2F%2Fapp.example%2Fcb&", ""), "page");
    check(replaced("redirect_uri=https%3A%2F%2Fapp.example%2Fcb", "redirect_uri="), "page");
    for uri in [
        "https%3A%2F%2Fapp.example%2Fcb%2F",
        "https%3A%2F%2Fevil.example%2Fcb",
        "https%3A%2F%2Fapp.example%40evil.example%2Fcb",
        "https%3A%2F%2Fapp.example%2Fcb%23x",
        "javascript%3Aalert(1)",
    ] {
        check(replaced("https%3A%2F%2Fapp.example%2Fcb", uri), "page");
    }
    for twice in ["&client_id=app", "&state=s", "&scope=openid", "&unknown=1&unknown=1", "&sta%74e=s"] {
        check(with(twice), "page");
    }
    // Even when everything else is wrong too.
    check(
        |case| {
            case.client = None;
            case.query = case.query.replace("response_type=code", "response_type=token");
        },
        "page",
    );
}

#[test]
fn attack_50_59_protocol_errors_redirect() {
    for kind in ["token", "id_token", "code+token", "code+id_token", "Code", ""] {
        check(replaced("response_type=code", &format!("response_type={kind}")), "unsupported_response_type");
    }
    check(replaced(CHALLENGE, ""), "invalid_request");
    check(replaced("S256", "plain"), "invalid_request");
    check(replaced("&code_challenge_method=S256", ""), "invalid_request");
    check(replaced(CHALLENGE, &CHALLENGE[..42]), "invalid_request");
    check(replaced(CHALLENGE, &"a".repeat(129)), "invalid_request");
    check(replaced("scope=openid", "scope=openid+admin"), "invalid_scope");
    check(with("&resource=https%3A%2F%2Fother.example"), "invalid_target");
    check(with("&resource=https%3A%2F%2Fapi.example"), "code");
    check(with("&request=x"), "request_not_supported");
    check(with("&request_uri=x"), "request_uri_not_supported");
    check(with("&response_mode=fragment"), "invalid_request");
    check(with("&response_mode=query"), "code");
    check(with("&max_age=x"), "invalid_request");
    check(with("&max_age=-1"), "invalid_request");
    check(with("&max_age=99999999999999999999"), "invalid_request");
    check(with("&provider=google"), "invalid_request");
    check(with("&provider=sigma"), "code");
    check(with("&bapId=x&bap_id=x&unknown=y"), "code");
    check(replaced("nonce=n", &format!("nonce={}", "n".repeat(600))), "invalid_request");
    check(|case| case.client.as_mut().unwrap().grants.clear(), "unauthorized_client");
}

#[test]
fn attack_56_state_comes_back_byte_equal() {
    let state_of = |query_value: &str| {
        let query = case().query.replace("state=s&", query_value);
        match run(|case| case.query = query) {
            Outcome::IssueCode(issue) => issue.location("c"),
            Outcome::Redirect { location, .. } => location,
            other => format!("{other:?}"),
        }
    };
    assert!(state_of("state=&").contains("&state=&iss"));
    assert!(!state_of("").contains("state"));
    assert!(state_of("state=a%2Bb+c%26d%25%C3%A9&").contains("&state=a%2Bb%20c%26d%25%C3%A9&iss"));
    let long = "x".repeat(4_096);
    assert!(state_of(&format!("state={long}&")).contains(&format!("&state={long}&iss")));
    let Outcome::Page(_) =
        run(|case| case.query = case.query.replace("state=s", &format!("state={}", "x".repeat(60_000))))
    else {
        panic!("64 kB of state is refused");
    };
    // On errors too.
    check(
        |case| {
            case.query = case.query.replace("state=s", "state=").replace("response_type=code", "response_type=token")
        },
        "unsupported_response_type",
    );
}

#[test]
fn the_query_of_a_redirect_uri_is_kept() {
    let Outcome::IssueCode(issue) =
        run(replaced("https%3A%2F%2Fapp.example%2Fcb", "https%3A%2F%2Fapp.example%2Fq%3Fa%3D1"))
    else {
        panic!("a code is due")
    };
    assert!(issue.location("c").starts_with("https://app.example/q?a=1&code=c&state=s&iss="));
    assert_eq!(location("https://a.example/?", &[("x", Some("1"))]), "https://a.example/?x=1");
    assert_eq!(location("https://a.example/?a&", &[("x", Some("1"))]), "https://a.example/?a&x=1");
}

#[test]
fn attack_58_prompt_none() {
    check(with("&prompt=none"), "code");
    check(
        |case| {
            case.session = None;
            case.query.push_str("&prompt=none");
        },
        "login_required",
    );
    check(
        |case| {
            case.consent = None;
            case.query.push_str("&prompt=none");
        },
        "consent_required",
    );
    check(
        |case| {
            case.query.push_str("&prompt=none&max_age=99");
        },
        "login_required",
    );
    check(with("&prompt=none+login"), "invalid_request");
    check(with("&prompt=none+consent"), "invalid_request");
    check(with("&prompt=none+none"), "invalid_request");
    check(with("&prompt=NONE"), "invalid_request");
    check(with("&prompt=dance"), "invalid_request");
    check(
        |case| {
            case.user.suspended = true;
            case.query.push_str("&prompt=none");
        },
        "access_denied",
    );
}

#[test]
fn sessions_and_sign_in() {
    check(|case| case.session = None, "login");
    check(|case| case.session.as_mut().unwrap().expires_at = NOW, "login");
    check(|case| case.session.as_mut().unwrap().user_id = "usr_2".into(), "login");
    check(|case| case.view = Table::with(Level::Session, "s1", 11), "login");
    check(|case| case.view = Table::with(Level::User, "usr_1", 11), "login");
    check(|case| case.view = Table::with(Level::Tenant, "default", 11), "login");
    check(|case| case.view = Table::with(Level::User, "usr_1", 10), "code");
    check(with("&max_age=100"), "code");
    check(with("&max_age=99"), "login");
    check(with("&prompt=login"), "login");
    check(with("&prompt=create"), "login");
    check(|case| case.user.suspended = true, "access_denied");
    let Outcome::NeedLogin { resume_query } = run(with("&prompt=login+consent&max_age=5")) else {
        panic!("sign-in is due")
    };
    assert!(resume_query.contains("&prompt=consent&max_age=5"), "{resume_query}");
    let Outcome::NeedLogin { resume_query } = run(with("&prompt=select_account")) else { panic!("sign-in is due") };
    assert!(!resume_query.contains("prompt"));
}

#[test]
fn consent() {
    check(|case| case.consent = None, "consent");
    check(|case| case.consent = Some(ConsentFacts { scopes: vec!["profile".into()] }), "consent");
    check(
        |case| {
            case.consent = None;
            case.client.as_mut().unwrap().first_party = true;
        },
        "code",
    );
    check(with("&prompt=consent"), "consent");
    check(
        |case| {
            case.client.as_mut().unwrap().first_party = true;
            case.query.push_str("&prompt=consent");
        },
        "consent",
    );
}
