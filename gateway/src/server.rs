//! Starting and stopping: storage, derived state, cores, the side runtime, signals, drain.

use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use assay_engine::Pool;
use assay_oauth::facts::TenantFacts;
use assay_oauth::secret::{Secret, SecretKind};
use assay_storage::record::ServerSecret;
use assay_storage::schema::{ServerSecrets, SigningKeys};
use assay_storage::{Commit, Kv, OpenError, Store, StoreObserver, StoreOptions, TenantId};
use futures_lite::future::block_on;

use crate::admission::limiter::Quota;
use crate::admission::{Admission, LimitsConfig};
use crate::clock::Clock;
use crate::config::{Config, Limits, Loaded, RuntimeChoice};
use crate::core::{Core, Shared};
use crate::http::conn::{ConnEvent, ConnTable, Deadlines, Phase};
use crate::http::dispatch::dispatch;
use crate::http::serve::{Accepting, accept_loop};
use crate::limits::SWEEP_MS;
use crate::runtime::{self, Choice, CoreMain, Driver, Kind};
use crate::state::prepared::PreparedKeys;
use crate::state::{Directory, keys};
use crate::telemetry::{self, Metrics, Reason};

/// Why a server did not start, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The configuration asks for what this machine does not give.
    #[error("{0}")]
    Machine(String),
    /// The data directory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// First-start rows (keys, secrets) could not be written.
    #[error("cannot write to the data directory: {0}; check that it is writable and that the disk has space")]
    Write(String),
    /// The admin token file could not be made or read.
    #[error("cannot use {}: {source}; check its owner and mode", .path.display())]
    AdminToken {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A running server.
pub struct Running {
    /// Where the public listener is.
    pub public_addr: SocketAddr,
    /// Where the admin listener is.
    pub admin_addr: SocketAddr,
    /// The driver and why.
    pub choice: Choice,
    /// What the cores share.
    pub shared: Arc<Shared>,
    cores: Vec<JoinHandle<io::Result<()>>>,
    side: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("public_addr", &self.public_addr).finish_non_exhaustive()
    }
}

/// Serves until SIGTERM or SIGINT, then drains and returns. Prints one line when ready.
///
/// # Errors
/// See [`ServeError`]. A failure after the ready line is logged, not returned.
pub fn run(loaded: Loaded) -> Result<(), ServeError> {
    let config = loaded.config;
    telemetry::start_logging(config.log, config.log_level.as_str());
    // More descriptors than the default allow 10⁴ idle connections; a refusal leaves the limit as it is.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "could not raise the limit on open files");
    }
    // Handlers are in place before the ready line: who reads that line may stop us at once.
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])
        .map_err(|error| ServeError::Machine(format!("cannot handle signals: {error}")))?;
    create_data_dir(&config.data)?;
    let kv = assay_storage::kv::rocks(config.data.join("db"))?;
    let token_path = config.data.join("admin.token");
    let admin_token = admin_token(&token_path)?;
    let running = start(config, Clock::system(), kv, admin_token)?;
    announce(&running, &token_path);
    let signal = signals.forever().next();
    tracing::info!(?signal, "stopping: draining connections");
    running.stop();
    Ok(())
}

fn announce(running: &Running, token_path: &Path) {
    let line = format!(
        "assay is ready: public http://{public}, admin http://{admin} (token in {token}), runtime {kind} ({reason}), {cores} core(s). \
         Next: assay client add --name demo --introspect --grant client_credentials",
        public = running.public_addr,
        admin = running.admin_addr,
        token = token_path.display(),
        kind = running.choice.kind,
        reason = running.choice.reason,
        cores = running.shared.config.cores,
    );
    // Standard output may be closed; the server serves all the same.
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::info!("{line}");
    }
}

/// Starts a server over any store and clock: what [`run`] does, and what tests do with a clock of their own.
///
/// # Errors
/// See [`ServeError`].
pub fn start(config: Config, clock: Clock, kv: impl Kv, admin_token: Secret) -> Result<Running, ServeError> {
    let asked = match config.runtime {
        RuntimeChoice::Auto => None,
        RuntimeChoice::Epoll => Some(Kind::Epoll),
        RuntimeChoice::IoUring => Some(Kind::IoUring),
    };
    let choice = runtime::choose(asked).map_err(ServeError::Machine)?;
    let metrics = Metrics::new();
    let directory = Arc::new(Directory::default());
    let now_ms = clock.unix_ms();
    let store = open_store(&config, &clock, &metrics, kv, Arc::clone(&directory), now_ms / 1000)?;
    let tenant = TenantId::DEFAULT;
    first_start_rows(&store, &directory, tenant, now_ms / 1000)?;
    let admission = Admission::new(limits_config(&config)).map_err(|error| ServeError::Machine(error.to_string()))?;
    if let Some(delays) = admission.delays() {
        delays.restore(directory.take_replayed_failures(), now_ms);
    }
    let kernels = assay_engine::Backend::choice();
    tracing::info!(backend = kernels.backend.name(), reason = kernels.reason, "verification kernels chosen");
    let pool = Pool::new(config.engine_threads).map_err(|error| ServeError::Machine(error.to_string()))?;
    let tenant_facts = TenantFacts {
        issuer: config.issuer.clone(),
        tid: "default".into(),
        access_token_lifetime: config.access_token_lifetime_s,
        id_token_lifetime: config.id_token_lifetime_s,
        code_lifetime: config.code_lifetime_s,
        implicit_sign_up: config.implicit_signup,
    };
    let shared = Arc::new(Shared {
        clock,
        store,
        directory,
        admission,
        pool,
        metrics,
        tenant,
        tenant_facts,
        draining: AtomicBool::new(false),
        config,
    });
    start_listening(shared, choice, admin_token)
}

fn start_listening(shared: Arc<Shared>, choice: Choice, admin_token: Secret) -> Result<Running, ServeError> {
    let side = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("assay-side")
        .enable_all()
        .build()
        .map_err(|error| ServeError::Machine(format!("cannot start the side runtime: {error}")))?;
    let admin_address = shared.config.admin_listen;
    let admin_listener = side
        .block_on(tokio::net::TcpListener::bind(admin_address))
        .map_err(|source| ServeError::Listen { address: admin_address, source })?;
    let admin_addr =
        admin_listener.local_addr().map_err(|source| ServeError::Listen { address: admin_address, source })?;

    // The first core binds alone: it learns the port (the kernel's choice for port 0) that the others then share, and
    // fails cleanly where SO_REUSEPORT would let us join somebody else's socket.
    let mut address = shared.config.listen;
    drop(std::net::TcpListener::bind(address).map_err(|source| ServeError::Listen { address, source })?);
    let mut cores = Vec::new();
    let cpus = runtime::allowed_cpus();
    for core_index in 0..shared.config.cores.max(1) {
        let (bound, waits) = std::sync::mpsc::channel();
        let main = GatewayCore { shared: Arc::clone(&shared), address, bound, core_index };
        let cpu = if cpus.is_empty() { Vec::new() } else { vec![cpus[core_index % cpus.len()]] };
        let started = runtime::start(choice.kind, 1, &cpu, &main);
        drop(main);
        let started = started.map_err(|error| ServeError::Machine(format!("cannot start a core: {error}")))?;
        cores.extend(started);
        let listening = waits.recv().unwrap_or_else(|_| Err(io::Error::other("the core's executor did not start")));
        match listening {
            Ok(local) => address = local,
            Err(source) => {
                stop_cores(&shared, cores);
                return Err(ServeError::Listen { address, source });
            }
        }
    }
    side.spawn(crate::admin::serve(admin_listener, Arc::clone(&shared), admin_token));
    side.spawn(upkeep(Arc::clone(&shared)));
    Ok(Running { public_addr: address, admin_addr, choice, shared, cores, side: Some(side) })
}

impl Running {
    /// Stops accepting, finishes what is in flight (bounded by `drain_timeout_ms`), flushes and closes.
    pub fn stop(mut self) {
        stop_cores(&self.shared, std::mem::take(&mut self.cores));
        if let Some(side) = self.side.take() {
            side.shutdown_timeout(Duration::from_secs(1));
        }
        self.shared.pool.shut_down();
        if let Err(error) = self.shared.store.close() {
            tracing::error!(%error, "the store did not close cleanly; everything acknowledged is durable all the same");
        }
    }
}

fn stop_cores(shared: &Shared, cores: Vec<JoinHandle<io::Result<()>>>) {
    shared.draining.store(true, Ordering::Release);
    for core in cores {
        match core.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a core ended with an error"),
            Err(_) => tracing::error!("a core panicked"),
        }
    }
}

/// What every core runs.
#[derive(Clone)]
struct GatewayCore {
    shared: Arc<Shared>,
    address: SocketAddr,
    bound: std::sync::mpsc::Sender<io::Result<SocketAddr>>,
    core_index: usize,
}

impl CoreMain for GatewayCore {
    fn run<D: Driver>(self, driver: D, _index: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let listener = match driver.bind(self.address).and_then(|listener| {
                let local = driver.local_addr(&listener)?;
                Ok((listener, local))
            }) {
                Ok((listener, local)) => {
                    let _starter_gone = self.bound.send(Ok(local));
                    listener
                }
                Err(error) => {
                    let _starter_gone = self.bound.send(Err(error));
                    return;
                }
            };
            drop(self.bound);
            serve_core(driver, listener, self.shared, self.core_index).await;
        })
    }
}

/// Serves on one core until the server drains.
async fn serve_core<D: Driver>(driver: D, listener: D::Listener, shared: Arc<Shared>, core_index: usize) {
    let config = &shared.config;
    let deadlines = Deadlines::from_ms(config.header_timeout_ms, config.body_timeout_ms, config.idle_timeout_ms);
    let metrics = shared.metrics.clone();
    let table = ConnTable::new(config.connections_max, deadlines, Box::new(move |event| count_event(&metrics, event)));
    let start_id = getrandom::u32().unwrap_or_default();
    let core = Core::new(
        Arc::clone(&shared),
        format!("{start_id:08x}-{core_index}-"),
        Box::new(move |task| driver.spawn(task)),
    );
    let accepting = Rc::new(Accepting::new(driver, listener));
    let answer_core = Rc::clone(&core);
    driver.spawn(accept_loop(
        Rc::clone(&accepting),
        Rc::clone(&table),
        config.header_bytes_max,
        move |conn, peer_ip, request| dispatch(Rc::clone(&answer_core), conn, peer_ip, request),
    ));
    while !shared.is_draining() {
        driver.sleep(Duration::from_millis(SWEEP_MS)).await;
        table.sweep();
        core.tick();
    }
    accepting.stop();
    table.drain();
    let mut left_ms = config.drain_timeout_ms;
    while table.count() > 0 && left_ms > 0 {
        let step_ms = left_ms.min(SWEEP_MS / 4);
        driver.sleep(Duration::from_millis(step_ms)).await;
        left_ms -= step_ms;
    }
    table.end_all();
    // One turn, so that ended connections are dropped on their own core.
    driver.sleep(Duration::from_millis(1)).await;
}

fn count_event(metrics: &Metrics, event: ConnEvent) {
    let ended = |reason| {
        metrics.connections_ended.get_or_create(&Reason { reason }).inc();
    };
    match event {
        ConnEvent::Accepted => {
            metrics.connections.inc();
        }
        ConnEvent::Ended => {
            metrics.connections.dec();
        }
        ConnEvent::OverLimit => ended("over_limit"),
        ConnEvent::Late(Phase::Body) => ended("body_timeout"),
        ConnEvent::Late(Phase::Header) => ended("header_timeout"),
        ConnEvent::Late(Phase::Handling | Phase::Idle) => ended("idle_timeout"),
        ConnEvent::Late(Phase::Linger) => {} // its refusal was counted when it was answered
        ConnEvent::Refused(refusal) => ended(refusal.label()),
    }
}

/// Work that nobody waits for: forgetting expired revocations, rotating keys, gauges.
async fn upkeep(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    assay_engine::prepare();
    let mut prepared = PreparedKeys::default();
    while !shared.is_draining() {
        tick.tick().await;
        let now = shared.clock.unix_seconds();
        // Tens of milliseconds, which the administrators on this thread should not wait for.
        let tended = tokio::task::spawn_blocking({
            let shared = Arc::clone(&shared);
            move || {
                prepared.follow(&shared.directory, shared.tenant, now);
                assay_engine::tend_busy_keys();
                prepared
            }
        });
        prepared = tended.await.unwrap_or_else(|error| {
            tracing::error!(%error, "keys keep the tables they have");
            PreparedKeys::default()
        });
        shared.directory.forget_expired(now);
        let revocations = i64::try_from(shared.directory.revocations_count()).unwrap_or(i64::MAX);
        shared.metrics.revocations.set(revocations);
        shared.metrics.applied_seq.set(shared.store.applied_seq().0);
        crate::admin::keys::rotate_if_due(&shared, now).await;
    }
}

struct Observer {
    clock: Clock,
    metrics: Metrics,
}

impl StoreObserver for Observer {
    fn monotonic_nanos(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn commit_group(&self, commits: usize, write: Duration) {
        self.metrics.commit_group.observe(commits as f64);
        self.metrics.fsync_seconds.observe(write.as_secs_f64());
        self.metrics.commits.inc_by(commits as u64);
    }
}

fn open_store(
    config: &Config,
    clock: &Clock,
    metrics: &Metrics,
    kv: impl Kv,
    directory: Arc<Directory>,
    now: u64,
) -> Result<Store, OpenError> {
    let options = StoreOptions {
        commit_queue: config.commit_queue_max,
        observer: Some(Arc::new(Observer { clock: clock.clone(), metrics: metrics.clone() })),
        ..StoreOptions::default()
    };
    Store::open(kv, options, now, Box::new(move |applied| directory.apply(applied)))
}

/// The keys and secrets every server has, made at the first start.
fn first_start_rows(store: &Store, directory: &Directory, tenant: TenantId, now: u64) -> Result<(), ServeError> {
    let mut commit = Commit::new(tenant, now);
    let mut is_first = false;
    for name in crate::public::SERVER_SECRETS {
        if directory.server_secret(name).is_none() {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|error| ServeError::Machine(format!("no randomness: {error}")))?;
            commit.expect_absent::<ServerSecrets>(&name.to_owned());
            commit.put::<ServerSecrets>(&name.to_owned(), &ServerSecret { bytes });
            is_first = true;
        }
    }
    if directory.keys().active().is_none() {
        let rows = keys::rotate(&directory.key_rows(), now, 0)
            .ok_or_else(|| ServeError::Machine("no randomness for a signing key".into()))?;
        for row in rows {
            commit.put::<SigningKeys>(&row.kid.clone(), &row);
        }
        is_first = true;
    }
    if is_first {
        block_on(store.commit(commit)).map_err(|error| ServeError::Write(error.to_string()))?;
    }
    Ok(())
}

fn limits_config(config: &Config) -> LimitsConfig {
    let per_minute = |units: u64| {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        (units > 0).then_some(Quota { units, window_s: 60 })
    };
    LimitsConfig {
        enabled: config.limits == Limits::Default,
        api: per_minute(config.quota_api_per_min),
        introspect: per_minute(config.quota_introspect_per_min),
        oauth: per_minute(config.quota_oauth_per_min),
        sign_in: per_minute(config.quota_sign_in_per_min),
        trusted_proxies: config.trusted_proxies.clone(),
        ..LimitsConfig::default()
    }
}

fn create_data_dir(path: &Path) -> Result<(), ServeError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ServeError::Open(OpenError::Io { path: path.to_owned(), source }))
}

/// Reads the admin token, or makes one at the first start: mode 0600, written whole or not at all.
fn admin_token(path: &Path) -> Result<Secret, ServeError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let fail = |source| ServeError::AdminToken { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => Secret::from_text(SecretKind::AdminToken, text.trim()).ok_or_else(|| {
            fail(io::Error::new(io::ErrorKind::InvalidData, "not an admin token; delete the file to get a new one"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut random = [0; 32];
            getrandom::fill(&mut random).map_err(|error| fail(io::Error::other(error.to_string())))?;
            let token = Secret::from_random(SecretKind::AdminToken, &random);
            let temporary = path.with_extension("token.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)
                .map_err(fail)?;
            writeln!(file, "{}", token.expose()).and_then(|()| file.sync_all()).map_err(fail)?;
            std::fs::rename(&temporary, path).map_err(fail)?;
            Ok(token)
        }
        Err(error) => Err(fail(error)),
    }
}
