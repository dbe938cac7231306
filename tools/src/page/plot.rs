//! Line and bar charts as inline SVG.

use std::fmt::Write as _;

use super::axis::{Axis, Scale};
use super::{escape, number};

/// Values over another value, one line per series.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// Stands above the plot.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// Division of the horizontal axis.
    pub x_scale: Scale,
    /// Division of the vertical axis.
    pub y_scale: Scale,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// Stands in the legend.
    pub name: String,
    /// x and y, in the order in which they are joined. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Values to compare, one horizontal bar each.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// Stands above the plot.
    pub title: String,
    /// Of every value.
    pub unit: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Stands left of it.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// The lower end of the spread.
    pub low: f64,
    /// The upper end of the spread.
    pub high: f64,
    /// Ours is drawn in the colour of its own.
    pub is_ours: bool,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;
const LEGEND_ROW: f64 = 22.0;
const LEGEND_COLUMN: f64 = 270.0;
const LEGEND_COLUMNS: usize = 3;
const LABEL: f64 = 210.0;
const BAR_ROW: f64 = 28.0;
const COLOURS: usize = 8;

pub(super) fn lines(chart: &LineChart) -> String {
    let legend_rows = chart.series.len().div_ceil(LEGEND_COLUMNS) as f64;
    let total = HEIGHT + legend_rows * LEGEND_ROW;
    let points = || chart.series.iter().flat_map(|series| series.points.iter().copied());
    let x = Axis::new(chart.x_scale, points().map(|(x, _)| x), LEFT, WIDTH - RIGHT);
    let y = Axis::new(chart.y_scale, points().map(|(_, y)| y), HEIGHT - BOTTOM, TOP);
    let mut svg = open(total, &chart.title);
    for tick in y.ticks() {
        let Some(at) = y.place(tick) else { continue };
        let right = WIDTH - RIGHT;
        let _ = write!(svg, "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        text(&mut svg, LEFT - 8.0, at + 4.0, "end", "dim", &number(tick));
    }
    for tick in x.ticks() {
        let Some(at) = x.place(tick) else { continue };
        let (top, bottom) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5.0);
        let _ = write!(svg, "<line class=\"rule\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>");
        text(&mut svg, at, HEIGHT - BOTTOM + 20.0, "middle", "dim", &number(tick));
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    text(&mut svg, middle, HEIGHT - 8.0, "middle", "dim", &chart.x_label);
    let _ = write!(
        svg,
        "<text class=\"dim\" text-anchor=\"middle\" transform=\"translate(16 {:.1}) rotate(-90)\">{}</text>",
        f64::midpoint(TOP, HEIGHT - BOTTOM),
        escape(&chart.y_label)
    );
    for (index, series) in chart.series.iter().enumerate() {
        line(&mut svg, index, series, &x, &y);
    }
    svg + "</svg>"
}

/// A line, its points, which tell their values to the pointer, and its place in the legend.
fn line(svg: &mut String, index: usize, series: &Series, x: &Axis, y: &Axis) {
    let colour = index % COLOURS;
    // After eight colours come the same ones dashed.
    let dash = if index < COLOURS { "" } else { " stroke-dasharray=\"6 4\"" };
    let stroke = format!("fill=\"none\" stroke=\"var(--c{colour})\" stroke-width=\"2\"{dash}");
    let placed: Vec<_> = series.points.iter().filter_map(|&(a, b)| Some((x.place(a)?, y.place(b)?, a, b))).collect();
    let path = placed.iter().fold(String::new(), |mut path, (at_x, at_y, ..)| {
        let _ = write!(path, "{at_x:.1},{at_y:.1} ");
        path
    });
    let _ = write!(svg, "<polyline {stroke} points=\"{}\"/>", path.trim_end());
    // Thousands of dots hide the line, and nobody points at one of them.
    if placed.len() <= 200 {
        for (at_x, at_y, a, b) in placed {
            let told = format!("{}: {} at {}", series.name, number(b), number(a));
            let _ = write!(
                svg,
                "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.5\" fill=\"var(--c{colour})\"><title>{}</title></circle>",
                escape(&told)
            );
        }
    }
    let left = LEFT + (index % LEGEND_COLUMNS) as f64 * LEGEND_COLUMN;
    let row = HEIGHT + 14.0 + (index / LEGEND_COLUMNS) as f64 * LEGEND_ROW;
    let _ = write!(svg, "<polyline {stroke} points=\"{left},{at} {},{at}\"/>", left + 22.0, at = row - 4.0);
    text(svg, left + 28.0, row, "start", "", &series.name);
}

pub(super) fn bars(chart: &BarChart) -> String {
    let axis_at = TOP + chart.bars.len() as f64 * BAR_ROW;
    let values = chart.bars.iter().flat_map(|bar| [bar.value, bar.low, bar.high]);
    // Room at the right for the number behind the longest bar.
    let x = Axis::new(Scale::Linear, values, LABEL, WIDTH - 80.0);
    let zero = x.place(0.0).unwrap_or(LABEL);
    let mut svg = open(axis_at + BOTTOM, &chart.title);
    for tick in x.ticks() {
        let Some(at) = x.place(tick) else { continue };
        let _ = write!(svg, "<line class=\"rule\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{axis_at}\"/>");
        text(&mut svg, at, axis_at + 18.0, "middle", "dim", &number(tick));
    }
    text(&mut svg, f64::midpoint(LABEL, WIDTH - 80.0), axis_at + 40.0, "middle", "dim", &chart.unit);
    for (index, bar) in chart.bars.iter().enumerate() {
        let top = TOP + index as f64 * BAR_ROW;
        let baseline = top + BAR_ROW / 2.0 + 4.0;
        text(&mut svg, LABEL - 10.0, baseline, "end", "", &bar.label);
        let Some(end) = x.place(bar.value) else {
            text(&mut svg, zero + 6.0, baseline, "start", "dim", "no value");
            continue;
        };
        let (left, width) = (zero.min(end), (end - zero).abs());
        let colour = if bar.is_ours { 0 } else { 1 };
        let told = format!("{}: {} {}", bar.label, number(bar.value), chart.unit);
        let _ = write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"var(--c{colour})\">\
             <title>{}</title></rect>",
            top + 4.0,
            BAR_ROW - 8.0,
            escape(&told)
        );
        let mut after = end.max(zero);
        if let (Some(low), Some(high)) = (x.place(bar.low), x.place(bar.high)) {
            let at = top + BAR_ROW / 2.0;
            let _ = write!(
                svg,
                "<line stroke=\"var(--ink)\" stroke-width=\"1.5\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            after = after.max(high);
        }
        text(&mut svg, after + 8.0, baseline, "start", "", &number(bar.value));
    }
    svg + "</svg>"
}

fn open(height: f64, title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escape(title))
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, content: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>", escape(content));
}
