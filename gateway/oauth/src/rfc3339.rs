//! RFC 3339 times as Bitcoin signers write them: `2026-01-15T12:00:00.000Z`, any fraction of 1–9 digits, any offset.

use crate::UnixMillis;

/// Milliseconds since the epoch; digits beyond the third of the fraction are dropped. Leap seconds are refused, as
/// JavaScript refuses them.
pub fn parse(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    if bytes.len() < "2026-01-15T12:00:00Z".len() {
        return None;
    }
    let (head, tail) = bytes.split_at(19);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| head[*at] != *byte) {
        return None;
    }
    let year = digits(&head[0..4])?;
    let month = digits(&head[5..7])?;
    let day = digits(&head[8..10])?;
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..19])?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let (fraction_ms, zone) = match tail {
        [b'.', rest @ ..] => {
            let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&count) {
                return None;
            }
            let ms = (0..3).fold(0, |ms, at| ms * 10 + if at < count { i64::from(rest[at] - b'0') } else { 0 });
            (ms, &rest[count..])
        }
        _ => (0, tail),
    };
    let offset_minutes = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let total = hours * 60 + minutes;
            if *sign == b'+' { total } else { -total }
        }
        _ => return None,
    };
    let minutes = (days_from_epoch(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * 1000 + fraction_ms)
}

/// `2026-01-15T12:00:00.000Z`, the form JavaScript writes; for answers that carry times as text.
pub fn format(ms: UnixMillis) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", in_day / 1000 % 60, in_day % 1000)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years start in March here, so that the leap day comes last
/// and the days before a month are (153·m + 2) / 5; an era is 400 years, 146 097 days.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_epoch`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn times() {
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(parse(text), expected, "{text:?}");
        }
        check("1970-01-01T00:00:00Z", Some(0));
        check("1969-12-31T23:59:59.999Z", Some(-1));
        check("2026-01-15T12:00:00.000Z", Some(1_768_478_400_000));
        check("2026-01-15T12:00:00Z", Some(1_768_478_400_000));
        check("2026-01-15T12:00:00.1Z", Some(1_768_478_400_100));
        check("2026-01-15T12:00:00.123456789Z", Some(1_768_478_400_123));
        check("2026-01-15T14:00:00+02:00", Some(1_768_478_400_000));
        check("2026-01-15T06:30:00.000-05:30", Some(1_768_478_400_000));
        check("2026-01-15T12:00:00-00:00", Some(1_768_478_400_000));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800_000));
        check("2023-02-29T00:00:00Z", None);
        check("2100-02-29T00:00:00Z", None);
        check("2026-04-31T00:00:00Z", None);
        check("2026-00-15T12:00:00Z", None);
        check("2026-13-15T12:00:00Z", None);
        check("2026-01-00T12:00:00Z", None);
        check("2026-01-15T24:00:00Z", None);
        check("2026-01-15T12:60:00Z", None);
        check("2026-01-15T12:00:60Z", None);
        check("2026-01-15T12:00:00", None); // no zone (attack 125)
        check("2026-01-15T12:00:00.000", None);
        check("2026-01-15T12:00:00.Z", None);
        check("2026-01-15T12:00:00.1234567890Z", None);
        check("2026-01-15T12:00:00,000Z", None);
        check("2026-01-15 12:00:00Z", None);
        check("2026-01-15t12:00:00Z", None);
        check("2026-01-15T12:00:00z", None);
        check("2026-01-15T12:00:00ZZ", None);
        check("2026-01-15T12:00:00Z ", None);
        check(" 2026-01-15T12:00:00Z", None);
        check("2026-01-15T12:00:00+0200", None);
        check("2026-01-15T12:00:00+24:00", None);
        check("2026-01-15T12:00:00+02:60", None);
        check("2026-01-15T12:00Z", None);
        check("+2026-01-15T12:00:00Z", None);
        check("20260115T120000Z", None);
        check("2026-1-15T12:00:00.0Z", None);
        check("２026-01-15T12:00:00Z", None);
        check("not-a-date", None);
        check("1768478400000", None);
        check("0", None);
        check("", None);
    }

    proptest! {
        /// The `time` crate is the oracle.
        #[test]
        fn agrees_with_the_time_crate(ms in -62_135_596_800_000i64..253_402_300_799_999) {
            let text = format(ms);
            prop_assert_eq!(parse(&text), Some(ms));
            let oracle = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
            prop_assert_eq!(oracle.unix_timestamp_nanos() / 1_000_000, i128::from(ms));
        }

        #[test]
        fn what_we_accept_the_oracle_accepts(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])") {
            if let Some(ms) = parse(&text) {
                let oracle = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
                prop_assert_eq!(oracle.unix_timestamp_nanos().div_euclid(1_000_000), i128::from(ms));
            }
        }

        #[test]
        fn any_text_never_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
