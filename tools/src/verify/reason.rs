//! Why a line is not valid, and by which scheme it was judged: the words that verdicts are made of. They are a stable
//! interface; `docs/verify-json.md` lists them and a test compares.

use assay_engine::{JwsAlgorithm, Reject as EngineReject};
use assay_oauth::bitcoin_token::Reject as BitcoinReject;
use assay_oauth::jose::Reject as JoseReject;

/// Declares an enum whose variants each have one word, and the list of all of them.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every one, in the order of declaration.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// Why a line is not valid: the first rule it breaks.
    Reason {
        /// The algorithm is not that of the key which `kid` names.
        AlgMismatch = "alg_mismatch",
        /// No `kid`, and several keys would fit.
        AmbiguousKey = "ambiguous_key",
        /// `aud` holds none of the expected audiences.
        AudienceMismatch = "audience_mismatch",
        /// Not an address of a public key's hash.
        BadAddress = "bad_address",
        /// Base64 that is foreign, padded wrongly or not canonical.
        BadBase64 = "bad_base64",
        /// A claim has the wrong type or is out of range.
        BadClaims = "bad_claims",
        /// A signature that should be DER and is not.
        BadDer = "bad_der",
        /// A member of a JSON line is neither hex nor base64 where it must be.
        BadEncoding = "bad_encoding",
        /// A JOSE header with forbidden, missing or wrongly typed members.
        BadHeader = "bad_header",
        /// Not one strict JSON object.
        BadJson = "bad_json",
        /// Not a public key.
        BadPubkey = "bad_pubkey",
        /// A scheme nobody here knows.
        BadScheme = "bad_scheme",
        /// Malformed, or not a signature of this message by this key.
        BadSignature = "bad_signature",
        /// Not three non-empty parts.
        BadStructure = "bad_structure",
        /// Not an RFC 3339 time.
        BadTimestamp = "bad_timestamp",
        /// Not a BRC-77 envelope of the known version.
        BadVersion = "bad_version",
        /// Nothing but white space.
        EmptyLine = "empty_line",
        /// Past its `exp`.
        Expired = "expired",
        /// A bitcoin-auth token from more than five minutes ahead.
        Future = "future",
        /// Verification failed through our own fault.
        InternalError = "internal_error",
        /// `iss` is not the expected issuer.
        IssuerMismatch = "issuer_mismatch",
        /// Longer than a line may be.
        LineTooLong = "line_too_long",
        /// Not five parts of a bitcoin-auth token, or too long for one.
        Malformed = "malformed",
        /// No key was given that fits the algorithm.
        NoKey = "no_key",
        /// A BRC-77 envelope addressed to one verifier.
        NotForAnyone = "not_for_anyone",
        /// Not UTF-8.
        NotUtf8 = "not_utf8",
        /// Before its `nbf`.
        NotYetValid = "not_yet_valid",
        /// A bitcoin-auth token for another path.
        PathMismatch = "path_mismatch",
        /// The key is not the one that was claimed beside it.
        PubkeyMismatch = "pubkey_mismatch",
        /// A scheme other than the one that `--scheme` names.
        SchemeMismatch = "scheme_mismatch",
        /// A bitcoin-auth token from more than five minutes ago.
        Stale = "stale",
        /// A JWT longer than 16 KiB.
        TokenTooLong = "token_too_long",
        /// No key of this `kid`.
        UnknownKid = "unknown_kid",
        /// Nothing that this tool knows how to verify.
        UnknownShape = "unknown_shape",
        /// An `alg` that is not verified here; `none` among them.
        UnsupportedAlg = "unsupported_alg",
    }
}

words! {
    /// By which rules a signature is judged.
    Scheme {
        /// BIP-340.
        Bip340 = "bip340",
        /// BRC-77 for anyone.
        Brc77 = "brc77",
        /// Bitcoin Signed Message.
        Bsm = "bsm",
        /// ECDSA over secp256k1 and SHA-256, compact or DER.
        Ecdsa = "ecdsa",
        /// Ed25519.
        EdDsa = "eddsa",
        /// ECDSA over P-256 and SHA-256.
        Es256 = "es256",
        /// ECDSA over secp256k1 and SHA-256, as JWS has it.
        Es256k = "es256k",
        /// HMAC with SHA-256.
        Hs256 = "hs256",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "rs256",
    }
}

impl Scheme {
    /// Reads a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.as_str() == name)
    }
}

impl From<JwsAlgorithm> for Scheme {
    fn from(alg: JwsAlgorithm) -> Self {
        match alg {
            JwsAlgorithm::EdDsa => Self::EdDsa,
            JwsAlgorithm::Es256 => Self::Es256,
            JwsAlgorithm::Es256k => Self::Es256k,
            JwsAlgorithm::Hs256 => Self::Hs256,
            JwsAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl From<EngineReject> for Reason {
    fn from(reject: EngineReject) -> Self {
        match reject {
            EngineReject::Algorithm => Self::AlgMismatch,
            EngineReject::EnvelopeVersion => Self::BadVersion,
            EngineReject::KeyMismatch => Self::PubkeyMismatch,
            EngineReject::MalformedDer => Self::BadDer,
            EngineReject::MalformedKey => Self::BadPubkey,
            EngineReject::HighS | EngineReject::MalformedSignature | EngineReject::Mismatch => Self::BadSignature,
            EngineReject::NotForAnyone => Self::NotForAnyone,
        }
    }
}

impl From<BitcoinReject> for Reason {
    fn from(reject: BitcoinReject) -> Self {
        match reject {
            BitcoinReject::Malformed => Self::Malformed,
            BitcoinReject::BadScheme => Self::BadScheme,
            BitcoinReject::BadPubkey => Self::BadPubkey,
            BitcoinReject::BadTimestamp => Self::BadTimestamp,
            BitcoinReject::Stale => Self::Stale,
            BitcoinReject::Future => Self::Future,
            BitcoinReject::PathMismatch => Self::PathMismatch,
            BitcoinReject::BadBase64 => Self::BadBase64,
            BitcoinReject::BadSignature => Self::BadSignature,
            BitcoinReject::BadVersion => Self::BadVersion,
            BitcoinReject::PubkeyMismatch => Self::PubkeyMismatch,
            BitcoinReject::NotForAnyone => Self::NotForAnyone,
            BitcoinReject::BadDer => Self::BadDer,
        }
    }
}

impl From<JoseReject> for Reason {
    fn from(reject: JoseReject) -> Self {
        match reject {
            JoseReject::Algorithm => Self::UnsupportedAlg,
            JoseReject::Base64 => Self::BadBase64,
            JoseReject::Claims => Self::BadClaims,
            JoseReject::Header | JoseReject::KeyId | JoseReject::Type => Self::BadHeader,
            JoseReject::Json => Self::BadJson,
            JoseReject::Length => Self::TokenTooLong,
            JoseReject::Signature => Self::BadSignature,
            JoseReject::Structure => Self::BadStructure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words in backquotes that open a row of a table of `docs/verify-json.md` below `heading`.
    fn documented(heading: &str) -> Vec<&'static str> {
        let text = include_str!("../../../docs/verify-json.md");
        let section = text.split("\n## ").find(|section| section.starts_with(heading)).expect("the section is there");
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
    }

    #[test]
    fn reasons_and_schemes_are_the_documented_ones() {
        let words: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(documented("Reasons"), words);
        let words: Vec<_> = Scheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
        assert_eq!(documented("Schemes"), words);
        assert!(words.is_sorted() && Reason::ALL.iter().map(|reason| reason.as_str()).is_sorted());
    }

    /// Both crates spell the vectors' codes; a third spelling would be a lie.
    #[test]
    fn bitcoin_reasons_keep_their_names() {
        for reject in [EngineReject::MalformedDer, EngineReject::KeyMismatch, EngineReject::NotForAnyone] {
            assert_eq!(Reason::from(reject).as_str(), reject.code());
        }
        for reject in [BitcoinReject::Stale, BitcoinReject::BadPubkey, BitcoinReject::PathMismatch] {
            assert_eq!(Reason::from(reject).as_str(), reject.as_str());
        }
    }
}
