//! SIGKILL in the middle of sign-ins, code redemptions and revocations, again and again on the same data: whatever was
//! acknowledged is still there, and nothing that works once works twice.
//!
//! `ASSAY_TEST_CRASH_ROUNDS` says how many kills on each runtime; `ASSAY_TEST_CRASH_SEED` repeats the choices of a run
//! that failed (which clients do what, and after how many answers the server dies).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use assay_gateway::clock::Clock;
use assay_tests::actors::{App, Person, Pkce};
use assay_tests::forge;
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::{CALLBACK, access_token, authorize_query, cookie};
use assay_tests::wire::{Connection, Request, Response, query_value};
use assay_tools::bitcoin_sign::Scheme;

/// Kills in a normal run of the suite, on each runtime.
const ROUNDS: u64 = 5;
/// Clients at a time. More than one of each kind, so that commits share an fsync and die together.
const CLIENTS: [Client; 8] = [
    Client::SignIn,
    Client::SignIn,
    Client::SignIn,
    Client::Redeem,
    Client::Redeem,
    Client::Redeem,
    Client::Revoke,
    Client::Revoke,
];
/// Answers after which the server dies: fewest, and how many more at most.
const ANSWERS: (u64, u64) = (20, 250);
/// Rounds over which everything is tried again each time. Older access tokens and sessions are tried again every
/// [`FULL_ROUNDS`] and at the end; older signed tokens and codes are too old to work anyhow.
const MEMORY_ROUNDS: u64 = 3;
/// See [`MEMORY_ROUNDS`].
const FULL_ROUNDS: u64 = 25;
/// Tokens of one batch introspection.
const BATCH: usize = 1000;

#[derive(Clone, Copy, Debug)]
enum Client {
    SignIn,
    Redeem,
    Revoke,
}

/// splitmix64: small, seedable, and good enough to choose moments.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What a client knows of one write. `None` or `false`: it asked, and the server died before answering.
enum Fact {
    SignedIn {
        person: Person,
        signed: String,
        access: Option<String>,
    },
    Session {
        cookie: String,
        session_id: String,
    },
    Redeemed {
        code: String,
        pkce: Pkce,
        access: Option<String>,
    },
    /// A code in hand that nobody redeemed.
    Issued {
        code: String,
        pkce: Pkce,
    },
    Minted {
        access: String,
    },
    Revoked {
        access: String,
        acknowledged: bool,
    },
    Suspended {
        person: Person,
        user_id: String,
        acknowledged: bool,
    },
}

/// What clients need to reach the server; valid until it dies.
#[derive(Clone)]
struct Reach {
    public: SocketAddr,
    admin: SocketAddr,
    admin_token: String,
    service: App,
    web: App,
}

/// The server is gone: what clients end with.
struct Died;

struct Hands {
    reach: Reach,
    clock: Clock,
    last_ms: u64,
    random: Random,
    connection: Connection,
    facts: Sender<Fact>,
}

impl Hands {
    fn ask(&mut self, request: &Request) -> Result<Response, Died> {
        let response = self.connection.send(request).map_err(|_| Died)?;
        if response.closes() {
            self.connection = Connection::open(self.reach.public).map_err(|_| Died)?;
        }
        Ok(response)
    }

    /// The present, but never the same twice: a message signed again in the same millisecond is a replay.
    fn now_ms(&mut self) -> u64 {
        self.last_ms = self.clock.unix_ms().max(self.last_ms + 1);
        self.last_ms
    }

    fn know(&self, fact: Fact) {
        // Nobody listens only when the test failed already.
        let _nobody = self.facts.send(fact);
    }

    fn someone(&mut self) -> Person {
        let scheme = if self.random.below(2) == 0 { Scheme::Bsm } else { Scheme::Brc77 };
        Person::new().with_scheme(scheme)
    }

    fn sign_in(&mut self, person: &Person) -> Result<String, Died> {
        let signed = person.token("/sigma/authorize", self.now_ms(), b"");
        let answer = self.ask(&Request::post("/sigma/authorize").auth_token(&signed));
        let access = answer.as_ref().ok().map(|answer| access_token(&answer.clone().expect_status(200).json()));
        self.know(Fact::SignedIn { person: person.clone(), signed, access: access.clone() });
        access.ok_or(Died)
    }

    /// Signs people in, some of them again and again, and now and then has one suspended.
    fn sign_in_for_ever(&mut self) -> Result<(), Died> {
        let mut person = self.someone();
        loop {
            let access = self.sign_in(&person)?;
            match self.random.below(8) {
                0 => {
                    let user_id = forge::payload(&access)["sub"].as_str().expect("a user").to_owned();
                    let path = format!("/v1/tenants/default/users/{user_id}/suspend");
                    let request = Request::post(&path).bearer(&self.reach.admin_token);
                    let answer = Connection::open(self.reach.admin).and_then(|mut admin| admin.send(&request));
                    let acknowledged = answer.map(|answer| answer.expect_status(200)).is_ok();
                    self.know(Fact::Suspended { person: person.clone(), user_id, acknowledged });
                    if !acknowledged {
                        return Err(Died);
                    }
                    person = self.someone();
                }
                1..4 => person = self.someone(),
                _ => {}
            }
        }
    }

    /// Opens browser sessions, takes codes and redeems most of them.
    fn redeem_for_ever(&mut self) -> Result<(), Died> {
        loop {
            let person = self.someone();
            let path = "/api/auth/sign-in/sigma";
            let signed = person.token(path, self.now_ms(), b"");
            let cookie = cookie(&self.ask(&Request::post(path).auth_token(&signed))?.expect_status(200));
            let session = self.ask(&Request::get("/api/auth/get-session").cookie(&cookie))?.expect_status(200).json();
            let session_id = session["session"]["id"].as_str().expect("a session").to_owned();
            self.know(Fact::Session { cookie: cookie.clone(), session_id });
            for _ in 0..4 {
                let pkce = Pkce::new();
                let target = format!("/authorize?{}", authorize_query(&self.reach.web, &pkce, &[]));
                let answer = self.ask(&Request::get(&target).cookie(&cookie))?;
                let location = answer.header("location").unwrap_or_default();
                let code = query_value(location, "code").unwrap_or_else(|| panic!("no code: {}", answer.shown()));
                if self.random.below(4) == 0 {
                    self.know(Fact::Issued { code, pkce });
                    continue;
                }
                let answer = self.ask(&redemption(&self.reach.web, &code, &pkce));
                let access = answer.as_ref().ok().map(|answer| access_token(&answer.clone().expect_status(200).json()));
                let died = access.is_none();
                self.know(Fact::Redeemed { code, pkce, access });
                if died {
                    return Err(Died);
                }
            }
        }
    }

    /// Takes service tokens, which writes nothing, and revokes most of them, which does.
    fn revoke_for_ever(&mut self) -> Result<(), Died> {
        loop {
            let service = self.reach.service.clone();
            let request = service.authenticate(Request::post("/token"), &[("grant_type", "client_credentials")]);
            let access = access_token(&self.ask(&request)?.expect_status(200).json());
            self.know(Fact::Minted { access: access.clone() });
            if self.random.below(4) == 0 {
                continue;
            }
            let answer = self.ask(&service.authenticate(Request::post("/revoke"), &[("token", &access)]));
            let acknowledged = answer.map(|answer| answer.expect_status(200)).is_ok();
            self.know(Fact::Revoked { access, acknowledged });
            if !acknowledged {
                return Err(Died);
            }
        }
    }
}

fn redemption(web: &App, code: &str, pkce: &Pkce) -> Request {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", pkce.verifier.as_str()),
    ];
    web.authenticate(Request::post("/token"), &pairs)
}

/// Everything known over all rounds.
#[derive(Default)]
struct Ledger {
    round: u64,
    /// Whether old things are tried again in this round too.
    full: bool,
    /// Tokens that must be active, with their subject and round.
    alive: HashMap<String, (String, u64)>,
    /// Tokens that must not, with their round.
    dead: Vec<(String, u64)>,
    /// Cookies, the session that each is, and its round.
    sessions: Vec<(String, String, u64)>,
    /// Signed tokens and codes that were used, of the last rounds.
    used: Vec<Used>,
    generation: u64,
    acknowledged: u64,
    in_doubt: u64,
}

#[derive(Default)]
struct Used {
    round: u64,
    signed: Vec<String>,
    codes: Vec<(String, Pkce)>,
}

impl Ledger {
    fn mint(&mut self, access: &str) {
        let claims = forge::payload(access);
        self.generation = self.generation.max(claims["gen"].as_u64().expect("a generation"));
        self.alive.insert(access.to_owned(), (claims["sub"].as_str().expect("a subject").to_owned(), self.round));
    }

    fn die(&mut self, access: &str) {
        self.alive.remove(access);
        self.dead.push((access.to_owned(), self.round));
    }

    fn suspend(&mut self, user_id: &str) {
        let tokens: Vec<String> =
            self.alive.iter().filter(|(_, (sub, _))| sub == user_id).map(|(token, _)| token.clone()).collect();
        for token in tokens {
            self.die(&token);
        }
    }

    /// Takes in what the clients of one round know and compares it with what the restarted server does.
    fn settle(&mut self, server: &Server, apps: &Reach, reader: &App, facts: &[Fact]) {
        let mut used = Used { round: self.round, ..Used::default() };
        let mut from_codes = Vec::new();
        let mut people: HashMap<String, (Person, String)> = HashMap::new();
        let mut suspended: HashMap<String, Person> = HashMap::new();
        for fact in facts {
            let known = match fact {
                Fact::SignedIn { person, access: Some(access), .. } => {
                    self.mint(access);
                    let (sub, _) = self.alive[access].clone();
                    people.insert(person.pubkey(), (person.clone(), sub));
                    true
                }
                Fact::Session { cookie, session_id } => {
                    self.sessions.push((cookie.clone(), session_id.clone(), self.round));
                    true
                }
                Fact::Redeemed { access: Some(access), .. } | Fact::Minted { access } => {
                    self.mint(access);
                    true
                }
                Fact::Issued { .. } => true,
                Fact::Revoked { access, acknowledged: true } => {
                    self.die(access);
                    true
                }
                Fact::Suspended { person, user_id, acknowledged: true } => {
                    suspended.insert(person.pubkey(), person.clone());
                    self.suspend(user_id);
                    true
                }
                Fact::SignedIn { access: None, .. }
                | Fact::Redeemed { access: None, .. }
                | Fact::Revoked { acknowledged: false, .. }
                | Fact::Suspended { acknowledged: false, .. } => false,
            };
            self.acknowledged += u64::from(known);
            self.in_doubt += u64::from(!known);
        }
        // What is in doubt may have happened or not. Doing it again must succeed and settles it.
        for fact in facts {
            match fact {
                Fact::Revoked { access, acknowledged: false } => {
                    server.revoke(&apps.service, access);
                    self.die(access);
                }
                Fact::Suspended { person, user_id, acknowledged: false } => {
                    server.suspend(user_id);
                    suspended.insert(person.pubkey(), person.clone());
                    self.suspend(user_id);
                }
                _ => {}
            }
        }
        self.tokens_are_as_acknowledged(server, reader);
        for fact in facts {
            match fact {
                Fact::SignedIn { signed, access, .. } => {
                    if access.is_none() {
                        // It was used, or it still works, once.
                        let status = replay(server, signed);
                        assert!(matches!(status, 200 | 401 | 403), "a sign-in in doubt: {status}");
                    }
                    used.signed.push(signed.clone());
                }
                Fact::Redeemed { code, pkce, access } => {
                    from_codes.extend(access.clone());
                    if access.is_none() {
                        let answer = server.send(&redemption(&apps.web, code, pkce));
                        assert!(answer.status == 200 || answer.error() == "invalid_grant", "{}", answer.shown());
                        if answer.status == 200 {
                            from_codes.push(access_token(&answer.json()));
                        }
                    }
                    used.codes.push((code.clone(), pkce.clone()));
                }
                Fact::Issued { code, pkce } => {
                    let answer = server.send(&redemption(&apps.web, code, pkce)).expect_status(200).json();
                    from_codes.push(access_token(&answer));
                    used.codes.push((code.clone(), pkce.clone()));
                }
                _ => {}
            }
        }
        self.used.push(used);
        let round = self.round;
        self.used.retain(|used| used.round + MEMORY_ROUNDS > round);
        for used in &self.used {
            for signed in &used.signed {
                assert!(matches!(replay(server, signed), 401 | 403), "a signed token worked twice: {signed}");
            }
            for (code, pkce) in &used.codes {
                let answer = server.send(&redemption(&apps.web, code, pkce));
                assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_grant"), "a code worked twice");
            }
        }
        for (pubkey, (person, sub)) in &people {
            let path = "/sigma/authorize";
            let answer = server.send(&Request::post(path).auth_token(&person.token(path, server.now_ms(), b"")));
            if suspended.contains_key(pubkey) {
                assert_eq!(answer.status, 403, "a suspended user: {}", answer.shown());
            } else {
                let access = access_token(&answer.expect_status(200).json());
                assert_eq!(forge::payload(&access)["sub"].as_str(), Some(sub.as_str()), "the same user");
            }
        }
        for (cookie, session_id, _) in self.sessions.iter().filter(|(.., round)| self.tries(*round)) {
            assert_eq!(server.get_session(cookie)["session"]["id"].as_str(), Some(session_id.as_str()), "a session");
        }
        // Using a code again has revoked what its first use gave.
        for access in from_codes {
            assert!(!server.is_active(reader, &access), "reuse of a code revokes");
            self.die(&access);
        }
        let newest = forge::payload(&server.service_token(&apps.service))["gen"].as_u64().expect("a generation");
        assert!(newest >= self.generation, "the generation ran backwards: {newest} < {}", self.generation);
    }

    /// Whether something of this round is tried again in the present one.
    fn tries(&self, round: u64) -> bool {
        self.full || round + MEMORY_ROUNDS > self.round
    }

    fn tokens_are_as_acknowledged(&self, server: &Server, reader: &App) {
        let alive: Vec<&str> =
            self.alive.iter().filter(|(_, (_, round))| self.tries(*round)).map(|(token, _)| token.as_str()).collect();
        let dead: Vec<&str> =
            self.dead.iter().filter(|(_, round)| self.tries(*round)).map(|(token, _)| token.as_str()).collect();
        for (tokens, active) in [(alive, true), (dead, false)] {
            for tokens in tokens.chunks(BATCH) {
                for (token, answer) in tokens.iter().zip(server.batch(reader, tokens)) {
                    assert_eq!(answer["active"], active, "acknowledged otherwise: {:?}", forge::payload(token));
                }
            }
        }
    }
}

/// The status of a signed token sent again.
fn replay(server: &Server, signed: &str) -> u16 {
    let answer = server.send(&Request::post("/sigma/authorize").auth_token(signed));
    answer.status
}

/// Lets the clients work until the seeded moment, kills the server, and returns what the clients know.
fn work_and_kill(server: &mut Server, reach: &Reach, random: &mut Random) -> Vec<Fact> {
    let (sender, receiver) = channel();
    let clients: Vec<_> = CLIENTS
        .into_iter()
        .map(|client| {
            let connection = Connection::open(reach.public).expect("the server is ready");
            let (reach, random) = (reach.clone(), Random(random.next()));
            let mut hands =
                Hands { reach, clock: Clock::system(), last_ms: 0, random, connection, facts: sender.clone() };
            std::thread::spawn(move || match client {
                Client::SignIn => hands.sign_in_for_ever(),
                Client::Redeem => hands.redeem_for_ever(),
                Client::Revoke => hands.revoke_for_ever(),
            })
        })
        .collect();
    drop(sender);
    let answers = ANSWERS.0 + random.below(ANSWERS.1);
    let jitter = Duration::from_micros(random.below(2_000));
    let mut facts = first_facts(&receiver, answers, jitter);
    server.kill();
    for client in clients {
        assert!(client.join().is_ok(), "a client failed; what it says stands above");
    }
    facts.extend(receiver.iter());
    facts
}

fn first_facts(receiver: &Receiver<Fact>, answers: u64, jitter: Duration) -> Vec<Fact> {
    let mut facts = Vec::new();
    for _ in 0..answers {
        match receiver.recv() {
            Ok(fact) => facts.push(fact),
            Err(_) => panic!("all clients ended before the server was killed"),
        }
    }
    // Not at an answer but somewhere between two: the next one within the jitter is taken too.
    facts.extend(receiver.recv_timeout(jitter));
    facts
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

fn nothing_acknowledged_is_lost_and_nothing_works_twice(runtime: Runtime) {
    let rounds = number("ASSAY_TEST_CRASH_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("ASSAY_TEST_CRASH_SEED").unwrap_or_else(|| getrandom::u64().expect("the system has randomness"));
    eprintln!("crash ({}): seed {seed}, {rounds} rounds", runtime.word());
    let mut random = Random(seed);
    let clock = Clock::system();
    let started_ns = clock.monotonic_ns();
    let options = Options::new(runtime).cores(2).set("access_token_lifetime_s", 2_592_000).set("code_lifetime_s", 600);
    let mut server = options.start();
    let (service, web, reader) = (server.service(), server.web_app(), server.resource_server());
    let mut ledger = Ledger::default();
    for round in 1..=rounds {
        let reach = Reach {
            public: server.public,
            admin: server.admin,
            admin_token: server.admin_token.clone(),
            service: service.clone(),
            web: web.clone(),
        };
        let facts = work_and_kill(&mut server, &reach, &mut random);
        server.restart();
        if random.below(4) == 0 {
            // Again while the first recovery may still be at work.
            server.kill();
            server.restart();
        }
        (ledger.round, ledger.full) = (round, round % FULL_ROUNDS == 0 || round == rounds);
        ledger.settle(&server, &reach, &reader, &facts);
        let log = server.log();
        assert!(!log.contains("panicked"), "round {round}, seed {seed}:\n{log}");
    }
    let ms = (clock.monotonic_ns() - started_ns) / 1_000_000;
    eprintln!(
        "crash ({}): {rounds} rounds in {}.{:03} s; {} writes acknowledged, {} in doubt, {} tokens alive, {} dead, {} sessions",
        runtime.word(),
        ms / 1000,
        ms % 1000,
        ledger.acknowledged,
        ledger.in_doubt,
        ledger.alive.len(),
        ledger.dead.len(),
        ledger.sessions.len(),
    );
}

/// The checks above have teeth: when the newest log loses its second half, as no crash may do, they fail.
fn a_lost_write_would_be_noticed(runtime: Runtime) {
    let mut server = Options::new(runtime).cores(2).start();
    let (service, web, reader) = (server.service(), server.web_app(), server.resource_server());
    let (public, admin, admin_token) = (server.public, server.admin, server.admin_token.clone());
    let reach = Reach { public, admin, admin_token, service, web };
    // Enough answers that clients and applications are in the first half.
    let mut random = Random(1);
    let facts = work_and_kill(&mut server, &reach, &mut random);
    let files = std::fs::read_dir(server.data().join("db/rocks")).expect("a database");
    let logs = files
        .map(|file| file.expect("a database").path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"));
    let newest = logs.max().expect("a log");
    let file = std::fs::OpenOptions::new().write(true).open(&newest).expect("nobody holds it");
    file.set_len(file.metadata().expect("a file").len() / 2).expect("a file");
    server.restart();
    let mut ledger = Ledger::default();
    let settled =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ledger.settle(&server, &reach, &reader, &facts)));
    assert!(settled.is_err(), "half of the log is gone and no check noticed");
}

both_runtimes!(nothing_acknowledged_is_lost_and_nothing_works_twice, a_lost_write_would_be_noticed);
