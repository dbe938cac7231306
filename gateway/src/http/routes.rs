//! THE table of endpoints.
//!
//! A row says everything a reviewer must ask: method, paths (aliases stand in the same row, so they can never drift
//! apart), who may call, what body it takes and how large, which rate class it counts in, and the handler.
//!
//! To add an endpoint:
//! 1. a row here, and a handler of the same name in `public/`;
//! 2. what it decides goes into `oauth/`, not into the handler;
//! 3. an end-to-end test, and a line in the no-credentials test (a tidy test counts both);
//! 4. discovery, if clients should find it.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;

use http::Method;

use super::dispatch::Call;
use super::error::Failure;
use super::response::Answer;
use crate::limits::{BATCH_BYTES_MAX, FORM_BYTES_MAX, SIGN_IN_BYTES_MAX};
use crate::public::{authorize, discovery, health, introspect, revoke, session, sigma, token, userinfo};

/// What a handler returns: its answer, or the rest of its work. An `async fn` always does the latter; the hot path saves
/// the allocation. Boxed because the table holds handlers of different types.
pub enum Handling {
    /// Done without waiting for anything.
    Now(Result<Answer, Failure>),
    /// To be awaited.
    Later(Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>),
}

impl<F: Future<Output = Result<Answer, Failure>> + 'static> From<F> for Handling {
    fn from(handler: F) -> Handling {
        Handling::Later(Box::pin(handler))
    }
}

/// Who may call a route. The handler proves it; the table says what to expect, and tests hold the handler to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anyone.
    Anyone,
    /// The holder of an access token.
    Bearer,
    /// An authenticated client.
    Client,
    /// The holder of a Bitcoin key, by a signed token.
    KeyHolder,
    /// A signed-in browser; without one the answer is harmless.
    Session,
}

/// What a route's body may be. Another media type is 415, a longer body 413.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// `application/x-www-form-urlencoded`, at most this many bytes.
    Form(usize),
    /// `application/json`, at most this many bytes.
    Json(usize),
    /// No body is read.
    None,
    /// Any or no media type, at most this many bytes: the handler decides.
    Raw(usize),
}

/// The limit a request counts against before its body is read. `Api` and `Introspect` are counted by the handler,
/// once it knows the client or user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Per user, else per client.
    Api,
    /// Per client.
    Introspect,
    /// Not limited: documents that caches and load balancers ask for; and revocation, where a limit would help the thief.
    None,
    /// Per address.
    OAuth,
    /// Per address, stricter.
    SignIn,
}

/// One row.
pub struct Route {
    /// The name in metrics and logs.
    pub name: &'static str,
    /// The method; `HEAD` is answered where `GET` is.
    pub method: Method,
    /// All paths that mean this route.
    pub paths: &'static [&'static str],
    /// Who may call.
    pub who: Who,
    /// What body.
    pub body: BodyRule,
    /// Which limit.
    pub rate: Rate,
    /// What answers.
    pub handler: fn(Call) -> Handling,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("name", &self.name).field("method", &self.method).finish_non_exhaustive()
    }
}

macro_rules! routes {
    ($($name:literal $method:ident [$($path:literal),+ $(,)?] $who:ident $body:expr, $rate:ident, $($handler:ident)::+;)+) => {
        [$(Route {
            name: $name,
            method: Method::$method,
            paths: &[$($path),+],
            who: Who::$who,
            body: $body,
            rate: Rate::$rate,
            handler: |call| Handling::from($($handler)::+(call)),
        }),+]
    };
}

/// Every endpoint of the public listener.
#[rustfmt::skip]
pub static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| Vec::from(routes! {
    "introspect"        POST ["/introspect", "/oauth/introspect", "/oauth2/introspect", "/api/auth/oauth2/introspect", "/api/oauth/introspect"]
                             Client BodyRule::Form(FORM_BYTES_MAX), Introspect, introspect::post;
    "introspect_batch"  POST ["/introspect/batch", "/oauth/introspect/batch", "/oauth2/introspect/batch", "/api/auth/oauth2/introspect/batch"]
                             Client BodyRule::Json(BATCH_BYTES_MAX), Introspect, introspect::post_batch;
    "revoke"            POST ["/revoke", "/oauth/revoke", "/oauth2/revoke", "/api/auth/oauth2/revoke", "/api/oauth/revoke"]
                             Client BodyRule::Form(FORM_BYTES_MAX), None, revoke::post;
    "token"             POST ["/token", "/oauth/token", "/oauth2/token", "/api/oauth/token", "/api/auth/oauth2/token"]
                             Client BodyRule::Form(FORM_BYTES_MAX), OAuth, token::post;
    "authorize"         GET  ["/authorize", "/oauth/authorize", "/api/oauth/authorize", "/oauth2/authorize", "/api/auth/oauth2/authorize"]
                             Session BodyRule::None, OAuth, authorize::get;
    "authorize_form"    POST ["/authorize", "/oauth/authorize", "/api/oauth/authorize", "/oauth2/authorize", "/api/auth/oauth2/authorize"]
                             Session BodyRule::Form(FORM_BYTES_MAX), OAuth, authorize::post;
    "consent"           POST ["/consent", "/api/auth/oauth2/consent"]
                             Session BodyRule::Raw(FORM_BYTES_MAX), OAuth, authorize::post_consent;
    "sign_in_page"      GET  ["/sign-in"]
                             Anyone BodyRule::None, OAuth, session::get_page;
    "sign_in_form"      POST ["/sign-in"]
                             KeyHolder BodyRule::Form(FORM_BYTES_MAX), SignIn, session::post_page;
    "sigma_challenge"   POST ["/sigma/challenge"]
                             Anyone BodyRule::Raw(SIGN_IN_BYTES_MAX), OAuth, sigma::post_challenge;
    "sigma_authorize"   POST ["/sigma/authorize"]
                             KeyHolder BodyRule::Raw(SIGN_IN_BYTES_MAX), SignIn, sigma::post_authorize;
    "sign_in"           POST ["/api/auth/sign-in/sigma", "/api/auth/signin/sigma"]
                             KeyHolder BodyRule::Raw(SIGN_IN_BYTES_MAX), SignIn, session::post_sign_in;
    "get_session"       GET  ["/api/auth/get-session"]
                             Session BodyRule::None, None, session::get_session;
    "sign_out"          POST ["/api/auth/sign-out"]
                             Session BodyRule::Raw(SIGN_IN_BYTES_MAX), None, session::post_sign_out;
    "userinfo"          GET  ["/userinfo", "/oauth2/userinfo", "/api/oauth/userinfo", "/api/auth/oauth2/userinfo"]
                             Bearer BodyRule::None, Api, userinfo::get;
    "userinfo_form"     POST ["/userinfo", "/oauth2/userinfo", "/api/oauth/userinfo", "/api/auth/oauth2/userinfo"]
                             Bearer BodyRule::Raw(FORM_BYTES_MAX), Api, userinfo::post;
    "openid_discovery"  GET  ["/.well-known/openid-configuration", "/api/auth/.well-known/openid-configuration"]
                             Anyone BodyRule::None, None, discovery::get_openid;
    "oauth_discovery"   GET  ["/.well-known/oauth-authorization-server", "/api/auth/.well-known/oauth-authorization-server"]
                             Anyone BodyRule::None, None, discovery::get_oauth;
    "jwks"              GET  ["/.well-known/jwks.json", "/api/auth/jwks", "/api/auth/.well-known/jwks.json"]
                             Anyone BodyRule::None, None, discovery::get_jwks;
    "health"            GET  ["/health"]  Anyone BodyRule::None, None, health::get_health;
    "ready"             GET  ["/ready"]   Anyone BodyRule::None, None, health::get_ready;
}));

/// All rows of one path.
struct PathRows {
    path: &'static str,
    rows: Vec<usize>,
    allow: &'static str,
}

/// Paths sorted for binary search, by length first: most steps then compare two numbers.
static PATHS: LazyLock<Vec<PathRows>> = LazyLock::new(|| {
    let mut paths: Vec<PathRows> = Vec::new();
    for (index, route) in ROUTES.iter().enumerate() {
        for path in route.paths {
            match paths.iter_mut().find(|known| known.path == *path) {
                Some(known) => known.rows.push(index),
                None => paths.push(PathRows { path, rows: vec![index], allow: "" }),
            }
        }
    }
    for path in &mut paths {
        let mut methods: Vec<&str> = path.rows.iter().map(|&row| ROUTES[row].method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        path.allow = Box::leak(methods.join(", ").into_boxed_str()); // once per path per process
    }
    paths.sort_unstable_by_key(|known| order(known.path));
    paths
});

fn order(path: &str) -> (usize, &str) {
    (path.len(), path)
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Found {
    /// This row (its index in [`ROUTES`]).
    Row(usize),
    /// The path exists; the methods it takes.
    OtherMethod(&'static str),
    /// No such path.
    Nothing,
}

/// Looks a request up. Paths match byte for byte: no normalisation, so no two spellings of one path.
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    let Ok(at) = PATHS.binary_search_by(|known| order(known.path).cmp(&order(path))) else { return Found::Nothing };
    let known = &PATHS[at];
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    known
        .rows
        .iter()
        .copied()
        .find(|&row| ROUTES[row].method == *wanted)
        .map_or(Found::OtherMethod(known.allow), Found::Row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_and_method_leads_to_its_own_row() {
        for (index, route) in ROUTES.iter().enumerate() {
            for path in route.paths {
                assert!(
                    matches!(find(&route.method, path), Found::Row(found) if found == index),
                    "{} {path}",
                    route.name
                );
            }
        }
    }

    #[test]
    fn near_misses_lead_nowhere() {
        for path in ["", "/", "/Token", "/token/", "//token", "/token%2f", "/introspect/batch/x", "/.well-known"] {
            assert!(matches!(find(&Method::POST, path), Found::Nothing), "{path}");
        }
        assert!(matches!(find(&Method::GET, "/introspect"), Found::OtherMethod("POST, OPTIONS")));
        assert!(matches!(find(&Method::HEAD, "/health"), Found::Row(_)));
        assert!(matches!(find(&Method::DELETE, "/userinfo"), Found::OtherMethod("GET, POST, HEAD, OPTIONS")));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ROUTES.iter().map(|route| route.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROUTES.len());
    }
}
