//! A report as one HTML file: text, tables and plots. Needs no network, no script and no font of its own, so that it can
//! be attached to a mail and opened years later.

mod axis;
mod plot;

pub use axis::Scale;
pub use plot::{Bar, BarChart, LineChart, Series};

use std::fmt::Write as _;

/// Colours follow the reader's preference; plots scale with the window.
const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--ink:#1c1f24;--dim:#626a75;--rule:#dfe3e8;--c0:#c2410c;--c1:#2563eb;--c2:#15803d;\
--c3:#9333ea;--c4:#b8860b;--c5:#0e7490;--c6:#be185d;--c7:#4b5563}\
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--ink:#e6e9ed;--dim:#98a2b0;--rule:#2d333b;--c0:#fb923c;--c1:#60a5fa;\
--c2:#4ade80;--c3:#c084fc;--c4:#facc15;--c5:#22d3ee;--c6:#f472b6;--c7:#9ca3af}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:1160px;padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.7rem;margin:.2em 0}h2{font-size:1.15rem;margin:2.2em 0 .4em}\
.lead{max-width:46rem;color:var(--dim)}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1.2rem;font-size:.9rem}\
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}figure{margin:1.6rem 0}figcaption{font-weight:600;margin-bottom:.3rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;width:100%}\
caption{text-align:left;font-weight:600;padding:1.6rem 0 .4rem}th,td{padding:.25rem .7rem;border-bottom:1px solid var(--rule);\
text-align:right;white-space:nowrap}th{color:var(--dim);font-weight:500}th:first-child,td:first-child{text-align:left}\
svg{display:block;width:100%;min-width:560px;height:auto}svg text{font:13px system-ui,sans-serif;fill:var(--ink)}\
svg .dim{fill:var(--dim)}svg .rule{stroke:var(--rule)}";

/// A page under construction, from top to bottom.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: &str) -> Page {
        Page { title: escape(title), body: String::new() }
    }

    /// A paragraph that says what the page is about.
    #[must_use]
    pub fn lead(self, text: &str) -> Page {
        self.with(&format!("<p class=\"lead\">{}</p>\n", escape(text)))
    }

    /// A heading of the second level.
    #[must_use]
    pub fn heading(self, text: &str) -> Page {
        self.with(&format!("<h2>{}</h2>\n", escape(text)))
    }

    /// Names and their values, such as the machine.
    #[must_use]
    pub fn facts(self, facts: &[(&str, String)]) -> Page {
        let rows = facts.iter().fold(String::new(), |mut rows, (name, value)| {
            let _ = writeln!(rows, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
            rows
        });
        self.with(&format!("<dl>\n{rows}</dl>\n"))
    }

    /// A table; the first column stands left, the others right.
    #[must_use]
    pub fn table(self, caption: &str, header: &[&str], rows: &[Vec<String>]) -> Page {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.fold(String::new(), |mut row, cell| {
                let _ = write!(row, "<{tag}>{}</{tag}>", escape(cell));
                row
            });
            format!("<tr>{cells}</tr>\n")
        };
        let head = cells("th", &mut header.iter().copied());
        let body: String = rows.iter().map(|row| cells("td", &mut row.iter().map(String::as_str))).collect();
        self.with(&format!(
            "<div class=\"wide\"><table><caption>{}</caption>\n<thead>{head}</thead>\n<tbody>{body}</tbody></table></div>\n",
            escape(caption)
        ))
    }

    /// A plot of lines.
    #[must_use]
    pub fn lines(self, chart: &LineChart) -> Page {
        let svg = plot::lines(chart);
        self.figure(&chart.title, &svg)
    }

    /// A plot of horizontal bars.
    #[must_use]
    pub fn bars(self, chart: &BarChart) -> Page {
        let svg = plot::bars(chart);
        self.figure(&chart.title, &svg)
    }

    /// The finished file.
    #[must_use]
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
             <link rel=\"icon\" href=\"data:,\"/><title>{title}</title><style>{STYLE}</style></head>\n\
             <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n",
            title = self.title,
            body = self.body
        )
    }

    fn figure(self, title: &str, svg: &str) -> Page {
        self.with(&format!(
            "<figure><figcaption>{}</figcaption><div class=\"wide\">{svg}</div></figure>\n",
            escape(title)
        ))
    }

    fn with(mut self, html: &str) -> Page {
        self.body.push_str(html);
        self
    }
}

/// Text as it may stand in an element or in a quoted attribute. Control characters, which no document may hold, go.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number for a person: `12.3 k`, `1.2 M`, `0.05`.
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let scales = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    // 999.95 would be printed as 1000.
    let (divisor, suffix) = scales.into_iter().find(|(scale, _)| value.abs() >= scale * 0.9995).unwrap_or((1.0, ""));
    let scaled = value / divisor;
    let text = match scaled.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.001 => return format!("{value:.1e}"),
        size if size < 1.0 => format!("{scaled:.3}"),
        size if size < 10.0 => format!("{scaled:.2}"),
        size if size < 100.0 => format!("{scaled:.1}"),
        _ => format!("{scaled:.0}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element is closed in the order it was opened, as XML demands.
    fn assert_well_formed(html: &str) {
        let mut open: Vec<&str> = Vec::new();
        for piece in html.split('<').skip(1) {
            let tag = piece.split('>').next().expect("split yields one");
            if tag.starts_with('!') || tag.ends_with('/') {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "{piece}");
            } else {
                open.push(tag.split([' ', '\n']).next().expect("split yields one"));
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    fn page(points: &[(f64, f64)], name: &str) -> String {
        let series = || vec![Series { name: name.to_owned(), points: points.to_vec() }];
        let chart = |x_scale, y_scale| LineChart {
            title: name.to_owned(),
            x_label: name.to_owned(),
            y_label: name.to_owned(),
            x_scale,
            y_scale,
            series: series(),
        };
        let bar = |value| Bar { label: name.to_owned(), value, low: value, high: value * 2.0, is_ours: true };
        Page::new(name)
            .lead(name)
            .heading(name)
            .facts(&[("CPU", name.to_owned())])
            .table(name, &[name, "b"], &[vec![name.to_owned(), "2".to_owned()]])
            .lines(&chart(Scale::Linear, Scale::Linear))
            .lines(&chart(Scale::Log, Scale::Log))
            .bars(&BarChart {
                title: name.to_owned(),
                unit: name.to_owned(),
                bars: points.iter().map(|&(_, y)| bar(y)).collect(),
            })
            .html()
    }

    #[test]
    fn a_page_is_well_formed_whatever_it_shows() {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        let inputs: [&[(f64, f64)]; 7] = [
            &[],
            &[(1.0, 1.0)],
            &[(1.0, 10.0), (8.0, 200.0), (256.0, 1e6)],
            &[(nan, nan), (1.0, nan), (infinity, -infinity)],
            &[(0.0, 0.0), (0.0, 0.0)],
            &[(-5.0, -3.0), (1e-300, 1e300)],
            &[(f64::MAX, f64::MIN), (f64::MIN, f64::MAX)],
        ];
        for points in inputs {
            let html = page(points, "a<b>&\"'\u{7}</script>");
            assert_well_formed(&html);
            assert!(!html.contains("NaN") && !html.contains("=\"inf"), "{html}");
        }
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let html = page(&[(1.0, 1.0), (2.0, 3.0)], "<img src=x>");
        assert!(!html.contains("<img"), "{html}");
        assert_eq!(escape("<a href=\"x\">'&\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp; ");
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        let html = page(&[(1.0, 1.0)], "x");
        for word in ["http://", "https://", "<script", "@import", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1.0, "1"),
            (12.34, "12.3"),
            (200.0, "200"),
            (999.9, "1 k"),
            (12_345.0, "12.3 k"),
            (1_200_000.0, "1.2 M"),
            (-5e9, "-5 G"),
            (1e-5, "1.0e-5"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }
}
