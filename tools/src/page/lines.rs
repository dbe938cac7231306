//! Lines over a numeric axis, each with its own colour and its own mark, so that colour is never the only difference.

use std::fmt::Write as _;

use super::escaped;
use super::scale::{Axis, Scale, number};

/// Colours in the style sheet; names beyond them begin again.
pub(super) const COLOURS_COUNT: usize = 8;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Lines of more points than this are drawn without marks.
const MARKED_POINTS_COUNT: usize = 40;
/// Lines of more points than this have no tooltips: a page must stay light.
const TOOLTIP_POINTS_COUNT: usize = 400;
/// Ticks closer than this would write over each other.
const TICK_PX: f64 = 30.0;

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// As the legend shows it; the same name has the same colour on the whole page.
    pub name: String,
    /// In the order they are joined; what has no place on the axes is left out.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one pair of axes.
#[derive(Clone, Debug)]
pub struct LineChart {
    /// Stands above it.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x_label: String,
    /// What runs upwards, with its unit.
    pub y_label: String,
    /// How it runs to the right.
    pub x_scale: Scale,
    /// How it runs upwards; a linear one begins at zero.
    pub y_scale: Scale,
    /// The lines.
    pub series: Vec<Series>,
}

pub(super) fn legend(chart: &LineChart, colours: &[usize]) -> String {
    let keys = chart.series.iter().zip(colours).fold(String::new(), |mut keys, (series, colour)| {
        let _ = write!(
            keys,
            "<span class=\"key\"><svg width=\"22\" height=\"12\" aria-hidden=\"true\"><line class=\"s{colour}\" x1=\"0\" \
             y1=\"6\" x2=\"22\" y2=\"6\"/>{}</svg>{}</span>",
            mark(*colour, 11.0, 6.0, ""),
            escaped(&series.name)
        );
        keys
    });
    format!("<div class=\"legend\">{keys}</div>")
}

pub(super) fn svg(chart: &LineChart, colours: &[usize]) -> String {
    let series: Vec<Vec<(f64, f64)>> = chart
        .series
        .iter()
        .map(|series| series.points.iter().copied().filter(|(x, y)| chart.x_scale.has(*x) && chart.y_scale.has(*y)))
        .map(Iterator::collect)
        .collect();
    let all = || series.iter().flatten();
    let x_axis = Axis::over(all().map(|point| point.0), chart.x_scale, false, (LEFT, WIDTH - RIGHT));
    let y_axis = Axis::over(all().map(|point| point.1), chart.y_scale, true, (HEIGHT - BOTTOM, TOP)).until_ticks();

    let mut out = String::new();
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(&format!("{}: {} by {}", chart.title, chart.y_label, chart.x_label))
    );
    for tick in y_axis.ticks() {
        let y = y_axis.at(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            number(tick)
        );
    }
    let bottom = HEIGHT - BOTTOM;
    for tick in x_ticks(&x_axis, all().map(|point| point.0)) {
        let x = x_axis.at(tick);
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>\
             <text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 4.0,
            bottom + 18.0,
            number(tick)
        );
    }
    let _ = write!(
        out,
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{bottom:.1}\" x2=\"{:.1}\" y2=\"{bottom:.1}\"/>\
         <text class=\"label middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"label middle\" transform=\"translate(13 {:.1}) rotate(-90)\">{}</text>",
        WIDTH - RIGHT,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 8.0,
        escaped(&chart.x_label),
        f64::midpoint(TOP, bottom),
        escaped(&chart.y_label)
    );
    if all().next().is_none() {
        let _ = write!(
            out,
            "<text class=\"label middle\" x=\"{:.1}\" y=\"{:.1}\">nothing was measured</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            f64::midpoint(TOP, bottom)
        );
    }
    for ((points, colour), series) in series.iter().zip(colours).zip(&chart.series) {
        draw(&mut out, points, *colour, &series.name, (&x_axis, &y_axis));
    }
    out.push_str("</svg>");
    out
}

fn draw(out: &mut String, points: &[(f64, f64)], colour: usize, name: &str, (x_axis, y_axis): (&Axis, &Axis)) {
    let at = |&(x, y): &(f64, f64)| (x_axis.at(x), y_axis.at(y));
    let path: Vec<String> = points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(out, "<polyline class=\"s{colour}\" points=\"{}\"/>", path.join(" "));
    if points.len() > TOOLTIP_POINTS_COUNT {
        return;
    }
    for point in points {
        let tooltip = format!("{}: {} at {}", escaped(name), number(point.1), number(point.0));
        let (x, y) = at(point);
        if points.len() <= MARKED_POINTS_COUNT {
            out.push_str(&mark(colour, x, y, &tooltip));
        } else {
            let _ = write!(
                out,
                "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{tooltip}</title></circle>"
            );
        }
    }
}

/// Where there are few places, they are the ticks: nobody measured a batch of 20.
fn x_ticks(axis: &Axis, places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut places: Vec<f64> = places.take(200).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let are_apart = places.windows(2).all(|pair| axis.at(pair[1]) - axis.at(pair[0]) >= TICK_PX);
    if (1..=10).contains(&places.len()) && are_apart { places } else { axis.ticks() }
}

/// A disc, a square, a diamond or a triangle, by colour.
fn mark(colour: usize, x: f64, y: f64, tooltip: &str) -> String {
    let title = if tooltip.is_empty() { String::new() } else { format!("<title>{tooltip}</title>") };
    let corners = match colour % 4 {
        0 => return format!("<circle class=\"m{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">{title}</circle>"),
        1 => [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)].as_slice(),
        2 => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
        _ => &[(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)],
    };
    let corners: Vec<String> = corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
    format!("<polygon class=\"m{colour}\" points=\"{}\">{title}</polygon>", corners.join(" "))
}
