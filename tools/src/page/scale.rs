//! From numbers to pixels and to texts: axes linear and logarithmic, ticks at 1, 2 and 5, numbers with k, M and G.

/// How an axis runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps for equal differences.
    #[default]
    Linear,
    /// Equal steps for equal ratios; values ≤ 0 have no place on it.
    Log,
}

impl Scale {
    /// Whether a value has a place on this axis.
    pub(super) fn has(self, value: f64) -> bool {
        // Beyond these, differences and ratios of two values are no longer numbers.
        value.is_finite() && value.abs() < 1e300 && (self == Self::Linear || value > 1e-300)
    }
}

/// A scale with the range it shows and the pixels it has.
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from_px: f64,
    to_px: f64,
}

impl Axis {
    /// An axis on which all values have a place; `from_zero` lets a linear one begin at zero.
    pub(super) fn over(values: impl Iterator<Item = f64>, scale: Scale, from_zero: bool, pixels: (f64, f64)) -> Self {
        let mut low = f64::INFINITY;
        let mut high = f64::NEG_INFINITY;
        for value in values.filter(|value| scale.has(*value)) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        if scale == Scale::Linear && from_zero {
            low = low.min(0.0);
            high = high.max(0.0);
        }
        if high - low < 1e-280 && (scale == Scale::Linear || low >= high) {
            // One value only: it stands in the middle.
            let around = if scale == Scale::Log { low * 0.5 } else { (low.abs() * 0.5).max(0.5) };
            (low, high) = (low - around, high + around);
        }
        Self { scale, low, high, from_px: pixels.0, to_px: pixels.1 }
    }

    /// Widened to the ticks around it, so that the topmost line has a number.
    pub(super) fn until_ticks(mut self) -> Self {
        if self.scale == Scale::Linear {
            let step = step(self.high - self.low);
            self.low = (self.low / step + 1e-9).floor() * step;
            self.high = (self.high / step - 1e-9).ceil() * step;
        }
        self
    }

    /// Where a value stands.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        self.from_px + part.clamp(0.0, 1.0) * (self.to_px - self.from_px)
    }

    /// At most about a dozen round numbers inside the range.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => linear_ticks(self.low, self.high),
            Scale::Log => log_ticks(self.low, self.high),
        }
    }
}

/// 1, 2 or 5 times a power of ten, such that a range takes four to ten of them.
fn step(range: f64) -> f64 {
    let rough = range / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= rough * (1.0 - 1e-9)).unwrap_or(10.0);
    times * power
}

fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let step = step(high - low);
    let first = (low / step - 1e-9).ceil();
    let ticks = (0..16).map(|n| (first + f64::from(n)) * step);
    ticks.take_while(|tick| *tick <= high + step * 1e-6).filter(|tick| tick.is_finite()).collect()
}

fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = high.log10() - low.log10();
    let factors: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    // Whole decades are left out where there are too many of them.
    let every = (decades / 8.0).ceil().max(1.0);
    let first = low.log10().floor();
    let mut ticks = Vec::new();
    let mut exponent = first;
    while exponent <= high.log10() {
        for factor in factors {
            let tick = factor * 10_f64.powf(exponent);
            if (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(&tick) {
                ticks.push(tick);
            }
        }
        exponent += every;
    }
    ticks
}

/// A number for people: three digits and a letter, `12.3 k`, `1.2 M`. The space does not break.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = value.abs();
    // 999.6 k would be rounded to 1000 k: the next letter begins a little earlier than its power of ten.
    let (divisor, letter) = match magnitude {
        m if m >= 9.995e11 => (1e12, "\u{a0}T"),
        m if m >= 9.995e8 => (1e9, "\u{a0}G"),
        m if m >= 9.995e5 => (1e6, "\u{a0}M"),
        m if m >= 999.5 => (1e3, "\u{a0}k"),
        _ => (1.0, ""),
    };
    let scaled = value / divisor;
    let digits = match scaled.abs() {
        s if s >= 1e6 || (s > 0.0 && s < 1e-4) => return format!("{value:.1e}"),
        s if s >= 99.95 => 0,
        s if s >= 9.995 => 1,
        s if s >= 0.9995 || s == 0.0 => 2,
        s if s >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(linear_ticks(0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear_ticks(0.0, 90_000.0), [0.0, 20_000.0, 40_000.0, 60_000.0, 80_000.0]);
        assert_eq!(linear_ticks(-3.0, 7.0), [-2.0, 0.0, 2.0, 4.0, 6.0]);
        assert_eq!(log_ticks(1.0, 256.0), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        assert_eq!(log_ticks(10.0, 1e5), [10.0, 100.0, 1000.0, 1e4, 1e5]);
        assert!(log_ticks(1e-290, 1e290).len() < 20);
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (999.6, "1\u{a0}k"),
            (12_345.0, "12.3\u{a0}k"),
            (20_000.0, "20\u{a0}k"),
            (1_234_567.0, "1.23\u{a0}M"),
            (-1500.0, "-1.5\u{a0}k"),
            (2.5e9, "2.5\u{a0}G"),
            (0.000_001, "1.0e-6"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_axis_runs_from_end_to_end() {
        let axis = Axis::over([1.0, 100.0].into_iter(), Scale::Log, false, (0.0, 200.0));
        assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
        let axis = Axis::over([3.0, 9.5].into_iter(), Scale::Linear, true, (100.0, 0.0)).until_ticks();
        assert!((axis.at(0.0) - 100.0).abs() < 1e-9 && axis.at(10.0).abs() < 1e-9);
    }
}
