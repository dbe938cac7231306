//! Sign-in with a Bitcoin key, by a timestamp or by a server's challenge, until there is an access token.
//!
//! A timestamped sign-in is a signature over nothing of the server's, so it is made beforehand: before the run as many as
//! it will need, and in a longer run by a thread that keeps the stock up. A challenge can only be signed when it is there.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memchr::memmem;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::bitcoin_sign::{self, PrivateKey, Scheme};
use crate::clock;
use crate::load::journey::{Answer, Journey, Moment, Next, Request, Scenario};
use crate::load::pace::Share;

/// Servers take timestamps of the last five minutes; what has lain longer than this is signed anew.
const FRESH_MS: u64 = 240_000;
/// Timestamps of one user are a millisecond apart and begin so long ago, so that no two sign-ins are the same.
const BACK_MS: u64 = 20_000;
/// Sign-ins signed between two looks at the stock.
const CHUNK: usize = 256;

/// Everything about signing in.
pub(crate) struct LoginPlan {
    pub host: String,
    pub path: String,
    pub challenge_path: Option<String>,
    pub users: Vec<PrivateKey>,
    pub scheme: Scheme,
    /// When each user last signed.
    signed: Mutex<Signed>,
    stock: Mutex<VecDeque<(u64, Arc<Request>)>>,
    /// Below this the thread signs more.
    low: usize,
    /// Sign-ins that had to be signed within the window, at the cost of the measurement.
    pub signed_late: AtomicU64,
    is_over: AtomicBool,
}

struct Signed {
    next_user: usize,
    last_ms: Vec<u64>,
    random: ChaCha8Rng,
}

/// A signature about to be made.
struct Task {
    user: usize,
    at_ms: u64,
    key_id: [u8; 32],
}

impl LoginPlan {
    pub(crate) fn new(
        host: &str,
        path: &str,
        challenge_path: Option<&str>,
        users: Vec<PrivateKey>,
        scheme: Scheme,
        seed: u64,
    ) -> LoginPlan {
        let random = ChaCha8Rng::seed_from_u64(seed ^ clock::unix_ms());
        let signed = Signed { next_user: 0, last_ms: vec![0; users.len()], random };
        LoginPlan {
            host: host.to_owned(),
            path: path.to_owned(),
            challenge_path: challenge_path.map(str::to_owned),
            users,
            scheme,
            signed: Mutex::new(signed),
            stock: Mutex::default(),
            low: 0,
            signed_late: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Signs so many on all cores, telling how far it has come; from then on the thread keeps half of that in stock.
    pub(crate) fn sign_ahead(&mut self, count: usize, now_ms: impl Fn() -> u64, mut progress: impl FnMut(usize)) {
        self.low = count / 2;
        let mut made = 0;
        while made < count {
            let chunk = (count - made).min(16 * CHUNK);
            self.restock(chunk, now_ms(), true);
            made += chunk;
            progress(made);
        }
    }

    /// Keeps the stock up until the run is over.
    pub(crate) fn keep_stock(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            if self.stock.lock().unwrap_or_else(PoisonError::into_inner).len() < self.low {
                self.restock(CHUNK, clock::unix_ms(), false);
            } else {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }

    /// No more will be needed.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn restock(&self, count: usize, now_ms: u64, on_all_cores: bool) {
        let tasks = self.tasks(count, now_ms);
        let sign = |task: &Task| (task.at_ms, self.request(task));
        let made: Vec<_> =
            if on_all_cores { tasks.par_iter().map(sign).collect() } else { tasks.iter().map(sign).collect() };
        self.stock.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
    }

    fn tasks(&self, count: usize, now_ms: u64) -> Vec<Task> {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        (0..count)
            .map(|_| {
                let user = signed.next_user;
                signed.next_user = (user + 1) % self.users.len().max(1);
                let at_ms = (signed.last_ms[user] + 1).max(now_ms.saturating_sub(BACK_MS));
                signed.last_ms[user] = at_ms;
                let mut key_id = [0; 32];
                signed.random.fill_bytes(&mut key_id);
                Task { user, at_ms, key_id }
            })
            .collect()
    }

    fn request(&self, task: &Task) -> Arc<Request> {
        let timestamp = bitcoin_sign::timestamp(task.at_ms);
        let key = &self.users[task.user];
        let token = bitcoin_sign::token_with_key_id(key, self.scheme, &self.path, &timestamp, b"", &task.key_id);
        Request::new(0, "POST", &self.path).header("x-auth-token", &token).to(&self.host)
    }

    /// A sign-in whose timestamp the server still takes.
    fn take(&self, now_ms: u64) -> Arc<Request> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at_ms, request)) = stock.pop_front() {
            if now_ms.saturating_sub(at_ms) < FRESH_MS {
                return request;
            }
        }
        drop(stock);
        self.signed_late.fetch_add(1, Ordering::Relaxed);
        let task = self.tasks(1, now_ms).remove(0);
        self.request(&task)
    }

    /// A fresh sign-in of every user, at another path perhaps: for sessions and first tokens.
    pub(crate) fn of_every_user(&self, now_ms: u64) -> Vec<Arc<Request>> {
        let tasks = self.tasks(self.users.len(), now_ms);
        tasks.par_iter().map(|task| self.request(task)).collect()
    }
}

/// One worker's sign-ins.
pub(crate) struct Login {
    plan: Arc<LoginPlan>,
    next_user: usize,
    random: ChaCha8Rng,
}

impl Login {
    pub(crate) fn new(plan: Arc<LoginPlan>, share: Share) -> Login {
        let next_user = plan.users.len() * share.worker / share.workers;
        let mut random = ChaCha8Rng::seed_from_u64(share.seed ^ 0x6c6f_6769);
        random.set_stream(share.worker as u64);
        Login { plan, next_user, random }
    }
}

impl Scenario for Login {
    fn begin(&mut self, at: Moment) -> Option<Box<dyn Journey>> {
        if self.plan.challenge_path.is_none() {
            return Some(Box::new(Timestamped { request: self.plan.take(at.unix_ms) }));
        }
        let user = self.next_user;
        self.next_user = (user + 1) % self.plan.users.len();
        let mut key_id = [0; 32];
        self.random.fill_bytes(&mut key_id);
        Some(Box::new(Challenged { plan: Arc::clone(&self.plan), user, key_id, is_signed: false }))
    }
}

struct Timestamped {
    request: Arc<Request>,
}

impl Journey for Timestamped {
    fn start(&mut self, _: Moment) -> Next {
        Next::Send(Arc::clone(&self.request))
    }

    fn answer(&mut self, answer: &Answer<'_>, _: Moment) -> Next {
        tokens(answer)
    }
}

fn tokens(answer: &Answer<'_>) -> Next {
    match answer.status {
        200 if memmem::find(answer.body, br#""access_token""#).is_some() => Next::Done,
        200 => Next::Failed(Cow::Borrowed("sign-in answer without access_token")),
        _ => Next::Failed(answer.unexpected_status()),
    }
}

struct Challenged {
    plan: Arc<LoginPlan>,
    user: usize,
    key_id: [u8; 32],
    is_signed: bool,
}

impl Journey for Challenged {
    fn start(&mut self, _: Moment) -> Next {
        let path = self.plan.challenge_path.as_deref().unwrap_or_default();
        Next::Send(Request::new(0, "POST", path).to(&self.plan.host))
    }

    fn answer(&mut self, answer: &Answer<'_>, at: Moment) -> Next {
        if self.is_signed {
            return tokens(answer);
        }
        if answer.status != 200 {
            return Next::Failed(answer.unexpected_status());
        }
        let challenge: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let Some(nonce) = challenge.get("nonce").and_then(Value::as_str) else {
            return Next::Failed(Cow::Borrowed("challenge without a nonce"));
        };
        self.is_signed = true;
        let body = json!({ "nonce": nonce }).to_string();
        let plan = &self.plan;
        let timestamp = bitcoin_sign::timestamp(at.unix_ms);
        let key = &plan.users[self.user];
        let token =
            bitcoin_sign::token_with_key_id(key, plan.scheme, &plan.path, &timestamp, body.as_bytes(), &self.key_id);
        let request = Request::new(1, "POST", &plan.path).header("x-auth-token", &token);
        Next::Send(request.body("application/json", body).to(&plan.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::journey::Head;
    use std::collections::BTreeSet;

    fn plan(challenge: Option<&str>, scheme: Scheme) -> LoginPlan {
        let users = (1..=3).map(|byte| PrivateKey::from_bytes(&[byte; 32]).unwrap()).collect();
        LoginPlan::new("h", "/sigma/authorize", challenge, users, scheme, 1)
    }

    fn token(request: &Request) -> String {
        request.headers.iter().find(|(name, _)| name == "x-auth-token").unwrap().1.clone()
    }

    #[test]
    fn no_two_sign_ins_are_the_same_and_old_ones_are_not_used() {
        let mut plan = plan(None, Scheme::Bsm);
        plan.sign_ahead(30, || 1_000_000, |_| ());
        let plan = Arc::new(plan);
        let mut source = Login::new(Arc::clone(&plan), Share { worker: 0, workers: 1, seed: 1 });
        let mut seen = BTreeSet::new();
        for index in 0..40_u64 {
            // The last ones find the stock too old, and are signed on the spot.
            let now = if index < 20 { 1_000_000 } else { 1_000_000 + FRESH_MS };
            let at = Moment { unix_ms: now };
            let Next::Send(request) = source.begin(at).unwrap().start(at) else { panic!() };
            assert!(seen.insert(token(&request)));
        }
        assert_eq!(plan.signed_late.load(Ordering::Relaxed), 20);
    }

    #[test]
    fn a_challenge_is_signed_with_its_body() {
        let plan = Arc::new(plan(Some("/sigma/challenge"), Scheme::Brc77));
        let at = Moment { unix_ms: 1_768_478_400_000 };
        let mut journey = Login::new(plan, Share { worker: 0, workers: 1, seed: 1 }).begin(at).unwrap();
        let Next::Send(first) = journey.start(at) else { panic!() };
        assert_eq!((first.step, first.target.as_str()), (0, "/sigma/challenge"));
        let answer = |status, body: &'static str| Answer { status, head: Head::Raw(b""), body: body.as_bytes() };
        let Next::Send(second) = journey.answer(&answer(200, r#"{"nonce":"as_ch_x"}"#), at) else { panic!() };
        assert_eq!(second.body, br#"{"nonce":"as_ch_x"}"#);
        assert!(token(&second).contains("|brc77|2026-01-15T12:00:00.000Z|/sigma/authorize|"));
        assert!(matches!(journey.answer(&answer(401, ""), at), Next::Failed(kind) if kind == "status 401"));
    }
}
