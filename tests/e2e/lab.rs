//! A server whose signing key the test knows too, so that also what is wrong *under a good signature* can be tried.

use assay_storage::TenantId;
use assay_storage::record::KeyState;
use assay_tests::actors::{App, Person, random_text};
use assay_tests::forge::{self, Signer};
use assay_tests::server::{Options, Runtime, Server};
use assay_tests::target::access_token;
use serde_json::{Value, json};

/// A server whose signing key we have, and claims it would sign itself.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) signer: Signer,
    pub(crate) reader: App,
    pub(crate) claims: Value,
}

impl Lab {
    pub(crate) fn new(runtime: Runtime) -> Lab {
        Lab::with(Options::new(runtime))
    }

    pub(crate) fn with(options: Options) -> Lab {
        let signer = Signer::new(KeyState::Active);
        let server = options.key(TenantId::DEFAULT, signer.row.clone()).start();
        let reader = server.resource_server();
        let minted = access_token(&server.sign_in(&Person::new()));
        assert_eq!(forge::header(&minted), signer.header(), "the server signs with the planted key");
        let lab = Lab { claims: forge::payload(&minted), server, signer, reader };
        // The positive control of every test below: what is forged without a flaw is active, so the flaw is what kills.
        let perfect = lab.forge(|_| {});
        assert!(lab.server.is_active(&lab.reader, &perfect), "a perfect forgery is active");
        assert_eq!(lab.server.userinfo(&perfect).status, 200);
        lab
    }

    /// A well-signed token over changed claims, with an id of its own.
    pub(crate) fn forge(&self, change: impl FnOnce(&mut Value)) -> String {
        self.signer.access_token(&self.changed(change))
    }

    pub(crate) fn changed(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = self.claims.clone();
        claims["jti"] = json!(random_text());
        change(&mut claims);
        claims
    }

    /// A well-signed token under a changed header.
    pub(crate) fn under(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.signer.header();
        change(&mut header);
        self.signer.sign(&header, &self.changed(|_| {}))
    }

    /// OFF alone and in a batch, `invalid_token` at userinfo.
    pub(crate) fn refused(&self, what: &str, token: &str) {
        let single = self.server.introspect(&self.reader, token);
        assert_eq!(single, json!({"active": false}), "{what}, introspect: {token}");
        let batch = self.server.batch(&self.reader, &[token, &self.forge(|_| {})]);
        assert_eq!(batch[0], json!({"active": false}), "{what}, batch: {token}");
        assert_eq!(batch[1]["active"], true, "{what}: its neighbour in the batch");
        // What cannot stand in a header line is for the HTTP layer to refuse, in other tests.
        if token.len() < 8_000 && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let response = self.server.userinfo(token);
            assert_eq!(
                (response.status, response.error().as_str()),
                (401, "invalid_token"),
                "{what}: {}",
                response.shown()
            );
        }
    }

    pub(crate) fn all_refused<S: AsRef<str>>(&self, tokens: impl IntoIterator<Item = (S, String)>) {
        for (what, token) in tokens {
            self.refused(what.as_ref(), &token);
        }
    }

    /// All OFF in batches: for thousands of variants.
    pub(crate) fn batch_refused(&self, tokens: &[String]) {
        for chunk in tokens.chunks(1_000) {
            let results = self.server.batch(&self.reader, chunk);
            assert_eq!(results.len(), chunk.len());
            for (token, result) in chunk.iter().zip(&results) {
                assert_eq!(*result, json!({"active": false}), "{token}");
            }
        }
    }
}
