//! Reports of runs that never happened.

use super::*;
use crate::load::tally::Window;

fn setting(rate: Option<f64>) -> Setting {
    Setting {
        target: "http://t".to_owned(),
        scenario: "mixed".to_owned(),
        steps: vec!["a".to_owned(), "b".to_owned()],
        is_http2: false,
        tls: false,
        arrivals: rate.map(|_| "even"),
        rate: rate.map(|rate| RateRange { from: rate, to: rate }),
        connections: 64,
        streams: 1,
        threads: 1,
        seed: 1,
        spins: false,
        signed_late: 0,
    }
}

fn tally() -> Tally {
    let window = Window { warm_up: Duration::ZERO, duration: Duration::from_secs(2) };
    let mut tally = Tally::new(window, 2);
    for value in 1..=1000 {
        tally.latency.saturating_record(value * 10_000);
    }
    tally.intended = 1000;
    tally.completed = 1000;
    tally.requests = 2000;
    tally.point(Duration::from_millis(1500)).unwrap().completed = 1000;
    tally
}

#[test]
fn throughput_and_p99_come_first() {
    let text = Report::new(setting(None), &tally()).text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(&lines[..2], ["throughput  500 journeys/s", "p99         9.90 ms"]);
    assert!(text.contains("errors      none") && !text.contains("WARNING"), "{text}");
    assert!(text.contains("  a ") && text.contains("  b "), "{text}");
}

#[test]
fn warnings_say_what_to_do() {
    let warned = |change: fn(&mut Tally), rate: Option<f64>, words: &str| {
        let mut tally = tally();
        change(&mut tally);
        let text = Report::new(setting(rate), &tally).text();
        assert!(text.contains(words), "{words}: {text}");
    };
    warned(|tally| tally.error(RATE_LIMITED.into(), 3), None, "--limits off");
    warned(|tally| tally.error("timeout".into(), 10), None, "10 of 1000 journeys failed (1.00 %)");
    warned(|tally| tally.completed = 500, Some(500.0), "achieved 250 of 500 per second");
    warned(|tally| tally.pickup.saturating_record(50_000_000), Some(500.0), "the GENERATOR was the limit");
    warned(|tally| tally.busy = 0.99, None, "busy 99 %");
    warned(|tally| tally.stopped = Some("interrupted".to_owned()), None, "interrupted");
}

#[test]
fn numbers_for_people() {
    for (rate, text) in [(0.5, "0.5"), (99.94, "99.9"), (999.6, "1,000"), (1234567.0, "1,234,567"), (100.0, "100")] {
        assert_eq!(thousands(rate), text);
    }
    for (value, text) in [(0.123, "0.12 ms"), (12.34, "12.3 ms"), (1234.5, "1234 ms")] {
        assert_eq!(ms(value), text);
    }
}

#[test]
fn an_empty_run_reports_too() {
    let window = Window { warm_up: Duration::ZERO, duration: Duration::from_secs(2) };
    let mut tally = Tally::new(window, 2);
    tally.measured = Duration::ZERO;
    let report = Report::new(setting(Some(1.0)), &tally);
    assert_eq!(report.throughput_per_second, 0.0);
    assert!(serde_json::to_value(&report).unwrap()["latency_ms"]["p99_9"].is_number());
}
