//! The authorization code flow of a signed-in browser: authorize with PKCE, then redeem the code.

use std::borrow::Cow;
use std::sync::Arc;

use base64_turbo::URL_SAFE_NO_PAD;
use memchr::memmem;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::load::journey::{Answer, Journey, Moment, Next, Request, Scenario, form, query_value};
use crate::load::pace::Share;

/// What the flow needs.
pub(crate) struct CodePlan {
    pub host: String,
    pub authorize: String,
    pub token: String,
    pub client_id: String,
    /// Absent for a public client.
    pub authorization: Option<String>,
    pub redirect_uri: String,
    pub scope: String,
    /// One session per user, as `Cookie` sends it.
    pub cookies: Vec<String>,
}

/// One worker's flows.
pub(crate) struct Code {
    plan: Arc<CodePlan>,
    random: ChaCha8Rng,
    next: usize,
}

impl Code {
    pub(crate) fn new(plan: Arc<CodePlan>, share: Share) -> Code {
        let mut random = ChaCha8Rng::seed_from_u64(share.seed ^ 0x636f_6465);
        random.set_stream(share.worker as u64);
        let next = plan.cookies.len() * share.worker / share.workers;
        Code { plan, random, next }
    }
}

impl Scenario for Code {
    fn begin(&mut self, _: Moment) -> Option<Box<dyn Journey>> {
        let cookie = self.next;
        self.next = (self.next + 1) % self.plan.cookies.len().max(1);
        let mut bytes = [0; 48];
        self.random.fill_bytes(&mut bytes);
        let (verifier, state) = bytes.split_at(32);
        Some(Box::new(Flow {
            plan: Arc::clone(&self.plan),
            cookie,
            verifier: URL_SAFE_NO_PAD.encode(verifier),
            state: URL_SAFE_NO_PAD.encode(state),
            is_redeeming: false,
        }))
    }
}

struct Flow {
    plan: Arc<CodePlan>,
    cookie: usize,
    verifier: String,
    state: String,
    is_redeeming: bool,
}

impl Journey for Flow {
    fn start(&mut self, _: Moment) -> Next {
        let plan = &self.plan;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()));
        let query = form(&[
            ("client_id", &plan.client_id),
            ("redirect_uri", &plan.redirect_uri),
            ("response_type", "code"),
            ("state", &self.state),
            ("scope", &plan.scope),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let request = Request::new(0, "GET", &format!("{}?{query}", plan.authorize));
        Next::Send(request.header("cookie", &plan.cookies[self.cookie]).to(&plan.host))
    }

    fn answer(&mut self, answer: &Answer<'_>, _: Moment) -> Next {
        if self.is_redeeming {
            let is_token = answer.status == 200 && memmem::find(answer.body, br#""access_token""#).is_some();
            return match answer.status {
                200 if is_token => Next::Done,
                200 => Next::Failed(Cow::Borrowed("token answer without access_token")),
                _ => Next::Failed(answer.unexpected_status()),
            };
        }
        if !matches!(answer.status, 302 | 303) {
            return Next::Failed(answer.unexpected_status());
        }
        let location = answer.header("location").unwrap_or_default();
        let Some(code) = query_value(location, "code") else {
            return Next::Failed(Cow::Borrowed("redirect without a code"));
        };
        if query_value(location, "state").as_deref() != Some(&self.state) {
            return Next::Failed(Cow::Borrowed("redirect with another state"));
        }
        self.is_redeeming = true;
        let plan = &self.plan;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", &plan.redirect_uri),
            ("code_verifier", &self.verifier),
        ];
        let mut request = Request::new(1, "POST", &plan.token);
        match &plan.authorization {
            Some(authorization) => request = request.header("authorization", authorization),
            None => pairs.push(("client_id", &plan.client_id)),
        }
        Next::Send(request.form(&pairs).to(&plan.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::journey::Head;

    fn answer<'a>(status: u16, head: &'a str, body: &'a str) -> Answer<'a> {
        Answer { status, head: Head::Raw(head.as_bytes()), body: body.as_bytes() }
    }

    #[test]
    fn the_flow_goes_from_session_to_token() {
        let plan = CodePlan {
            host: "h".to_owned(),
            authorize: "/authorize".to_owned(),
            token: "/token".to_owned(),
            client_id: "app".to_owned(),
            authorization: None,
            redirect_uri: "https://app/cb".to_owned(),
            scope: "openid".to_owned(),
            cookies: vec!["session=1".to_owned()],
        };
        let mut source = Code::new(Arc::new(plan), Share { worker: 0, workers: 1, seed: 1 });
        let at = Moment::default();
        let mut journey = source.begin(at).unwrap();
        let Next::Send(first) = journey.start(at) else { panic!() };
        assert!(first.wire.starts_with(b"GET /authorize?client_id=app&"));
        assert!(first.headers.contains(&("cookie".to_owned(), "session=1".to_owned())));
        let state = query_value(&first.target, "state").unwrap();
        let challenge = query_value(&first.target, "code_challenge").unwrap();
        let head = format!("HTTP/1.1 303 x\r\nlocation: https://app/cb?code=c%2B1&state={state}&iss=x\r\n\r\n");
        let Next::Send(second) = journey.answer(&answer(303, &head, ""), at) else { panic!() };
        let body = String::from_utf8(second.body.clone()).unwrap();
        assert!(body.contains("code=c%2B1") && body.contains("client_id=app"), "{body}");
        let verifier = query_value(&format!("?{body}"), "code_verifier").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())), challenge);
        assert!(matches!(journey.answer(&answer(200, "", r#"{"access_token":"x"}"#), at), Next::Done));
        for (status, location, kind) in [
            (200, "", "status 200"),
            (303, "https://app/cb?error=access_denied", "redirect without a code"),
            (303, "https://app/cb?code=1&state=other", "redirect with another state"),
        ] {
            let mut journey = source.begin(at).unwrap();
            let _sent = journey.start(at);
            let head = format!("HTTP/1.1 {status} x\r\nlocation: {location}\r\n\r\n");
            assert!(matches!(journey.answer(&answer(status, &head, ""), at), Next::Failed(got) if got == kind));
        }
    }
}
