//! The one outward error of the OAuth routes: a code of the RFCs, a safe description, and the HTTP status.
//!
//! It never carries a token, code, secret or signature; descriptions are reduced to the characters RFC 6749 allows.

use std::borrow::Cow;

use crate::limits::ERROR_DESCRIPTION_BYTES_MAX;

/// Error codes of RFC 6749, 6750, 7009, 8707 and OpenID Connect Core, in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The person or the server refused.
    AccessDenied,
    /// `prompt=none`, but consent must be asked.
    ConsentRequired,
    /// The bearer token is good but lacks a scope.
    InsufficientScope,
    /// A page is needed that `prompt=none` forbids.
    InteractionRequired,
    /// Client authentication failed.
    InvalidClient,
    /// The code (or other grant) is unknown, used, expired, or not for this request.
    InvalidGrant,
    /// The request is malformed.
    InvalidRequest,
    /// A scope is unknown or not allowed to this client.
    InvalidScope,
    /// A resource indicator is unknown or not allowed to this client.
    InvalidTarget,
    /// The bearer token does not entitle.
    InvalidToken,
    /// `prompt=none`, but nobody is signed in.
    LoginRequired,
    /// A `request` object was sent.
    RequestNotSupported,
    /// A `request_uri` was sent.
    RequestUriNotSupported,
    /// Our own fault.
    ServerError,
    /// The Bitcoin key is unknown and people must sign up first.
    SignupRequired,
    /// We could not look now; retrying helps.
    TemporarilyUnavailable,
    /// This client may not use this grant.
    UnauthorizedClient,
    /// Unknown `grant_type`.
    UnsupportedGrantType,
    /// `response_type` is not `code`.
    UnsupportedResponseType,
}

impl ErrorCode {
    /// The code as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ConsentRequired => "consent_required",
            Self::InsufficientScope => "insufficient_scope",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidToken => "invalid_token",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::ServerError => "server_error",
            Self::SignupRequired => "signup_required",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }

    /// The HTTP status when the error is a response of its own (not a redirect).
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope | Self::SignupRequired => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

/// An error answer of an OAuth route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct OAuthError {
    /// The RFC's code.
    pub code: ErrorCode,
    /// Text for the developer of the other side; only %x20-21 / %x23-5B / %x5D-7E.
    pub description: Cow<'static, str>,
    status: u16,
}

impl OAuthError {
    /// An error with the status its code has by the RFC; the description is made safe.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: sanitise(description.into()), status: code.status() }
    }

    /// The same error under another status (Sigma answers 401 to a request without a header).
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The HTTP status of this answer.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// `{"error":…,"error_description":…}`.
    pub fn to_json(&self) -> Vec<u8> {
        // A sanitised description holds no character that JSON escapes.
        format!(r#"{{"error":"{}","error_description":"{}"}}"#, self.code.as_str(), self.description).into_bytes()
    }

    /// `access_denied`.
    pub fn access_denied(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::AccessDenied, description)
    }

    /// `invalid_client`, 401.
    pub fn invalid_client(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidClient, description)
    }

    /// `invalid_grant`, 400.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// `invalid_request`, 400.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// `invalid_scope`, 400.
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidScope, description)
    }

    /// `invalid_token`, 401.
    pub fn invalid_token(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidToken, description)
    }

    /// `temporarily_unavailable`, 503.
    pub fn temporarily_unavailable(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, description)
    }
}

fn is_description_byte(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

/// Replaces what RFC 6749 §5.2 forbids by `?` and cuts at the bound: descriptions may echo a client's own words.
fn sanitise(description: Cow<'static, str>) -> Cow<'static, str> {
    if description.len() <= ERROR_DESCRIPTION_BYTES_MAX && description.bytes().all(is_description_byte) {
        return description;
    }
    description
        .chars()
        .map(|c| if c.is_ascii() && is_description_byte(c as u8) { c } else { '?' })
        .take(ERROR_DESCRIPTION_BYTES_MAX)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_reduced_to_the_allowed_characters() {
        fn check(input: &'static str, expected: &str) {
            assert_eq!(OAuthError::invalid_request(input).description, expected);
        }
        check("plain text!", "plain text!");
        check("a\"b\\c", "a?b?c");
        check("line\r\nbreak\0", "line??break?");
        check("ünï", "?n?");
        let long: String = "x".repeat(5_000);
        assert_eq!(OAuthError::invalid_request(long).description.len(), ERROR_DESCRIPTION_BYTES_MAX);
    }

    #[test]
    fn json_is_valid_whatever_the_description() {
        let error = OAuthError::invalid_client("\"},{\"active\":true").to_json();
        let value: serde_json::Value = serde_json::from_slice(&error).unwrap();
        assert_eq!(value["error"], "invalid_client");
        assert_eq!(value.as_object().unwrap().len(), 2);
    }

    #[test]
    fn statuses() {
        assert_eq!(OAuthError::invalid_client("").status(), 401);
        assert_eq!(OAuthError::invalid_grant("").status(), 400);
        assert_eq!(OAuthError::invalid_grant("").with_status(401).status(), 401);
        assert_eq!(OAuthError::temporarily_unavailable("").status(), 503);
    }
}
