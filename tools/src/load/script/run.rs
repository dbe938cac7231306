//! A script's journeys: fill in the next step, send it, extract, compare, go on.

use std::borrow::Cow;
use std::sync::Arc;

use base64_turbo::URL_SAFE_NO_PAD;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::template::{Template, Values};
use super::{Body, From, Script, Step};
use crate::limits::COOKIES_MAX;
use crate::load::journey::{Answer, Journey, Kind, Moment, Next, Request, Scenario, form, query_value};
use crate::load::pace::Share;

/// One worker's runs of the script.
pub(crate) struct Runs {
    script: Arc<Script>,
    share: Share,
    counter: u64,
    random: ChaCha8Rng,
}

impl Runs {
    pub(crate) fn new(script: Arc<Script>, share: Share) -> Runs {
        let mut random = ChaCha8Rng::seed_from_u64(script.seed);
        random.set_stream(share.worker as u64);
        Runs { script, share, counter: share.worker as u64, random }
    }
}

impl Scenario for Runs {
    fn begin(&mut self, _: Moment) -> Option<Box<dyn Journey>> {
        let mut values = Values::new();
        let mut set = |name: &str, value: String| values.insert(name.to_owned(), value);
        let mut bytes = [0; 48];
        self.random.fill_bytes(&mut bytes);
        let (random, verifier) = bytes.split_at(16);
        let verifier = URL_SAFE_NO_PAD.encode(verifier);
        // No number is counted by two workers.
        set("counter", self.counter.to_string());
        set("worker", self.share.worker.to_string());
        set("seed", self.script.seed.to_string());
        set("random", hex::encode(random));
        set("pkce_challenge", URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
        set("pkce_verifier", verifier);
        for (name, template) in &self.script.variables {
            let value = template.fill(&values);
            values.insert(name.clone(), value);
        }
        self.counter += self.share.workers as u64;
        Some(Box::new(Walk { script: Arc::clone(&self.script), at: 0, values, cookies: Vec::new() }))
    }
}

struct Walk {
    script: Arc<Script>,
    /// The step under way.
    at: usize,
    values: Values,
    cookies: Vec<(String, String)>,
}

impl Journey for Walk {
    fn start(&mut self, _: Moment) -> Next {
        match self.request() {
            Ok(request) => Next::Send(request),
            Err(kind) => Next::Failed(kind),
        }
    }

    fn answer(&mut self, answer: &Answer<'_>, at: Moment) -> Next {
        let script = Arc::clone(&self.script);
        let step = &script.steps[self.at];
        self.keep_cookies(answer);
        if let Err(kind) = self.judge(step, answer) {
            return Next::Failed(kind);
        }
        self.at += 1;
        if self.at == script.steps.len() { Next::Done } else { self.start(at) }
    }
}

fn failed(step: &Step, what: &str) -> Kind {
    Cow::Owned(format!("{}: {what}", step.name))
}

impl Walk {
    fn request(&self) -> Result<Arc<Request>, Kind> {
        let step = &self.script.steps[self.at];
        let fill = |template: &Template| template.fill(&self.values);
        let url = fill(&step.url);
        let mut target = match url.strip_prefix(&self.script.origin) {
            Some("") => "/".to_owned(),
            Some(path) => path.to_owned(),
            None => url,
        };
        if !target.starts_with('/') {
            return Err(failed(step, "url leads to another server than --target"));
        }
        // A fragment is the browser's own.
        target.truncate(target.find('#').unwrap_or(target.len()));
        let pairs = |templates: &[(Template, Template)]| {
            let pairs: Vec<_> = templates.iter().map(|(name, value)| (fill(name), fill(value))).collect();
            form(&pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
        };
        if !step.query.is_empty() {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&pairs(&step.query));
        }
        let mut request = Request::new(self.at, &step.method, &target);
        for (name, value) in &step.headers {
            request = request.header(name, &fill(value));
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", &cookies.join("; "));
        }
        let has_type = step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let (media_type, body) = match &step.body {
            Body::None => ("", String::new()),
            Body::Form(form) => ("application/x-www-form-urlencoded", pairs(form)),
            Body::Json(json) => ("application/json", json.fill(&self.values).to_string()),
            Body::Text(text) => ("text/plain; charset=utf-8", fill(text)),
        };
        request = if has_type || media_type.is_empty() {
            Request { body: body.into_bytes(), ..request }
        } else {
            request.body(media_type, body)
        };
        // Values come from a server; one with a line end would begin another header.
        let is_clean = |text: &str| !text.bytes().any(|byte| byte < b' ' || byte == 0x7F);
        let is_target = request.target.bytes().all(|byte| (b'!'..0x7F).contains(&byte));
        if !is_target || !request.headers.iter().all(|(_, value)| is_clean(value)) {
            return Err(failed(step, "a value has characters that cannot be sent"));
        }
        Ok(request.to(&self.script.authority))
    }

    fn judge(&mut self, step: &Step, answer: &Answer<'_>) -> Result<(), Kind> {
        let is_expected = match step.statuses.as_slice() {
            [] => answer.status < 400,
            statuses => statuses.contains(&answer.status),
        };
        if !is_expected {
            return Err(failed(step, &answer.unexpected_status()));
        }
        let wants_json =
            !step.expected.is_empty() || step.extract.iter().any(|(_, from)| matches!(from, From::Json(_)));
        let json: Value = if wants_json {
            serde_json::from_slice(answer.body).map_err(|_| failed(step, "the answer is not JSON"))?
        } else {
            Value::Null
        };
        for (pointer, expected) in &step.expected {
            if json.pointer(pointer) != Some(&expected.fill(&self.values)) {
                return Err(failed(step, &format!("{pointer} is not what was expected")));
            }
        }
        for (name, from) in &step.extract {
            let value = match from {
                From::Header(header) => answer.header(&header.to_ascii_lowercase()).map(str::to_owned),
                From::Json(pointer) => json.pointer(pointer).filter(|value| !value.is_null()).map(|value| {
                    // Texts as they are, everything else as JSON writes it.
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                }),
                From::Redirect(parameter) => answer.header("location").and_then(|location| {
                    query_value(location, parameter)
                        .or_else(|| query_value(&format!("?{}", location.split_once('#')?.1), parameter))
                }),
            };
            let value = value.ok_or_else(|| failed(step, &format!("no {name} in the answer")))?;
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Keeps what the server sets, by name; an empty value or a past life ends a cookie. Paths and domains are not told
    /// apart: a journey speaks to one server.
    fn keep_cookies(&mut self, answer: &Answer<'_>) {
        for line in answer.headers("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let is_over = value.is_empty() || parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
            self.cookies.retain(|(known, _)| known != name);
            if !is_over && self.cookies.len() < COOKIES_MAX {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}
