//! One request through the table: find the row, refuse early, read the body, call the handler, finish the answer.
//!
//! The order is the admission rule of the house: path and method, then the address's limit, then the in-flight cap,
//! all before a byte of the body is read and before any signature work.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use super::conn::{ConnState, Phase};
use super::error::Failure;
use super::request::{Body, expect_media_type};
use super::response::{self, Answer};
use super::routes::{self, BodyRule, Found, Handling, ROUTES, Rate, Route};
use crate::admission::client_ip::AddressGroup;
use crate::admission::{Admission, Class, Decision};
use crate::core::Core;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request on its way to a handler.
pub struct Call {
    /// The core it runs on.
    pub core: Rc<Core>,
    /// Its row in the table.
    pub route: &'static Route,
    /// Method, target, headers.
    pub head: Parts,
    /// The whole body, within the row's bound.
    pub body: Bytes,
    /// Who asks, behind trusted proxies.
    pub client_ip: IpAddr,
    /// Unix milliseconds when the head was read: the `now` of every decision about this request.
    pub now_ms: u64,
    /// What the last charge of this request says about its quota: the answer's rate headers.
    pub rate: Rc<Cell<Option<Decision>>>,
}

impl Call {
    /// Charges an authenticated subject: `kind` is `"user:"` or `"client:"`.
    ///
    /// # Errors
    /// 429 when the quota is used up.
    pub fn charge_subject(&self, class: Class, kind: &str, id: &str, units: u32) -> Result<(), Failure> {
        let admission = &self.core.shared.admission;
        if !admission.is_limited(class) {
            return Ok(());
        }
        let decision = admission.charge_subject(class, &format!("{kind}{id}"), units, self.now_ms);
        self.rate.set(Some(decision));
        if decision.admitted { Ok(()) } else { Err(Failure::over_quota(&decision)) }
    }

    /// `now` in Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now_ms / 1000
    }
}

/// Answers one request.
pub async fn dispatch(core: Rc<Core>, conn: Rc<ConnState>, peer_ip: IpAddr, request: Request<Incoming>) -> Answer {
    conn.enter(Phase::Handling);
    let started_ns = core.shared.clock.monotonic_ns();
    let (head, incoming) = request.into_parts();
    let request_id = request_id(&core, &head);
    let row = routes::find(&head.method, head.uri.path());
    let mut answer = match row {
        Found::Row(index) => {
            let target_cors = cors(&ROUTES[index], &core, &head);
            let mut answer = run(&core, &conn, peer_ip, &ROUTES[index], head, incoming).await;
            if let Some(origin) = target_cors {
                open_cors(&mut answer, origin);
            }
            core.count_request(index, answer.status(), started_ns);
            answer
        }
        Found::OtherMethod(allow) if head.method == Method::OPTIONS => preflight(allow, &core, &head),
        Found::OtherMethod(allow) => refuse(&core, Failure::Method { allow }),
        Found::Nothing => refuse(&core, Failure::NotFound),
    };
    if conn.closes_after_response() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer.headers_mut().insert(X_REQUEST_ID, request_id);
    conn.enter(Phase::Idle);
    answer
}

fn refuse(core: &Core, failure: Failure) -> Answer {
    core.shared.metrics.refuse(failure.label());
    failure.into_answer()
}

async fn run(
    core: &Rc<Core>,
    conn: &Rc<ConnState>,
    peer_ip: IpAddr,
    route: &'static Route,
    head: Parts,
    incoming: Incoming,
) -> Answer {
    let now_ms = core.shared.clock.unix_ms();
    let client_ip = core.shared.client_ip(peer_ip, &head.headers);
    let class = match route.rate {
        Rate::OAuth => Some(Class::OAuth),
        Rate::SignIn => Some(Class::SignIn),
        Rate::Api | Rate::Introspect | Rate::None => None,
    };
    let admission = &core.shared.admission;
    let decision = class.map(|class| admission.charge_address(class, AddressGroup::of(client_ip), now_ms));
    if let Some(decision) = decision.filter(|decision| !decision.admitted) {
        conn.close_after_response_if_unread(&head.headers);
        let mut answer = refuse(core, Failure::over_quota(&decision));
        write_rate_headers(admission, &decision, &mut answer);
        return answer;
    }
    let Some(_in_flight) = core.in_flight.try_enter() else {
        conn.close_after_response_if_unread(&head.headers);
        return refuse(core, Failure::Unavailable { what: "in_flight_full" });
    };
    let rate = Rc::new(Cell::new(decision));
    let handled = match read_body(route.body, &head, incoming, conn).await {
        Ok(body) => {
            let call = Call { core: Rc::clone(core), route, head, body, client_ip, now_ms, rate: Rc::clone(&rate) };
            match (route.handler)(call) {
                Handling::Now(answer) => answer,
                Handling::Later(rest) => rest.await,
            }
        }
        Err(failure) => Err(failure),
    };
    let mut answer = handled.unwrap_or_else(|failure| refuse(core, failure));
    if let Some(decision) = rate.get() {
        write_rate_headers(admission, &decision, &mut answer);
    }
    answer
}

/// Puts the rate headers of `decision` on an answer; nothing for an unlimited class.
pub fn write_rate_headers(admission: &Admission, decision: &Decision, answer: &mut Answer) {
    admission.each_header(decision, |name, value| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    });
}

async fn read_body(rule: BodyRule, head: &Parts, incoming: Incoming, conn: &Rc<ConnState>) -> Result<Bytes, Failure> {
    let bytes_max = match rule {
        BodyRule::None => return Ok(Bytes::new()),
        BodyRule::Form(bytes_max) => {
            refuse_unread(conn, head, expect_media_type(&head.headers, "application/x-www-form-urlencoded"))?;
            bytes_max
        }
        BodyRule::Json(bytes_max) => {
            refuse_unread(conn, head, expect_media_type(&head.headers, "application/json"))?;
            bytes_max
        }
        BodyRule::Raw(bytes_max) => bytes_max,
    };
    Body::new(incoming, &head.headers, Rc::clone(conn)).read(bytes_max).await
}

/// A body that is refused unread must not be parsed as the next request: the connection ends.
fn refuse_unread(conn: &ConnState, head: &Parts, checked: Result<(), Failure>) -> Result<(), Failure> {
    if checked.is_err() {
        conn.close_after_response_if_unread(&head.headers);
    }
    checked
}

/// Takes the caller's request id if it is harmless in a log, makes one otherwise (oauth.md §0).
fn request_id(core: &Core, head: &Parts) -> HeaderValue {
    head.headers
        .get(&X_REQUEST_ID)
        .filter(|value| is_request_id(value.as_bytes()))
        .cloned()
        .unwrap_or_else(|| core.next_request_id())
}

/// Whether a request id from outside may be echoed and logged.
pub(crate) fn is_request_id(bytes: &[u8]) -> bool {
    (1..=128).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

/// Cross-origin rules. Public documents and userinfo are open to any origin, without credentials; routes that read
/// the session cookie only to configured origins, with credentials, never `*` (attack 115).
fn cors(route: &Route, core: &Core, head: &Parts) -> Option<HeaderValue> {
    let origin = head.headers.get(http::header::ORIGIN)?;
    if is_open(route.name) {
        return Some(HeaderValue::from_static("*"));
    }
    core.shared.is_trusted_origin(origin.to_str().ok()?).then(|| origin.clone())
}

fn is_open(route_name: &str) -> bool {
    matches!(route_name, "openid_discovery" | "oauth_discovery" | "jwks" | "userinfo" | "userinfo_form")
}

fn open_cors(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    if origin != "*" {
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(http::header::VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

fn preflight(allow: &'static str, core: &Core, head: &Parts) -> Answer {
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(allow));
    let wanted = head
        .headers
        .get(http::header::ACCESS_CONTROL_REQUEST_METHOD)
        .and_then(|value| Method::from_bytes(value.as_bytes()).ok());
    let Some(Found::Row(index)) = wanted.map(|method| routes::find(&method, head.uri.path())) else { return answer };
    if let Some(origin) = cors(&ROUTES[index], core, head) {
        open_cors(&mut answer, origin);
        let headers = answer.headers_mut();
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(allow));
        headers.insert(
            http::header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("X-Auth-Token, Authorization, Content-Type"),
        );
        headers.insert(http::header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids() {
        let check = |id: &str, expected| assert_eq!(is_request_id(id.as_bytes()), expected, "{id:?}");
        check("abc-1.2:3_4", true);
        check(&"a".repeat(128), true);
        check(&"a".repeat(129), false);
        check("", false);
        check("a b", false);
        check("a\nb", false);
        check("ünï", false);
    }
}
