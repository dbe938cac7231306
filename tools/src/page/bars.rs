//! Bars from one zero, longest not necessarily best: a label, a bar with its spread as a whisker, the number.

use std::fmt::Write as _;

use super::escaped;
use super::scale::{Axis, Scale, number};

const WIDTH: f64 = 560.0;
const ROW: f64 = 30.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 72.0;
const TOP: f64 = 6.0;
const BOTTOM: f64 = 24.0;
/// Longer labels are cut in the drawing; the tooltip has the whole.
const LABEL_CHARACTERS_COUNT: usize = 22;

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Stands to the left of it.
    pub label: String,
    /// Its length; a negative or undefined one is said in words instead.
    pub value: f64,
    /// Where its spread begins; equal to `high` for none.
    pub low: f64,
    /// Where its spread ends.
    pub high: f64,
    /// Drawn in the accent colour.
    pub is_ours: bool,
}

/// Bars in one unit.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// Stands above it.
    pub title: String,
    /// Of every value; stands behind the title.
    pub unit: String,
    /// From the top down.
    pub bars: Vec<Bar>,
}

pub(super) fn svg(chart: &BarChart) -> String {
    let rows = u32::try_from(chart.bars.len().max(1)).unwrap_or(u32::MAX);
    let bottom = TOP + ROW * f64::from(rows);
    let height = bottom + BOTTOM;
    let drawn = |value: f64| Scale::Linear.has(value) && value >= 0.0;
    let values = chart.bars.iter().flat_map(|bar| [bar.value, bar.high]).filter(|value| drawn(*value));
    let axis = Axis::over(values, Scale::Linear, true, (LEFT, WIDTH - RIGHT)).until_ticks();

    let mut out = String::new();
    let title = escaped(&format!("{}, {}", chart.title, chart.unit));
    let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">");
    for tick in axis.ticks() {
        let x = axis.at(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 16.0,
            number(tick)
        );
    }
    if chart.bars.is_empty() {
        let _ =
            write!(out, "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">nothing was measured</text>", LEFT + 8.0, 26.0);
    }
    let mut y = TOP;
    for bar in &chart.bars {
        row(&mut out, bar, y, &axis, drawn(bar.value));
        y += ROW;
    }
    out.push_str("</svg>");
    out
}

fn row(out: &mut String, bar: &Bar, y: f64, axis: &Axis, is_drawn: bool) {
    let middle = y + ROW / 2.0;
    let ours = if bar.is_ours { " ours" } else { "" };
    let mut label: String = bar.label.chars().take(LABEL_CHARACTERS_COUNT).collect();
    if label.len() < bar.label.len() {
        label.push('…');
    }
    let _ = write!(
        out,
        "<text class=\"name end{ours}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        LEFT - 8.0,
        middle + 4.0,
        escaped(&label)
    );
    if !is_drawn {
        let _ =
            write!(out, "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">not measured</text>", LEFT + 8.0, middle + 4.0);
        return;
    }
    let has_spread = [bar.low, bar.high].iter().all(|end| Scale::Linear.has(*end)) && bar.low < bar.high;
    let end = axis.at(bar.value);
    let mut tooltip = format!("{}: {}", escaped(&bar.label), number(bar.value));
    if has_spread {
        let _ = write!(tooltip, " ({} to {})", number(bar.low), number(bar.high));
    }
    let _ = write!(
        out,
        "<rect class=\"bar{ours}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"><title>{tooltip}</title></rect>",
        y + 6.0,
        (end - LEFT).max(1.0),
        ROW - 12.0
    );
    let mut text_at = end;
    if has_spread {
        let (low, high) = (axis.at(bar.low), axis.at(bar.high));
        let _ = write!(
            out,
            "<path class=\"whisker\" d=\"M{low:.1} {0:.1}v8M{high:.1} {0:.1}v8M{low:.1} {middle:.1}H{high:.1}\"/>",
            middle - 4.0
        );
        text_at = end.max(high);
    }
    let _ = write!(
        out,
        "<text class=\"value{ours}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        text_at + 8.0,
        middle + 4.0,
        number(bar.value)
    );
}
