//! Reading one request: bounded bodies, media types, header lookups.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use std::rc::Rc;

use super::conn::{ConnState, Phase};
use super::error::Failure;

/// The header that carries a Bitcoin-signed token (sigma.md 1.2).
pub const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A request body not read yet, and the connection whose deadline it counts against.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    conn: Rc<ConnState>,
    declared_bytes: Option<u64>,
}

impl Body {
    /// The body of a request with these headers.
    #[must_use]
    pub fn new(incoming: Incoming, headers: &HeaderMap, conn: Rc<ConnState>) -> Body {
        let declared_bytes =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
        Body { incoming, conn, declared_bytes }
    }

    /// Reads the whole body, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// 413 as soon as the declared or the received length passes the bound; 400 when the stream breaks off or its
    /// chunked coding is broken. Either way the connection closes with the answer.
    pub async fn read(mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        if self.declared_bytes.is_some_and(|declared| declared > bytes_max as u64) {
            self.conn.close_after_response();
            return Err(Failure::BodyTooLarge { bytes_max });
        }
        if self.incoming.is_end_stream() {
            return Ok(Bytes::new());
        }
        self.conn.enter(Phase::Body);
        let body = self.collect(bytes_max).await;
        match &body {
            Ok(_) => self.conn.enter(Phase::Handling),
            Err(_) => {
                self.conn.enter(Phase::Handling);
                self.conn.close_after_response();
            }
        }
        body
    }

    async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let mut first = Bytes::new();
        let mut more: Option<BytesMut> = None;
        while let Some(frame) = self.incoming.frame().await {
            let Ok(frame) = frame else { return Err(Failure::BodyBroken) };
            let Ok(data) = frame.into_data() else { continue };
            let so_far = more.as_ref().map_or(first.len(), BytesMut::len);
            if so_far + data.len() > bytes_max {
                return Err(Failure::BodyTooLarge { bytes_max });
            }
            match &mut more {
                None if first.is_empty() => first = data,
                None => {
                    let mut joined = BytesMut::with_capacity(first.len() + data.len());
                    joined.extend_from_slice(&first);
                    joined.extend_from_slice(&data);
                    more = Some(joined);
                }
                Some(joined) => joined.extend_from_slice(&data),
            }
        }
        Ok(more.map_or(first, BytesMut::freeze))
    }
}

/// A header as text, if it is there exactly once and visible ASCII.
///
/// # Errors
/// 400 when it is repeated or not text: a header that decides something must not be ambiguous.
pub fn single_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::invalid_request("a header is repeated"));
    }
    first.to_str().map(Some).map_err(|_| Failure::invalid_request("a header is not plain text"))
}

/// Demands `media_type` (parameters such as `charset` are ignored).
///
/// # Errors
/// 415 for any other type or none.
pub fn expect_media_type(headers: &HeaderMap, media_type: &'static str) -> Result<(), Failure> {
    let given = headers.get(CONTENT_TYPE);
    if given.is_some_and(|value| value == media_type) {
        return Ok(()); // as nearly everybody spells it
    }
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(media_type) { Ok(()) } else { Err(Failure::MediaType { expected: media_type }) }
}
