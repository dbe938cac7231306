//! The questions `record` asks a server, each as prepared requests and the load they are sent with.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assay_tools::bitcoin_sign::{self, PrivateKey, Scheme};
use assay_tools::host::cpu_seconds;
use serde::Serialize;
use serde_json::{Value, json};

use crate::figures::Figures;
use crate::generator::{Extent, Load, fetch, run};
use crate::request::post;
use crate::server::{Credentials, Server};

/// Tokens that are introspected again and again, and tokens in one batch.
pub const TOKENS: usize = 1_000;
/// Connections while preparing, and for everything but batches.
pub const CONNECTIONS: usize = 64;
/// A batch is a thousand times one request; fewer are in flight.
const BATCH_CONNECTIONS: usize = 4;
/// Users of the sign-in questions; they sign in once per round.
pub const USERS: usize = 2_000;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const ACTIVE: &str = r#""active":true"#;

/// One question. The order is the order of a round.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Question {
    /// The same requests as `Seen`, answered by a handler that does nothing.
    Noop,
    /// Introspection of tokens the server has verified before.
    Seen,
    /// Introspection of tokens it has never been asked about.
    Unseen,
    /// A thousand seen tokens in one request.
    Batch,
    /// Sign-in with BRC-77, durable before the answer.
    SignInBrc77,
    /// Sign-in with Bitcoin Signed Message, durable before the answer.
    SignInBsm,
}

impl Question {
    /// Every question, in the order of a round.
    pub const ALL: [Question; 6] =
        [Question::Noop, Question::Seen, Question::Unseen, Question::Batch, Question::SignInBrc77, Question::SignInBsm];

    /// How the record names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Question::Noop => "no-op handler",
            Question::Seen => "introspect, seen",
            Question::Unseen => "introspect, never seen",
            Question::Batch => "introspect/batch, seen",
            Question::SignInBrc77 => "sign-in brc77, durable",
            Question::SignInBsm => "sign-in bsm, durable",
        }
    }

    /// Answers to the question in one request.
    #[must_use]
    pub fn items(self) -> usize {
        if self == Question::Batch { TOKENS } else { 1 }
    }
}

/// How long a round takes.
#[derive(Clone, Copy, Debug)]
pub struct Extents {
    /// Before counting.
    pub warm_up: Duration,
    /// While counting.
    pub duration: Duration,
    /// Tokens that are asked about once and never again, per round.
    pub unseen: usize,
}

/// One answer to a question.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What the generator saw.
    #[serde(flatten)]
    pub figures: Figures,
    /// Processor time of the server as a share of one core. Well below 1 with the generator near 1: the figure is the
    /// generator's, not the server's.
    pub server_busy: f64,
    /// The same of the generator.
    pub generator_busy: f64,
}

/// A runtime's two servers, and what they are asked with.
pub struct Bench {
    /// `epoll` or `io_uring`.
    pub runtime: String,
    server: Server,
    noop: Server,
    client: Credentials,
    tokens: Vec<String>,
    users: Vec<PrivateKey>,
}

impl Bench {
    /// Takes over two idle servers: registers a client and fetches the tokens.
    ///
    /// # Errors
    /// If the server refuses either.
    pub fn prepare(runtime: &str, server: Server, noop: Server) -> io::Result<Bench> {
        let client = server.add_client(&[
            "--name",
            "bench",
            "--grant",
            "client_credentials",
            "--scope",
            "read",
            "--auth",
            "client_secret_basic",
            "--introspect",
        ])?;
        let users = (0..USERS).map(|_| PrivateKey::generate()).collect::<Result<Vec<_>, _>>();
        let users = users.map_err(io::Error::other)?;
        let mut bench = Bench { runtime: runtime.to_owned(), server, noop, client, tokens: Vec::new(), users };
        bench.tokens = bench.fetch_tokens(TOKENS)?;
        // The first sign-in creates the user; the rounds ask about users who come back.
        let first = fetch(bench.server.address, CONNECTIONS, &bench.sign_ins(Scheme::Bsm)?)?;
        match first.iter().find(|(status, _)| *status != 200) {
            None => Ok(bench),
            Some((status, _)) => Err(io::Error::other(format!("a first sign-in was answered with {status}"))),
        }
    }

    /// Asks one question once.
    ///
    /// # Errors
    /// If the server cannot be asked, or any answer is not the expected one.
    pub fn ask(&self, question: Question, extents: Extents) -> io::Result<Measured> {
        let (warm_up, duration) = (extents.warm_up, extents.duration);
        let rotate = Extent::Rotate { warm_up, duration };
        let server = if question == Question::Noop { &self.noop } else { &self.server };
        let address = server.address;
        let active = Some(ACTIVE.to_owned());
        let (requests, connections, extent, expect) = match question {
            Question::Noop => (self.introspections(&self.tokens), CONNECTIONS, rotate, None),
            Question::Seen => (self.introspections(&self.tokens), CONNECTIONS, rotate, active),
            Question::Unseen => {
                (self.introspections(&self.fetch_tokens(extents.unseen)?), CONNECTIONS, Extent::Once, active)
            }
            Question::Batch => (vec![self.batch()], BATCH_CONNECTIONS, rotate, active),
            Question::SignInBrc77 => (self.sign_ins(Scheme::Brc77)?, CONNECTIONS, Extent::Once, None),
            Question::SignInBsm => (self.sign_ins(Scheme::Bsm)?, CONNECTIONS, Extent::Once, None),
        };
        if question == Question::Batch {
            self.check_batch(&requests)?;
        }
        let load = Load { address, connections, extent, expect };
        let busy = || Some((cpu_seconds(server.pid())?, cpu_seconds(std::process::id())?, Instant::now()));
        let before = busy();
        let figures = run(&load, &requests)?;
        let (Some(before), Some(after)) = (before, busy()) else {
            return Err(io::Error::other(format!("the server ended during {}", question.name())));
        };
        if !figures.all_were(200) {
            return Err(io::Error::other(format!("{} on {}: {figures}", question.name(), self.runtime)));
        }
        let wall = after.2.duration_since(before.2).as_secs_f64();
        Ok(Measured { figures, server_busy: (after.0 - before.0) / wall, generator_busy: (after.1 - before.1) / wall })
    }

    fn fetch_tokens(&self, count: usize) -> io::Result<Vec<String>> {
        let address = self.server.address;
        let headers = [FORM, ("authorization", &self.basic())];
        let request = post(address, "/token", &headers, "grant_type=client_credentials&scope=read");
        let answers = fetch(address, CONNECTIONS, &vec![request; count])?;
        answers
            .iter()
            .map(|(status, body)| {
                let answer: Value = serde_json::from_slice(body)?;
                let token = answer["access_token"].as_str().filter(|_| *status == 200);
                token.map(str::to_owned).ok_or_else(|| io::Error::other(format!("/token answered {status}")))
            })
            .collect()
    }

    fn introspections(&self, tokens: &[String]) -> Vec<Vec<u8>> {
        let basic = self.basic();
        let request = |token: &String| {
            post(self.server.address, "/introspect", &[FORM, ("authorization", &basic)], &format!("token={token}"))
        };
        tokens.iter().map(request).collect()
    }

    fn batch(&self) -> Vec<u8> {
        let items: Vec<Value> = self.tokens.iter().map(|token| json!({ "token": token })).collect();
        let headers = [JSON, ("authorization", &self.basic())];
        post(self.server.address, "/introspect/batch", &headers, &json!({ "tokens": items }).to_string())
    }

    /// The generator looks for one `"active":true` per body; here each of the thousand is looked at, once.
    fn check_batch(&self, requests: &[Vec<u8>]) -> io::Result<()> {
        for (status, body) in fetch(self.server.address, 1, requests)? {
            let answer: Value = serde_json::from_slice(&body)?;
            let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
            let active = results.iter().filter(|result| result["active"] == json!(true)).count();
            if status != 200 || active != TOKENS {
                return Err(io::Error::other(format!("a batch answered {status}, {active} of {TOKENS} active")));
            }
        }
        Ok(())
    }

    /// Signed now, because the server takes a timestamp for five minutes; one token per user, each another timestamp.
    fn sign_ins(&self, scheme: Scheme) -> io::Result<Vec<Vec<u8>>> {
        const PATH: &str = "/sigma/authorize";
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let now_ms = u64::try_from(now.as_millis()).map_err(io::Error::other)?;
        (0..)
            .zip(&self.users)
            .map(|(index, user)| {
                let timestamp = bitcoin_sign::timestamp(now_ms - index);
                let token = bitcoin_sign::token(user, scheme, PATH, &timestamp, b"").map_err(io::Error::other)?;
                Ok(post(self.server.address, PATH, &[("x-auth-token", &token)], ""))
            })
            .collect()
    }

    fn basic(&self) -> String {
        let Credentials { client_id, client_secret } = &self.client;
        format!("Basic {}", base64_turbo::STANDARD.encode(format!("{client_id}:{client_secret}")))
    }
}
