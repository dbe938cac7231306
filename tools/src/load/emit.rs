//! `assay load --emit`: a file of tokens, and the keys to verify them with, for `assay verify` and for whoever wants to
//! measure another verifier. A function of its options: the same seed gives the same file on any machine.
//!
//! Nothing random and no clock is used: keys and claims come from SHA-256 of the seed, nonces are those of RFC 6979.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write, stderr};

use assay_oauth::encoding::base64url;
use assay_oauth::jose::writer::ObjectWriter;
use clap::{Arg, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use sha2::{Digest, Sha256};

use self::signer::Signer;
use crate::bitcoin_sign;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::limits::EMIT_KEYS_MAX;

mod signer;

/// Tokens made together before they are written: some hundred milliseconds of work.
const CHUNK_TOKENS: u64 = 4_096;

/// `iat` of every token: 2026-01-01.
const ISSUED_AT: u64 = 1_767_225_600;
/// `exp` of every token that is not expired: 2100-01-01.
const EXPIRES_AT: u64 = 4_102_444_800;
/// `exp` of an expired one: 2001-09-09.
const EXPIRED_AT: u64 = 1_000_000_000;
/// The time in every bitcoin-auth token.
const SIGNED_AT: &str = "2026-01-15T12:00:00.000Z";

/// Schemes that tokens are made of, the default first.
const SCHEMES: [&str; 7] = ["es256", "rs256", "eddsa", "hs256", "es256k", "brc77", "bsm"];

/// Adds the options of this mode; `--scheme` and `--seed` it shares with the load itself.
pub(crate) fn args(command: Command) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Writing tokens")
    };
    let options = [
        option("emit", "N", "Write a file of N tokens instead of loading a server")
            .value_parser(clap::value_parser!(u64).range(1..)),
        option("keys", "K", "Keys that sign them in turn")
            .value_parser(clap::value_parser!(u64).range(1..=EMIT_KEYS_MAX))
            .default_value("1"),
        option("invalid", "PERCENT", "How many do not verify")
            .value_parser(clap::value_parser!(f64))
            .default_value("0"),
        option("claims-bytes", "BYTES", "Length of a JWT's claims, at least some 250")
            .value_parser(clap::value_parser!(u64).range(0..=8_000))
            .default_value("350"),
        option("output", "FILE", "Where the tokens go, one per line"),
        option("jwks-out", "FILE", "Where the public keys go, or the secret of hs256"),
    ];
    command.args(options)
}

/// Whether this mode was asked for.
pub(crate) fn requested(matches: &ArgMatches) -> bool {
    matches.try_contains_id("emit").unwrap_or(false)
}

/// Writes the files.
///
/// # Errors
/// One line saying what is wrong and what to do.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or_default();
    let output = text("output")
        .ok_or_else(|| Failure::Usage("--emit needs a place for the tokens; give --output FILE".to_owned()))?;
    let invalid = matches.get_one::<f64>("invalid").copied().unwrap_or_default();
    if !(0.0..=100.0).contains(&invalid) {
        return Err(Failure::Usage(format!("--invalid {invalid} is no percentage; give 0 to 100")));
    }
    let scheme = text("scheme").unwrap_or(SCHEMES[0]);
    if !SCHEMES.contains(&scheme) {
        return Err(Failure::Usage(format!("--scheme {scheme}: tokens are made of {}", SCHEMES.join(", "))));
    }
    let seed = text("seed").unwrap_or_default().as_bytes().to_vec();
    let (keys_count, jwks_out) = (number("keys"), text("jwks-out"));
    if scheme == "hs256" && keys_count > 1 {
        return Err(Failure::Usage("hs256 has one secret, not several; leave out --keys".to_owned()));
    }
    if jwks_out.is_some() && matches!(scheme, "brc77" | "bsm") {
        return Err(Failure::Usage(format!("{scheme} tokens carry their keys; leave out --jwks-out")));
    }
    let interrupt = Interrupt::listen()?;
    let signers: Vec<_> =
        (0..keys_count).into_par_iter().map(|index| Signer::from_seed(scheme, &seed, index)).collect();
    if let Some(path) = jwks_out {
        std::fs::write(path, signer::verification_keys(&signers))
            .map_err(|error| Failure::Usage(format!("cannot write {path}: {error}; correct --jwks-out")))?;
    }
    let recipe = Recipe {
        seed,
        signers,
        invalid_per_million: (invalid * 1e4).round() as u64,
        claims_bytes: number("claims-bytes"),
    };
    let count = number("emit");
    write(&recipe, count, output, &interrupt)?;
    let hint = match (scheme, jwks_out) {
        ("brc77" | "bsm", _) => format!("--scheme {scheme} --now {SIGNED_AT}"),
        ("hs256", path) => format!("--secret-file {}", path.unwrap_or("…")),
        (_, path) => format!("--jwks {}", path.unwrap_or("…")),
    };
    eprintln!("{count} {scheme} tokens in {output}; verify them with: assay verify {hint} {output}");
    Ok(())
}

fn write(recipe: &Recipe, count: u64, output: &str, interrupt: &Interrupt) -> Result<(), Failure> {
    let cannot = |error| Failure::Failed(format!("cannot write {output}: {error}; correct --output or make room"));
    let file = File::create(output)
        .map_err(|error| Failure::Usage(format!("cannot write {output}: {error}; correct --output")))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    let template = "{bar:30} {human_pos}/{human_len} tokens ({per_sec}), {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is the line above"));
    let mut start = 0;
    while start < count {
        if interrupt.is_set() {
            file.flush().map_err(cannot)?;
            return Err(Failure::Failed(format!("interrupted after {start} of {count} tokens")));
        }
        let end = count.min(start + CHUNK_TOKENS);
        let tokens: Vec<_> = (start..end).into_par_iter().map(|index| recipe.line(index)).collect();
        for token in &tokens {
            file.write_all(token.as_bytes()).map_err(cannot)?;
        }
        start = end;
        bar.set_position(start);
    }
    bar.finish_and_clear();
    file.flush().map_err(cannot)
}

/// Everything that decides what a token is.
struct Recipe {
    seed: Vec<u8>,
    signers: Vec<Signer>,
    invalid_per_million: u64,
    claims_bytes: u64,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Its claims were changed after it was signed.
    Claims,
    Expired,
    /// A bit of its signature is wrong.
    Signature,
    UnknownKid,
}

impl Recipe {
    /// One token and a line end.
    fn line(&self, index: u64) -> String {
        let digest = digest(&self.seed, "token", &[index]);
        let word = |at: usize| u64::from_be_bytes(digest[at..at + 8].try_into().expect("8 bytes"));
        let signer = &self.signers[(word(0) % self.signers.len() as u64) as usize];
        let is_flawed = word(8) % 1_000_000 < self.invalid_per_million;
        let flaw = is_flawed.then(|| match word(8) / 1_000_000 % 4 {
            0 => Flaw::Claims,
            1 => Flaw::Expired,
            2 => Flaw::Signature,
            _ => Flaw::UnknownKid,
        });
        let mut line = match signer.bitcoin() {
            Some((key, scheme)) => bitcoin_token(key, scheme, index, &digest, flaw),
            None => self.jwt(signer, index, &digest, flaw),
        };
        line.push('\n');
        line
    }

    fn jwt(&self, signer: &Signer, index: u64, digest: &[u8; 32], flaw: Option<Flaw>) -> String {
        let kid = if flaw == Some(Flaw::UnknownKid) { "nobody" } else { signer.kid() };
        let header =
            ObjectWriter::new().string("alg", signer.alg()).string("kid", kid).string("typ", "at+jwt").finish();
        let payload = base64url(self.claims(index, digest, flaw));
        let mut token = format!("{}.{payload}", base64url(header));
        let mut signature = signer.sign(token.as_bytes());
        match flaw {
            // A secret has no name, so an unknown one alone would not do.
            Some(Flaw::Signature | Flaw::UnknownKid) => signature[10] ^= 1,
            Some(Flaw::Claims) => {
                let changed = base64url(self.claims(index + 1, digest, flaw));
                token.truncate(token.len() - payload.len());
                token.push_str(&changed);
            }
            Some(Flaw::Expired) | None => {}
        }
        token.push('.');
        token.push_str(&base64url(signature));
        token
    }

    /// The claims of an access token of assay's, made as long as they should be.
    fn claims(&self, index: u64, digest: &[u8; 32], flaw: Option<Flaw>) -> String {
        let mut claims = ObjectWriter::with_capacity(512);
        claims
            .string("iss", "https://id.example")
            .string("sub", &format!("usr_{index:010}"))
            .strings("aud", ["https://api.example"])
            .integer("exp", if flaw == Some(Flaw::Expired) { EXPIRED_AT } else { EXPIRES_AT })
            .integer("iat", ISSUED_AT)
            .string("jti", &hex::encode(&digest[..16]))
            .string("client_id", "app")
            .string("scope", "openid profile")
            .string("tid", "default")
            .string("sty", "user")
            .integer("gen", 1);
        let text = claims.finish();
        let missing = (self.claims_bytes as usize).saturating_sub(text.len() + r#","pad":"""#.len());
        if missing == 0 {
            return text;
        }
        let pad: String = hex::encode(digest).chars().cycle().take(missing).collect();
        format!("{},\"pad\":\"{pad}\"}}", &text[..text.len() - 1])
    }
}

fn bitcoin_token(
    key: &bitcoin_sign::PrivateKey,
    scheme: bitcoin_sign::Scheme,
    index: u64,
    digest: &[u8; 32],
    flaw: Option<Flaw>,
) -> String {
    let path = format!("/api/things/{index}");
    let token = bitcoin_sign::token_with_key_id(key, scheme, &path, SIGNED_AT, b"", digest);
    match flaw {
        None => token,
        // What was signed was for another path.
        Some(_) => token.replacen(&path, &format!("{path}x"), 1),
    }
}

/// The seed's bytes for one purpose.
fn digest(seed: &[u8], purpose: &str, numbers: &[u64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((seed.len() as u64).to_be_bytes());
    hash.update(seed);
    hash.update(purpose);
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::verify::judge::{Block, Judge};
    use crate::verify::keys::KeyRing;
    use crate::verify::rules::Rules;
    use crate::verify::summary::Counts;

    fn recipe(scheme: &str, keys: u64, invalid_per_million: u64, claims_bytes: u64) -> Recipe {
        let signers = (0..keys).map(|index| Signer::from_seed(scheme, b"7", index)).collect();
        Recipe { seed: b"7".to_vec(), signers, invalid_per_million, claims_bytes }
    }

    fn counts(recipe: &Recipe, count: u64) -> Counts {
        let text: String = (0..count).map(|index| recipe.line(index)).collect();
        let keys = signer::verification_keys(&recipe.signers);
        let rules = Rules {
            keys: KeyRing::parse(keys.as_bytes()).unwrap_or_default(),
            now_ms: Some(1_768_478_400_000),
            ..Rules::default()
        };
        let mut counts = Counts::default();
        let block = Block { first_line: 1, data: Bytes::from(text), long_line_follows: false };
        Judge::new(Arc::new(rules)).judge(&block, &mut String::new(), &mut counts);
        counts
    }

    #[test]
    fn tokens_of_every_scheme_verify_and_flawed_ones_do_not() {
        for scheme in SCHEMES.into_iter().filter(|scheme| *scheme != "hs256") {
            let keys = if scheme == "rs256" { 1 } else { 3 };
            let good = counts(&recipe(scheme, keys, 0, 350), 20);
            assert_eq!((good.valid(), good.invalid()), (20, 0), "{scheme}");
            let bad = counts(&recipe(scheme, keys, 1_000_000, 350), 20);
            assert_eq!((bad.valid(), bad.invalid()), (0, 20), "{scheme}");
        }
    }

    #[test]
    fn a_file_is_a_function_of_its_options() {
        let lines = |recipe: &Recipe| (0..50).map(|index| recipe.line(index)).collect::<String>();
        let one = lines(&recipe("es256", 2, 200_000, 350));
        assert_eq!(one, lines(&recipe("es256", 2, 200_000, 350)));
        assert_ne!(one, lines(&recipe("es256", 3, 200_000, 350)));
        // Another machine must come to the same.
        let known = hex::encode(Sha256::digest(&one));
        assert_eq!(known, KNOWN, "the format of emitted files changed");
    }

    /// SHA-256 of the first fifty tokens of seed 7 with two keys and a fifth of them invalid.
    const KNOWN: &str = "d2ca6f52de1b6cbb090573c7fb19c241c84398e59ffb31f53754d2c17986134d";

    #[test]
    fn claims_are_as_long_as_asked() {
        for bytes in [300, 350, 1_000] {
            let recipe = recipe("eddsa", 1, 0, bytes);
            assert_eq!(recipe.claims(5, &[9; 32], None).len() as u64, bytes);
        }
        assert!(recipe("eddsa", 1, 0, 0).claims(5, &[9; 32], None).ends_with("\"gen\":1}"));
    }
}
