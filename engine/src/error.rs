//! Outcomes, sorted by whose fault they are.

use std::fmt;

/// The answer to one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Verification panicked, which is our bug: answer 500 or treat as not verified, never as verified.
    Internal,
    /// The bytes were bad. Final: asking again gives the same answer.
    Invalid(Reject),
    /// The signature is good.
    Valid,
}

impl Verdict {
    /// True for [`Verdict::Valid`] only.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self == Self::Valid
    }
}

/// Why the bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reject {
    /// The algorithm named by the token does not go with this key.
    #[error("algorithm does not fit the key")]
    Algorithm,
    /// A BRC-77 envelope with a version other than ours, or too short to be one.
    #[error("unknown envelope version")]
    EnvelopeVersion,
    /// s > n/2 where the policy asks for low S.
    #[error("high S")]
    HighS,
    /// The signer inside the envelope is not the key that was claimed.
    #[error("signer differs from the claimed key")]
    KeyMismatch,
    /// DER that breaks a rule of the scheme.
    #[error("malformed DER")]
    MalformedDer,
    /// Not a public key.
    #[error("malformed public key")]
    MalformedKey,
    /// Wrong length, header byte or number out of range.
    #[error("malformed signature")]
    MalformedSignature,
    /// Well formed, and not a signature of this message by this key.
    #[error("signature does not match")]
    Mismatch,
    /// A BRC-77 envelope that only one named verifier can check.
    #[error("addressed to one verifier")]
    NotForAnyone,
}

impl Reject {
    /// The rule's name as the published vectors for Bitcoin-auth tokens spell it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Algorithm => "bad_algorithm",
            Self::EnvelopeVersion => "bad_version",
            Self::KeyMismatch => "pubkey_mismatch",
            Self::MalformedDer => "bad_der",
            Self::MalformedKey => "bad_pubkey",
            Self::HighS | Self::MalformedSignature | Self::Mismatch => "bad_signature",
            Self::NotForAnyone => "not_for_anyone",
        }
    }
}

/// We could not look: answer 503, asking again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unavailable {
    /// The bound on unanswered jobs is reached.
    #[error("verification queue is full")]
    QueueFull,
    /// No new work is taken.
    #[error("verification is shutting down")]
    ShuttingDown,
}

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyError {
    /// Wrong length, not canonical, not on the curve, of small order, or outside the size bounds.
    #[error("the bytes are not an acceptable key of this kind")]
    Malformed,
    /// A member the key type needs is absent.
    #[error("key member `{0}` is missing")]
    Missing(&'static str),
    /// A key type or curve nobody here verifies with.
    #[error("unsupported key type or curve")]
    Unsupported,
}

impl From<assay_kernels::key::InvalidKey> for KeyError {
    fn from(_: assay_kernels::key::InvalidKey) -> Self {
        Self::Malformed
    }
}

impl From<Reject> for Verdict {
    fn from(reject: Reject) -> Self {
        Self::Invalid(reject)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internal => f.write_str("internal error"),
            Self::Invalid(reject) => reject.fmt(f),
            Self::Valid => f.write_str("valid"),
        }
    }
}
