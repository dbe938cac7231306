//! A server inside the test's own process, over real sockets, with a clock that only the test moves and a store in
//! memory: for everything that depends on time passing.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assay_gateway::clock::Clock;
use assay_gateway::config::{Config, Overrides};
use assay_gateway::server::{self, Running};
use assay_oauth::secret::{Secret, SecretKind};
use assay_storage::kv::Memory;

use crate::server::{Options, Runtime};
use crate::target::{ISSUER, Target};

/// A running server and its clock.
pub struct InProcess {
    target: Target,
    hand: Arc<AtomicU64>,
    running: Option<Running>,
}

impl Deref for InProcess {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl InProcess {
    /// Starts one. `options.keys` is for real servers only.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(options: &Options) -> InProcess {
        InProcess::start_at(options, 1_800_000_000_000)
    }

    /// Starts one in the present of the test's choice, Unix milliseconds.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_at(options: &Options, unix_ms: u64) -> InProcess {
        let mut flags = Overrides::default();
        let cores = options.cores.to_string();
        let limits = if options.limits { "default" } else { "off" };
        let runtime = match options.runtime {
            Runtime::Epoll => "epoll",
            Runtime::IoUring => "io_uring",
        };
        for (flag, value) in [
            ("listen", "127.0.0.1:0"),
            ("admin-listen", "127.0.0.1:0"),
            ("issuer", ISSUER),
            ("runtime", runtime),
            ("cores", &cores),
            ("limits", limits),
        ] {
            flags.set(flag, value);
        }
        let drain = ("ASSAY_DRAIN_TIMEOUT_MS".to_owned(), "0".to_owned());
        let env = options.settings.iter().cloned().chain([drain]);
        let loaded = Config::load(flags, env, None).expect("the test's settings are valid");
        let (clock, hand) = Clock::manual(unix_ms);
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the system has randomness");
        let admin_token = Secret::from_random(SecretKind::AdminToken, &random);
        let token = admin_token.expose().to_owned();
        let running = server::start(loaded.config, clock.clone(), Memory::new(), admin_token)
            .unwrap_or_else(|error| panic!("{error}"));
        let target = Target::new(running.public_addr, running.admin_addr, &token).with_clock(clock);
        InProcess { target, hand, running: Some(running) }
    }

    /// Lets time pass.
    pub fn advance_ms(&self, ms: u64) {
        self.hand.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves to a point in time, the past included.
    pub fn set_ms(&self, unix_ms: u64) {
        self.hand.store(unix_ms, Ordering::SeqCst);
    }

    /// Lets whole seconds pass.
    pub fn advance_s(&self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }
}
