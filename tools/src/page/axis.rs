//! From values to places on the paper, and the round values that an axis names.

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences; starts at zero unless values are negative.
    Linear,
    /// Equal distances are equal ratios; values that are not positive are left out.
    Log,
}

/// One axis of a plot: a range of values laid over a range of pixels.
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// Values beyond this are left out: differences of larger ones overflow.
const MAGNITUDE: f64 = 1e150;

impl Axis {
    /// The axis on which all of `values` have a place, drawn from pixel `from` to pixel `to`.
    pub(super) fn new(scale: Scale, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|&value| can_show(scale, value)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        match scale {
            Scale::Linear => {
                (low, high) = (low.min(0.0), high.max(0.0));
                if low == high {
                    high = 1.0;
                }
            }
            Scale::Log => {
                if high / low < 1.000_001 {
                    (low, high) = (low / 2.0, high * 2.0);
                }
            }
        }
        Axis { scale, low, high, from, to }
    }

    /// Where `value` stands; `None` if it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !can_show(self.scale, value) {
            return None;
        }
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        Some(self.from + share.clamp(0.0, 1.0) * (self.to - self.from))
    }

    /// Round values in the range, four to ten of them where that is possible.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => self.even_ticks(),
            Scale::Log => self.ratio_ticks(),
        }
    }

    fn even_ticks(&self) -> Vec<f64> {
        let step = round_up((self.high - self.low) / 6.0);
        let first = (self.low / step).ceil();
        (0..16).map(|n| (first + f64::from(n)) * step).take_while(|tick| *tick <= self.high + step * 1e-9).collect()
    }

    fn ratio_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
        let decades = last - first;
        let steps: &[f64] = if decades <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        // Over very many decades every n-th is enough.
        let stride = (decades / 8.0).ceil().max(1.0);
        let exponents = (0..=16).map(|n| first + f64::from(n) * stride).take_while(|exponent| *exponent <= last);
        exponents
            .flat_map(|exponent| steps.iter().map(move |step| step * 10_f64.powf(exponent)))
            .filter(|tick| *tick >= self.low * 0.999_999 && *tick <= self.high * 1.000_001)
            .collect()
    }
}

fn can_show(scale: Scale, value: f64) -> bool {
    match scale {
        Scale::Linear => value.abs() <= MAGNITUDE,
        Scale::Log => (1.0 / MAGNITUDE..=MAGNITUDE).contains(&value),
    }
}

/// The next of 1, 2, 5, 10, 20, 50 … that is not less.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| *step >= value * 0.999_999).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(scale: Scale, low: f64, high: f64) -> Vec<f64> {
        Axis::new(scale, [low, high].into_iter(), 0.0, 1.0).ticks()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(Scale::Linear, 3.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(Scale::Linear, 0.0, 27_000.0), [0.0, 5e3, 10e3, 15e3, 20e3, 25e3]);
        assert_eq!(ticks(Scale::Log, 1.0, 256.0), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        let many = ticks(Scale::Log, 1e-100, 1e100);
        assert!((4..=16).contains(&many.len()), "{many:?}");
    }

    #[test]
    fn places_stay_on_the_paper() {
        let axis = Axis::new(Scale::Log, [1.0, 100.0].into_iter(), 10.0, 30.0);
        assert_eq!(axis.place(1.0), Some(10.0));
        assert_eq!(axis.place(10.0), Some(20.0));
        assert_eq!(axis.place(1e6), Some(30.0));
        assert_eq!(axis.place(0.0), None);
        assert_eq!(axis.place(f64::NAN), None);
    }
}
