//! Gets one document over HTTP or HTTPS: bounded in bytes and time, with the system's certificates.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::failure::Failure;
use crate::limits::TIMEOUT_S;

/// The body of a 200.
///
/// # Errors
/// [`Failure::Unreachable`] if nobody answers, [`Failure::Failed`] for any other answer.
pub(super) fn get(url: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let is_https = url.starts_with("https://");
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(TIMEOUT_S)))
        // A redirect must not turn a key set that was asked for over TLS into one that anybody could have sent.
        .https_only(is_https);
    if is_https {
        config = config.tls_config(tls()?);
    }
    let agent = config.build().new_agent();
    let mut response =
        agent.get(url).header("accept", "application/json").call().map_err(|error| {
            Failure::Unreachable(format!("cannot get {url}: {error}; save it to a file and name that"))
        })?;
    let status = response.status();
    if status.as_u16() != 200 {
        return Err(Failure::Failed(format!("{url} answered {status} where a key set was expected; correct --jwks")));
    }
    response
        .body_mut()
        .with_config()
        .limit(bytes_max)
        .read_to_vec()
        .map_err(|error| Failure::Unreachable(format!("the answer of {url} cannot be read: {error}; try again")))
}

fn tls() -> Result<TlsConfig, Failure> {
    let native = rustls_native_certs::load_native_certs();
    let roots: Vec<_> =
        native.certs.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect();
    if roots.is_empty() {
        return Err(Failure::Failed(
            "the system has no root certificates; install ca-certificates, or save the key set to a file".to_owned(),
        ));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build())
}
