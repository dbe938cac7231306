//! Every place, every kind of value, every refusal.

use super::*;

const MACHINE: Machine = Machine { cores: 4, stderr_is_terminal: false };

fn load(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: &str) -> Result<Loaded, String> {
    let mut overrides = Overrides::default();
    for (flag, value) in flags {
        overrides.set(flag, *value);
    }
    let path = (!file.is_empty()).then(|| scratch_file(file));
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = Config::load_on(&MACHINE, overrides, env, path.as_deref()).map_err(|error| error.to_string());
    if let Some(path) = path {
        std::fs::remove_file(path).expect("the file was just written");
    }
    loaded
}

fn scratch_file(text: &str) -> PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("assay-config-{}-{}.toml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("the temporary directory is writable");
    path
}

fn refused(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: &str, words: &[&str]) {
    let message = load(flags, env, file).expect_err("this configuration must be refused");
    assert!(!message.contains('\n'), "not one line: {message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn defaults_are_the_documented_ones() {
    let loaded = load(&[], &[], "").unwrap();
    let config = &loaded.config;
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.admin, "http://127.0.0.1:8081");
    assert_eq!(config.issuer, "http://127.0.0.1:8080");
    assert_eq!(config.data, PathBuf::from("./data"));
    assert_eq!((config.cores, config.engine_threads), (4, 4));
    assert_eq!(config.log, LogFormat::Json);
    assert_eq!(config.access_token_lifetime_s, 900);
    assert!(config.implicit_signup && !config.cookies_are_secure());
    assert!(loaded.rows().all(|(_, _, origin)| *origin == Origin::Default));
    let terminal = Machine { stderr_is_terminal: true, ..MACHINE };
    let loaded = Config::load_on(&terminal, Overrides::default(), std::iter::empty(), None).unwrap();
    assert_eq!(loaded.config.log, LogFormat::Pretty);
}

#[test]
fn table_is_consistent() {
    let loaded = load(&[], &[], "").unwrap();
    let mut names = std::collections::BTreeSet::new();
    let mut slots = std::collections::BTreeSet::new();
    for (key, value, _) in loaded.rows() {
        assert!(names.insert(key.name) && slots.insert(key.env), "{} twice", key.name);
        assert_eq!(key.env, format!("ASSAY_{}", key.name.to_uppercase().replace('.', "_")));
        assert!(key.flag.is_none_or(|flag| flag == key.name.replace('_', "-")));
        assert!(!key.help.is_empty());
        assert!(
            key.default_is_derived || key.default == value,
            "{}: default {} loads as {value}",
            key.name,
            key.default
        );
        // Whatever is printed can be read back, and lands in a field that no other key writes.
        let again = load(&[], &[(key.env, &value)], "").unwrap();
        assert_eq!(again.config, loaded.config, "{}", key.name);
        assert_eq!(*again.origin(key.name), Origin::Env(key.env));
    }
}

#[test]
fn each_range_key_holds_exactly_its_range_and_its_own_field() {
    let base = load(&[], &[], "").unwrap();
    for key in KEYS {
        let Bound::Range(min, max) = key.bound else { continue };
        for inside in [min, max] {
            let loaded = load(&[], &[(key.env, &inside.to_string())], "").unwrap();
            let changed: Vec<_> = loaded
                .rows()
                .zip(base.rows())
                .filter(|((_, a, _), (_, b, _))| a != b)
                .map(|((key, value, _), _)| (key.name, value))
                .collect();
            let expected = (key.name, inside.to_string());
            assert!(changed.iter().all(|c| *c == expected || c.0 == "engine_threads"), "{}: {changed:?}", key.name);
        }
        refused(&[], &[(key.env, &(max + 1).to_string())], "", &[key.name, &format!("{min}..={max}")]);
        if min > 0 {
            refused(&[], &[(key.env, &(min - 1).to_string())], "", &[key.name]);
        }
        for bad in ["", "-1", "1.5", "1e3", " 60", "0x10", "99999999999999999999999", "many"] {
            refused(&[], &[(key.env, bad)], "", &[key.name, key.env]);
        }
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "cores = 2\nissuer = \"https://id.example\"\nlog_level = \"debug\"\n[quota]\napi_per_min = 7\n";
    let loaded =
        load(&[("cores", "8")], &[("ASSAY_CORES", "3"), ("ASSAY_ISSUER", "https://env.example/base")], file).unwrap();
    assert_eq!((loaded.config.cores, loaded.config.engine_threads), (8, 8));
    assert_eq!(loaded.config.issuer, "https://env.example/base");
    assert_eq!(loaded.config.log_level, LogLevel::Debug);
    assert_eq!(loaded.config.quota_api_per_min, 7);
    assert_eq!(loaded.origin("cores").to_string(), "flag --cores");
    assert_eq!(loaded.origin("issuer").to_string(), "env ASSAY_ISSUER");
    assert!(loaded.origin("quota.api_per_min").to_string().starts_with("file "));
    assert_eq!(loaded.origin("listen").to_string(), "default");
    assert!(loaded.config.cookies_are_secure());
}

#[test]
fn file_kinds_are_strict_and_lists_are_arrays() {
    let loaded = load(
        &[],
        &[],
        "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\ntrusted_origins = [\"https://app.example\"]\nimplicit_signup = false\n",
    )
    .unwrap();
    assert_eq!(loaded.config.trusted_proxies.len(), 2);
    assert!(!loaded.config.implicit_signup);
    for bad in [
        "cores = \"2\"",
        "cores = 2.0",
        "cores = -1",
        "listen = 8080",
        "implicit_signup = \"true\"",
        "trusted_proxies = \"10.0.0.0/8\"",
        "trusted_proxies = [1]",
        "trusted_proxies = [\"10.0.0.0/33\"]",
        "cores = { n = 1 }",
        "issuer = 1979-05-27",
    ] {
        let key = bad.split(' ').next().expect("split yields at least one part");
        refused(&[], &[], bad, &[key, "file "]);
    }
    refused(&[], &[], "cores = 2\n\ncores = ", &[":3:", "correct the file"]);
    refused(&[], &[], "cores = 2\ncores = 3", &["duplicate"]);
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused(&[], &[], "lissten = \"127.0.0.1:1\"", &["lissten", "did you mean listen?"]);
    refused(&[], &[], "admin-listen = \"127.0.0.1:1\"", &["did you mean admin_listen?"]);
    refused(&[], &[], "[quota]\napi_per_mn = 3", &["did you mean quota.api_per_min?"]);
    refused(&[], &[], "[server]\ncores = 3", &["server", "not a key"]);
    refused(&[], &[("ASSAY_LISTN", "x")], "", &["ASSAY_LISTN", "environment", "did you mean ASSAY_LISTEN?"]);
    let message = load(&[], &[("ASSAY_WHOLLY_DIFFERENT_THING", "hunter2")], "").unwrap_err();
    assert!(!message.contains("did you mean") && !message.contains("hunter2"), "{message}");
    load(
        &[],
        &[("ASSAY_KEY", "k"), ("ASSAY_CONFIG", "c"), ("ASSAY_TEST_X", "y"), ("PATH", "/bin"), ("ASSAYER", "z")],
        "",
    )
    .unwrap();
}

#[test]
fn refusals_name_key_value_bound_and_remedy() {
    refused(
        &[("listen", "localhost")],
        &[],
        "",
        &["listen = \"localhost\"", "flag --listen", "IP address and port", "default (127.0.0.1:8080)"],
    );
    refused(&[("runtime", "uring")], &[], "", &["one of auto, epoll, io_uring"]);
    refused(&[], &[("ASSAY_CODE_LIFETIME_S", "601")], "", &["10..=600 (seconds)"]);
    refused(&[("data", "")], &[], "", &["data"]);
    refused(&[("listen", "127.0.0.1:9"), ("admin-listen", "127.0.0.1:9")], &[], "", &["127.0.0.1:9", "of its own"]);
    refused(&[], &[("ASSAY_ISSUER", &"x\n".repeat(9999))], "", &["issuer", "…"]);
    load(&[("listen", "127.0.0.1:0"), ("admin-listen", "127.0.0.1:0")], &[], "").unwrap();
    let missing =
        Config::load_on(&MACHINE, Overrides::default(), std::iter::empty(), Some(Path::new("/nonexistent/a.toml")));
    assert!(missing.unwrap_err().to_string().contains("--config"));
}

#[test]
fn issuer_shapes() {
    for good in [
        "https://id.example",
        "http://127.0.0.1:8080",
        "https://id.example/api/auth",
        "http://[::1]:8080",
        "http://localhost",
    ] {
        assert_eq!(load(&[("issuer", good)], &[], "").unwrap().config.issuer, good);
    }
    for bad in [
        "",
        "id.example",
        "ftp://id.example",
        "https://",
        "https:///x",
        "https://id.example/",
        "https://id.example/a/",
        "https://id.example?x=1",
        "https://id.example#f",
        "https://u@id.example",
        "https://u:p@id.example",
        "HTTPS://id.example",
        "https://ID.example",
        "https://id.example:0",
        "https://id.example:99999",
        "https://id.example:",
        "https://id..example",
        "https://id.example/a b",
        "https://id.example\n",
        "https://[::1",
        "https://[zz]",
        "https://a//b",
        "https://-a",
        "https://é.example",
        "https://id.example//x",
        "https://id.example:+80",
        "https://[::1]x",
    ] {
        refused(&[("issuer", bad)], &[], "", &["issuer", "absolute http or https URL"]);
    }
}

#[test]
fn addresses_bound_to_everything_are_reached_over_loopback() {
    let loaded = load(&[("listen", "0.0.0.0:80"), ("admin-listen", "[::]:81")], &[], "").unwrap();
    assert_eq!(loaded.config.issuer, "http://127.0.0.1:80");
    assert_eq!(loaded.config.admin, "http://[::1]:81");
}

#[test]
fn trusted_origins_compare_as_browsers_write_them() {
    let loaded = load(
        &[("issuer", "https://id.example:443/base")],
        &[("ASSAY_TRUSTED_ORIGINS", "https://a.example, http://b.example:8080")],
        "",
    )
    .unwrap();
    for (origin, trusted) in [
        ("https://id.example", true),
        ("https://a.example", true),
        ("http://b.example:8080", true),
        ("http://a.example", false),
        ("https://a.example.evil", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(loaded.config.origin_is_trusted(origin), trusted, "{origin}");
    }
    for bad in ["https://a.example/", "https://a.example:443", "null", "*", "https://a.example,,https://b.example"] {
        refused(&[], &[("ASSAY_TRUSTED_ORIGINS", bad)], "", &["trusted_origins"]);
    }
}

#[test]
fn pages_and_admin_urls() {
    for good in ["/sign-in", "/", "https://app.example/login"] {
        load(&[], &[("ASSAY_SIGNIN_PAGE", good)], "").unwrap();
    }
    for bad in ["", "sign-in", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a?b", "/a#b", "/a\r\nb"] {
        refused(&[], &[("ASSAY_SIGNIN_PAGE", bad)], "", &["signin_page"]);
    }
    for bad in ["https://127.0.0.1:8081", "http://127.0.0.1:8081/", "127.0.0.1:8081"] {
        refused(&[("admin", bad)], &[], "", &["admin", "http URL without path"]);
    }
}
