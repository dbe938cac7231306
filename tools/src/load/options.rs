//! The command line of `load`, read into types that cannot be wrong.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::pace::{Arrivals, Rate};
use crate::bitcoin_sign::Scheme;
use crate::failure::Failure;
use crate::limits::{CONNECTIONS_MAX, PREPARED_MAX};

/// Threads and streams beyond this are a slip of the finger.
const THREADS_SENSIBLE: u64 = 256;
/// Rates beyond this no machine generates.
const RATE_SENSIBLE: f64 = 10_000_000.0;

const EXAMPLES: &str = "Scenarios:\n  \
    mixed               introspection: 90 % valid, 4 % expired, 3 % bad signature, 3 % revoked; every verdict checked\n  \
    introspect          introspection of valid tokens\n  \
    introspect-batch    the same, --batch tokens per request\n  \
    login               Bitcoin sign-in until there is an access token (--challenge: by a server's nonce)\n  \
    code                authorize, code, token, with PKCE and a session cookie\n  \
    client-credentials  a token for the client itself\n  \
    userinfo, jwks      what they are called\n  \
    get                 GET --path, any 2xx is right\n  \
    script FILE         your own flow, written down in TOML (docs/load-script.md)\n\n\
    Examples:\n  \
    assay load                                       # a local assay: mixed introspection, closed loop, 10 s\n  \
    assay load login --rate 500 --arrivals poisson   # open loop: latency counts from the intended start\n  \
    assay load introspect --rate 100..20000 --duration 30s --html ramp.html\n  \
    assay load --find-max --slo 5ms                  # the highest rate whose p99 stays below 5 ms\n  \
    assay load script flow.toml --target https://id.example --connections 32 --json > result.json\n\n\
    Start the server with --limits off, or its rate limits are what you measure.\n\
    Exit codes: 0 measured (errors stand in the report), 1 could not prepare, 2 usage, 3 no server answered.";

/// How it is called.
pub(crate) fn command() -> Command {
    let option = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("load")
        .about("Load a server with logins or introspections and measure throughput and latency")
        .after_help(EXAMPLES)
        .arg(Arg::new("scenario").value_name("SCENARIO").default_value("mixed").help("What to ask; see below"))
        .arg(Arg::new("file").value_name("FILE").help("The script, for the scenario `script`"))
        .args([
            option("target", "URL", "Server under load").default_value("http://127.0.0.1:8080"),
            option("rate", "N|A..B", "Open loop: arrivals per second, constant or a ramp [default: closed loop]"),
            option("arrivals", "even|poisson", "How open-loop arrivals are spread").default_value("even"),
            option("connections", "N", "Connections; in a closed loop, without --rate, each has one request in flight [default: 64; HTTP/2: 8]"),
            option("streams", "N", "HTTP/2: requests in flight per connection").default_value("8"),
            option("duration", "TIME", "How long is measured").default_value("10s"),
            option("warm-up", "TIME", "Load before that, not measured").default_value("1s"),
            option("timeout", "TIME", "Longest wait for an answer").default_value("10s"),
            option("threads", "N", "Threads that generate load").default_value("1"),
            option("cores", "LIST", "Pin the threads to these cores, such as 2,3"),
            flag("spin", "Never sleep: for a generator with cores of its own"),
            option("seed", "N", "Keys, tokens, mixture and arrivals come from it").default_value("1"),
            option("users", "N", "Users of login, code and userinfo").default_value("1000"),
            option("tokens", "N", "Tokens that are introspected").default_value("1000"),
            option("batch", "N", "Tokens per request of introspect-batch").default_value("100"),
            option("mix", "CLASS=N,…", "Weights of mixed").default_value("valid=90,expired=4,bad-signature=3,revoked=3"),
            option("scheme", "SCHEME", "How users sign: brc77 or bsm [default: brc77]; with --emit, how tokens are signed"),
            flag("challenge", "login: sign a nonce of the server instead of the time"),
            option("path", "PATH", "Path of the scenario get").default_value("/health"),
            option("admin", "URL", "assay's admin listener, where clients are registered [env: ASSAY_ADMIN] [default: http://127.0.0.1:8081]"),
            option("data", "DIR", "assay's data directory, for the admin token [env: ASSAY_DATA] [default: ./data]"),
            option("client-id", "ID", "Use this client instead of registering one"),
            option("client-secret", "SECRET|@FILE", "Its secret; @FILE and ASSAY_CLIENT_SECRET keep it out of the process list [env: ASSAY_CLIENT_SECRET]"),
            option("redirect-uri", "URI", "code: where codes are sent").default_value("https://app.load.test/callback"),
            flag("http2", "HTTP/2: prior knowledge on http://, required on https://"),
            flag("http1", "HTTP/1.1 even if an https:// server offers HTTP/2"),
            option("ca", "FILE", "PEM certificates to trust instead of the platform's"),
            flag("insecure", "Believe any certificate"),
            flag("find-max", "Raise the rate until p99 crosses --slo; --duration is then that of one step"),
            option("slo", "TIME", "The p99 that --find-max keeps below").default_value("5ms"),
            option("html", "FILE", "Also write a page with plots; it needs no network"),
            flag("json", "Print JSON (docs/load-json.md)"),
        ])
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub is_tls: bool,
    pub host: String,
    /// Host, and port if it is not the scheme's own.
    pub authority: String,
    pub address: SocketAddr,
}

impl Target {
    /// The URL that it stands for.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority)
    }
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub scenario: String,
    pub file: Option<PathBuf>,
    pub target: Target,
    pub rate: Option<Rate>,
    pub arrivals: Arrivals,
    pub connections: Option<usize>,
    pub streams: usize,
    pub duration: Duration,
    pub warm_up: Duration,
    pub timeout: Duration,
    pub threads: usize,
    pub cores: Vec<usize>,
    pub spins: bool,
    pub seed: u64,
    pub users: usize,
    pub tokens: usize,
    pub batch: usize,
    /// valid, expired, bad-signature, revoked.
    pub mix: [f64; 4],
    pub scheme: Scheme,
    pub challenge: bool,
    pub path: String,
    pub admin: String,
    pub data: PathBuf,
    pub client: Option<(String, String)>,
    pub redirect_uri: String,
    pub http2: bool,
    pub http1: bool,
    pub ca: Option<PathBuf>,
    pub insecure: bool,
    pub find_max: bool,
    pub slo: Duration,
    pub html: Option<PathBuf>,
    pub json: bool,
}

/// The scenarios that exist.
const SCENARIOS: [&str; 10] = [
    "mixed",
    "introspect",
    "introspect-batch",
    "login",
    "code",
    "client-credentials",
    "userinfo",
    "jwks",
    "get",
    "script",
];

/// The classes of `--mix`, in the order of [`Options::mix`].
pub(crate) const CLASSES: [&str; 4] = ["valid", "expired", "bad-signature", "revoked"];

impl Options {
    /// Reads and checks all of it.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Options, Failure> {
        let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let given = |name: &str| text(name).unwrap_or_default();
        let count = |name: &str, most: u64| count(name, given(name), most);
        let or_environment = |name: &str, variable: &str, default: &str| {
            let from_environment = || std::env::var(variable).ok().filter(|value| !value.is_empty());
            text(name).map(str::to_owned).or_else(from_environment).unwrap_or_else(|| default.to_owned())
        };
        let scenario = given("scenario").to_owned();
        if !SCENARIOS.contains(&scenario.as_str()) {
            return Err(usage(format!("there is no scenario {scenario:?}; there are {}", SCENARIOS.join(", "))));
        }
        let file = text("file").map(PathBuf::from);
        match (&file, scenario == "script") {
            (None, true) => {
                return Err(usage("script needs a FILE; docs/load-script.md says what is in it".to_owned()));
            }
            (Some(file), false) => {
                return Err(usage(format!("{} is one argument too many: only script takes a FILE", file.display())));
            }
            _ => {}
        }
        let path = given("path").to_owned();
        if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte >= 0x7F) {
            return Err(usage(format!("--path {path:?} is no path; it begins with / and has no blanks")));
        }
        let (http1, http2) = (matches.get_flag("http1"), matches.get_flag("http2"));
        if http1 && http2 {
            return Err(usage("--http1 and --http2 exclude each other; give one".to_owned()));
        }
        let rate = text("rate").map(rate).transpose()?;
        let find_max = matches.get_flag("find-max");
        if find_max && rate.is_some_and(|rate| rate.from != rate.to) {
            return Err(usage("--find-max begins at one --rate, not at a ramp".to_owned()));
        }
        let threads = count("threads", THREADS_SENSIBLE)?;
        let cores = cores(text("cores"))?;
        let connections = match text("connections") {
            Some(text) => Some(self::count("connections", text, CONNECTIONS_MAX as u64)?),
            None => None,
        };
        if connections.is_some_and(|connections| connections < threads) {
            return Err(usage(format!("--connections must be at least --threads, which is {threads}")));
        }
        Ok(Options {
            file,
            target: target(given("target"))?,
            rate,
            arrivals: match given("arrivals") {
                "even" => Arrivals::Even,
                "poisson" => Arrivals::Poisson,
                other => return Err(usage(format!("--arrivals {other:?}: say even or poisson"))),
            },
            connections,
            streams: count("streams", THREADS_SENSIBLE)?,
            duration: positive("duration", duration("duration", given("duration"))?)?,
            warm_up: duration("warm-up", given("warm-up"))?,
            timeout: positive("timeout", duration("timeout", given("timeout"))?)?,
            threads,
            cores,
            spins: matches.get_flag("spin"),
            seed: given("seed").parse().map_err(|_| usage(format!("--seed {:?} is no whole number", given("seed"))))?,
            users: count("users", PREPARED_MAX)?,
            tokens: count("tokens", PREPARED_MAX)?,
            batch: count("batch", PREPARED_MAX)?,
            mix: mix(given("mix"))?,
            scheme: match text("scheme").unwrap_or("brc77") {
                "brc77" => Scheme::Brc77,
                "bsm" => Scheme::Bsm,
                other => return Err(usage(format!("--scheme {other:?}: say brc77 or bsm"))),
            },
            challenge: matches.get_flag("challenge"),
            path,
            admin: or_environment("admin", "ASSAY_ADMIN", "http://127.0.0.1:8081").trim_end_matches('/').to_owned(),
            data: PathBuf::from(or_environment("data", "ASSAY_DATA", "./data")),
            client: client(text("client-id"), text("client-secret"))?,
            redirect_uri: given("redirect-uri").to_owned(),
            http2,
            http1,
            ca: text("ca").map(PathBuf::from),
            insecure: matches.get_flag("insecure"),
            find_max,
            slo: positive("slo", duration("slo", given("slo"))?)?,
            html: text("html").map(PathBuf::from),
            json: matches.get_flag("json"),
            scenario,
        })
    }
}

fn usage(text: String) -> Failure {
    Failure::Usage(text)
}

fn count(name: &str, text: &str, most: u64) -> Result<usize, Failure> {
    let wrong = || usage(format!("--{name} {text:?} is not a whole number from 1 to {most}"));
    let number: u64 = text.parse().map_err(|_| wrong())?;
    if number == 0 || number > most {
        return Err(wrong());
    }
    usize::try_from(number).map_err(|_| wrong())
}

/// `10s`, `500ms`, `2m`, `1.5s`, `0s`.
fn duration(name: &str, text: &str) -> Result<Duration, Failure> {
    let wrong = || usage(format!("--{name} {text:?} is no time; write such as 500ms, 10s or 2m, a day at most"));
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    if seconds > 86_400.0 {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn positive(name: &str, duration: Duration) -> Result<Duration, Failure> {
    if duration.is_zero() { Err(usage(format!("--{name} must be longer than nothing"))) } else { Ok(duration) }
}

/// `500` or `100..5000`.
fn rate(text: &str) -> Result<Rate, Failure> {
    let wrong = || usage(format!("--rate {text:?} is no rate; write such as 500, or 100..5000 for a ramp"));
    let number = |text: &str| text.parse::<f64>().ok().filter(|rate| (0.0..=RATE_SENSIBLE).contains(rate));
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let rate = Rate { from: number(from).ok_or_else(wrong)?, to: number(to).ok_or_else(wrong)? };
    if rate.from + rate.to <= 0.0 { Err(wrong()) } else { Ok(rate) }
}

fn cores(text: Option<&str>) -> Result<Vec<usize>, Failure> {
    let wrong = |text: &str| usage(format!("--cores {text:?} is no list of cores; write such as 2,3"));
    let numbers = text.into_iter().flat_map(|text| text.split(',').map(move |part| (text, part.trim())));
    numbers.map(|(text, part)| part.parse().ok().filter(|core| *core < 1024).ok_or_else(|| wrong(text))).collect()
}

fn mix(text: &str) -> Result<[f64; 4], Failure> {
    let wrong = || usage(format!("--mix {text:?}: write such as valid=90,expired=4,bad-signature=3,revoked=3"));
    let mut weights = [0.0; 4];
    for part in text.split(',') {
        let (class, weight) = part.split_once('=').ok_or_else(wrong)?;
        let at = CLASSES.iter().position(|known| *known == class.trim()).ok_or_else(wrong)?;
        weights[at] = weight.trim().parse().ok().filter(|weight| (0.0..=1e6).contains(weight)).ok_or_else(wrong)?;
    }
    if weights.iter().sum::<f64>() > 0.0 { Ok(weights) } else { Err(wrong()) }
}

fn client(id: Option<&str>, secret: Option<&str>) -> Result<Option<(String, String)>, Failure> {
    let Some(id) = id else {
        return match secret {
            Some(_) => Err(usage("--client-secret without --client-id; give both or neither".to_owned())),
            None => Ok(None),
        };
    };
    let secret = match secret.map(|secret| (secret, secret.strip_prefix('@'))) {
        Some((_, Some(file))) => std::fs::read_to_string(file)
            .map_err(|error| usage(format!("cannot read the secret file {file}: {error}; correct --client-secret")))?
            .trim()
            .to_owned(),
        Some((secret, None)) => secret.to_owned(),
        None => std::env::var("ASSAY_CLIENT_SECRET").unwrap_or_default(),
    };
    Ok(Some((id.to_owned(), secret)))
}

fn target(text: &str) -> Result<Target, Failure> {
    let wrong = |why: &str| usage(format!("--target {text:?} {why}; write such as http://127.0.0.1:8080"));
    let (is_tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(wrong("is no http or https URL")),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) || authority.chars().any(char::is_control)
    {
        return Err(wrong("must be scheme, host and port only"));
    }
    let port = if is_tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, digits)) if !digits.contains(']') => {
            (host, digits.parse().map_err(|_| wrong("has a port that is none"))?)
        }
        _ => (authority, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let address = (host.as_str(), port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| Failure::Unreachable(format!("no address is known for {host}; check --target")))?;
    Ok(Target { is_tls, host, authority: authority.to_owned(), address })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<fn(&Options) -> bool, &str>) {
        let words = std::iter::once("load").chain(line.split_whitespace());
        let matches = command().try_get_matches_from(words).unwrap();
        match (Options::read(&matches), expected) {
            (Ok(options), Ok(holds)) => assert!(holds(&options), "{line}: {options:?}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{line}: {error}"),
            (got, _) => panic!("{line}: {got:?}"),
        }
    }

    #[test]
    fn what_is_read() {
        command().debug_assert();
        check("", Ok(|options| options.scenario == "mixed" && options.rate.is_none() && options.threads == 1));
        check("--rate 100..5000", Ok(|options| options.rate == Some(Rate { from: 100.0, to: 5000.0 })));
        check("--duration 500ms --warm-up 0s", Ok(|options| options.duration.as_millis() == 500));
        check("--mix valid=1,revoked=1", Ok(|options| options.mix == [1.0, 0.0, 0.0, 1.0]));
        check("--target https://[::1]:8443/", Ok(|o| o.target.is_tls && o.target.address.port() == 8443));
        check("--target http://127.0.0.1", Ok(|options| options.target.origin() == "http://127.0.0.1"));
        check("script f.toml", Ok(|options| options.file.is_some()));
    }

    #[test]
    fn what_is_refused() {
        for (line, words) in [
            ("logins", "there is no scenario"),
            ("script", "needs a FILE"),
            ("login f.toml", "one argument too many"),
            ("--rate fast", "is no rate"),
            ("--rate 0", "is no rate"),
            ("--rate 5..x", "is no rate"),
            ("--rate nan", "is no rate"),
            ("--arrivals odd", "even or poisson"),
            ("--duration 10", "is no time"),
            ("--duration 0s", "longer than nothing"),
            ("--duration 1e99s", "is no time"),
            ("--connections 0", "whole number"),
            ("--connections 1 --threads 2", "at least --threads"),
            ("--threads many", "whole number"),
            ("--cores a,b", "no list of cores"),
            ("--mix valid", "--mix"),
            ("--mix valid=0", "--mix"),
            ("--mix good=1", "--mix"),
            ("--scheme rsa", "brc77 or bsm"),
            ("--target ftp://x", "no http or https URL"),
            ("--target http://u@h/", "host and port only"),
            ("--target http://127.0.0.1:x", "port that is none"),
            ("--seed x", "--seed"),
            ("--http1 --http2", "exclude"),
            ("--find-max --rate 1..2", "not at a ramp"),
            ("--client-secret x", "--client-id"),
            ("--path nothing", "is no path"),
            ("--client-id a --client-secret @/nonexistent", "cannot read the secret file"),
        ] {
            check(line, Err(words));
        }
    }
}
