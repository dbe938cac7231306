//! One value between its text or TOML form and its typed field. Owns the shapes (issuer, origin, network); knows
//! neither where a value came from nor which key is which.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::Config;
use super::keys::{Bound, Key, Slot};

/// A value as it was written.
pub(super) enum Raw<'a> {
    /// From a flag, the environment or the table of defaults.
    Text(&'a str),
    /// From the file, where kinds are told apart: `cores = "2"` is refused.
    Toml(&'a toml::Value),
}

/// Characters of a refused value that an error repeats.
const REPEATED_CHARS: usize = 80;

impl Raw<'_> {
    /// The value on one line, for an error.
    pub(super) fn printable(&self) -> String {
        let text = match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Toml(toml::Value::Table(_)) => "a table".to_owned(),
            Self::Toml(toml::Value::String(text)) => format!("{text:?}"),
            Self::Toml(value) => value.to_string().replace('\n', " "),
        };
        if text.chars().count() <= REPEATED_CHARS {
            return text;
        }
        let cut: String = text.chars().take(REPEATED_CHARS).collect();
        format!("{cut}…")
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Text("true") => Some(true),
            Self::Text("false") => Some(false),
            Self::Text(_) => None,
            Self::Toml(value) => value.as_bool(),
        }
    }

    fn integer(&self) -> Option<u64> {
        match self {
            Self::Text(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Self::Text(_) => None,
            Self::Toml(value) => u64::try_from(value.as_integer()?).ok(),
        }
    }

    /// An array of strings, or outside the file a comma-separated text.
    fn list(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Text(text) => Some(text.split(',').map(str::trim).collect()),
            Self::Toml(value) => value.as_array()?.iter().map(toml::Value::as_str).collect(),
        }
    }
}

/// Parses `raw` into the key's field; `Err` when it is of another kind or outside the bound.
pub(super) fn set(key: &Key, config: &mut Config, raw: &Raw<'_>) -> Result<(), ()> {
    set_or_none(key, config, raw).ok_or(())
}

fn set_or_none(key: &Key, config: &mut Config, raw: &Raw<'_>) -> Option<()> {
    match &key.slot {
        Slot::Address(at) => *at(config) = raw.text()?.parse::<SocketAddr>().ok()?,
        Slot::Boolean(at) => *at(config) = raw.boolean()?,
        Slot::Choice { set, .. } => set(config, raw.text()?)?,
        Slot::Count(at) => *at(config) = usize::try_from(in_range(raw.integer()?, key.bound)?).ok()?,
        Slot::Directory(at) => {
            let text = raw.text().filter(|text| !text.is_empty() && !text.contains('\0'))?;
            *at(config) = PathBuf::from(text);
        }
        Slot::Integer(at) => *at(config) = in_range(raw.integer()?, key.bound)?,
        Slot::Networks(at) => *at(config) = raw.list()?.into_iter().map(network).collect::<Option<_>>()?,
        Slot::Origins(at) => {
            let origins = raw.list()?;
            if !origins.iter().all(|origin| is_origin(origin)) {
                return None;
            }
            *at(config) = origins.into_iter().map(str::to_owned).collect();
        }
        Slot::Text { check, at } => {
            let text = raw.text().filter(|text| check(text))?;
            *at(config) = text.to_owned();
        }
    }
    Some(())
}

fn in_range(value: u64, bound: Bound) -> Option<u64> {
    match bound {
        Bound::Range(min, max) => (min..=max).contains(&value).then_some(value),
        Bound::OneOf(_) | Bound::Shape(_) => Some(value),
    }
}

/// The key's value as an operator would write it outside the file.
pub(super) fn show(key: &Key, config: &Config) -> String {
    // The accessors lend the field mutably, because `set` needs them so; printing works on a copy.
    let mut config = config.clone();
    let config = &mut config;
    match &key.slot {
        Slot::Address(at) => at(config).to_string(),
        Slot::Boolean(at) => at(config).to_string(),
        Slot::Choice { show, .. } => show(config).to_owned(),
        Slot::Count(at) => at(config).to_string(),
        Slot::Directory(at) => at(config).display().to_string(),
        Slot::Integer(at) => at(config).to_string(),
        Slot::Networks(at) => at(config).iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Slot::Origins(at) => at(config).join(","),
        Slot::Text { at, .. } => at(config).clone(),
    }
}

/// A network, or one address standing for the network of only itself.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The parts of an absolute http(s) URL that this file tells apart.
struct Url<'a> {
    scheme: &'a str,
    /// Host and, if written, port.
    authority: &'a str,
    /// Empty, or beginning with a slash.
    path: &'a str,
}

impl<'a> Url<'a> {
    /// Strict: lower-case scheme and host (origins are compared as text), no user, query or fragment.
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path_ok = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&byte));
        let scheme_ok = scheme == "http" || scheme == "https";
        (scheme_ok && path_ok && is_authority(authority)).then_some(Self { scheme, authority, path })
    }
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, "")) => (inside, None),
        Some((inside, after)) if after.starts_with(':') => (inside, Some(&after[1..])),
        Some(_) => return false,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let host_ok = if authority.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok() && !host.bytes().any(|byte| byte.is_ascii_uppercase())
    } else {
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        };
        host.len() <= 253 && host.split('.').all(is_label)
    };
    let port_ok = port.is_none_or(|port| {
        port.len() <= 5
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    host_ok && port_ok
}

pub(super) fn is_issuer(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| !url.path.ends_with('/') && !url.path.contains("//"))
}

pub(super) fn is_admin_url(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| url.scheme == "http" && url.path.is_empty())
}

/// An origin as a browser writes it: no path, and no port where it is the scheme's own.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_some_and(|url| url.path.is_empty()) && origin_of(text) == text
}

pub(super) fn is_page(text: &str) -> bool {
    // `//host` and `/\host` are absolute URLs to a browser.
    let is_path = text.starts_with('/') && !text[1..].starts_with(['/', '\\']);
    if is_path { Url::parse(&format!("http://h{text}")).is_some() } else { Url::parse(text).is_some() }
}

/// The origin of a URL of the shape above, with the scheme's own port left out; empty for anything else.
pub(super) fn origin_of(url: &str) -> String {
    let Some(url) = Url::parse(url) else { return String::new() };
    let own_port = if url.scheme == "https" { ":443" } else { ":80" };
    // An IPv6 host has its colons inside brackets, so a suffix after `]` or after a name is always a port.
    let authority = url.authority.strip_suffix(own_port).unwrap_or(url.authority);
    format!("{}://{authority}", url.scheme)
}

/// The candidate that takes the fewest edits to reach from `name`, unless even that is more than a third of it.
pub(super) fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // A name from outside may be long; nothing longer than any key can be near one.
    if name.len() > 64 {
        return None;
    }
    candidates
        .map(|candidate| (edits(name, candidate), candidate))
        .min_by_key(|(count, _)| *count)
        .filter(|(count, candidate)| *count <= candidate.len().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let substitute = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
