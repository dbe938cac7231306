//! A report as one HTML file: facts, tables and plots as inline SVG. It fetches nothing and runs nothing: no network, no
//! script, no font. Light and dark follow the reader's system; every text that comes in is escaped.

mod bars;
mod lines;
mod scale;

use std::fmt::Write as _;

pub use bars::{Bar, BarChart};
pub use lines::{LineChart, Series};
pub use scale::{Scale, number};

/// Colours stand in the style sheet, once for light and once for dark.
const STYLE: &str = include_str!("page/style.css");

/// A page being written, from the top down.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
    /// Names of series in the order of their first use: a name keeps its colour in every chart of the page.
    palette: Vec<String>,
    /// Charts that follow each other stand side by side where there is room.
    in_charts: bool,
}

impl Page {
    /// An empty page with a heading.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new(), palette: Vec::new(), in_charts: false }
    }

    /// The sentence that says what the page shows; larger than other text.
    pub fn lead(&mut self, text: &str) -> &mut Self {
        self.element("p class=\"lead\"", "p", text)
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.element("p", "p", text)
    }

    /// A heading below the page's own.
    pub fn section(&mut self, heading: &str) -> &mut Self {
        self.element("h2", "h2", heading)
    }

    /// Names and values, such as what machine this was.
    pub fn facts(&mut self, facts: &[(&str, &str)]) -> &mut Self {
        self.leave_charts();
        self.body.push_str("<dl>\n");
        for (name, value) in facts {
            self.write(format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(name), escaped(value)));
        }
        self.body.push_str("</dl>\n");
        self
    }

    /// A table. Cells that hold a number stand to the right; a row whose first cell is `*name` is set in bold.
    pub fn table(&mut self, caption: &str, header: &[&str], rows: &[Vec<String>]) -> &mut Self {
        self.leave_charts();
        self.write(format_args!("<div class=\"scroll\"><table><caption>{}</caption>\n<thead><tr>", escaped(caption)));
        for (column, name) in header.iter().enumerate() {
            let is_number = rows.iter().any(|row| row.get(column).is_some_and(|cell| is_number(cell)));
            let class = if is_number { " class=\"number\"" } else { "" };
            self.write(format_args!("<th scope=\"col\"{class}>{}</th>", escaped(name)));
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            let marked = row.first().and_then(|cell| cell.strip_prefix('*'));
            self.body.push_str(if marked.is_some() { "<tr class=\"ours\">" } else { "<tr>" });
            for (column, cell) in row.iter().enumerate() {
                let cell = if column == 0 { marked.unwrap_or(cell) } else { cell };
                let class = if is_number(cell) { " class=\"number\"" } else { "" };
                self.write(format_args!("<td{class}>{}</td>", escaped(cell)));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table></div>\n");
        self
    }

    /// A chart of lines.
    pub fn lines(&mut self, chart: &LineChart) -> &mut Self {
        self.enter_charts();
        let colours: Vec<usize> = chart.series.iter().map(|series| self.colour_of(&series.name)).collect();
        let svg = lines::svg(chart, &colours);
        self.figure("lines", &chart.title, &lines::legend(chart, &colours), &svg);
        self
    }

    /// A chart of bars.
    pub fn bars(&mut self, chart: &BarChart) -> &mut Self {
        self.enter_charts();
        let title =
            if chart.unit.is_empty() { chart.title.clone() } else { format!("{}, {}", chart.title, chart.unit) };
        self.figure("bars", &title, "", &bars::svg(chart));
        self
    }

    /// The whole file.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let close = if self.in_charts { "</div>\n" } else { "" };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{}{close}\
             </main>\n</body>\n</html>\n",
            self.body,
        )
    }

    fn element(&mut self, open: &str, close: &str, text: &str) -> &mut Self {
        self.leave_charts();
        self.write(format_args!("<{open}>{}</{close}>\n", escaped(text)));
        self
    }

    fn figure(&mut self, class: &str, title: &str, legend: &str, svg: &str) {
        self.write(format_args!(
            "<figure class=\"{class}\"><figcaption>{}</figcaption>{legend}<div class=\"scroll\">{svg}</div></figure>\n",
            escaped(title)
        ));
    }

    fn enter_charts(&mut self) {
        if !self.in_charts {
            self.body.push_str("<div class=\"charts\">\n");
            self.in_charts = true;
        }
    }

    fn leave_charts(&mut self) {
        if self.in_charts {
            self.body.push_str("</div>\n");
            self.in_charts = false;
        }
    }

    fn colour_of(&mut self, name: &str) -> usize {
        let found = self.palette.iter().position(|known| known == name);
        found.unwrap_or_else(|| {
            self.palette.push(name.to_owned());
            self.palette.len() - 1
        }) % lines::COLOURS_COUNT
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("a String takes everything");
    }
}

/// Whether a cell belongs to the right: a figure, or the dash that stands for one.
fn is_number(cell: &str) -> bool {
    cell == "–" || cell.trim_start_matches(['-', '−', '+', '±']).starts_with(|c: char| c.is_ascii_digit())
}

/// Text as it may stand in an element or in a quoted attribute. Characters that no document may hold are dropped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('1 & \"2\"')</script>\u{0}\u{1b}";

    fn full(points: Vec<(f64, f64)>, value: f64) -> String {
        let mut page = Page::new(HOSTILE);
        page.lead(HOSTILE).section(HOSTILE).text(HOSTILE).facts(&[(HOSTILE, HOSTILE)]);
        page.table(HOSTILE, &[HOSTILE], &[vec![HOSTILE.to_owned()], vec!["*12.3".to_owned(), "4".to_owned()]]);
        for scale in [Scale::Linear, Scale::Log] {
            page.lines(&LineChart {
                title: HOSTILE.to_owned(),
                x_label: HOSTILE.to_owned(),
                y_label: HOSTILE.to_owned(),
                x_scale: scale,
                y_scale: scale,
                series: vec![Series { name: HOSTILE.to_owned(), points: points.clone() }],
            });
        }
        page.bars(&BarChart {
            title: HOSTILE.to_owned(),
            unit: HOSTILE.to_owned(),
            bars: vec![Bar { label: HOSTILE.to_owned(), value, low: value, high: value, is_ours: true }],
        });
        page.html()
    }

    /// Every element that is opened is closed, in order: what a strict XML reader would insist on.
    fn assert_well_formed(html: &str) {
        let mut open = Vec::new();
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            let name = tag.split([' ', '/']).next().expect("split gives one");
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "{tag}");
            } else if !tag.ends_with('/') && !["!DOCTYPE", "meta", "link"].contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }

    #[test]
    fn everything_is_escaped_and_closed() {
        let html = full(vec![(1.0, 10.0), (8.0, 100.0), (64.0, 1e6)], 12.5);
        assert!(!html.contains("<script") && !html.contains('\u{0}') && !html.contains('\u{1b}'));
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("), "fetches nothing");
        assert_well_formed(&html);
    }

    #[test]
    fn nothing_and_nonsense_draw_without_panic() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for points in [
            vec![],
            vec![(nan, nan)],
            vec![(inf, 1.0), (1.0, -inf)],
            vec![(0.0, 0.0)],
            vec![(-1.0, -5.0), (3.0, -7.0)],
            vec![(5.0, 5.0), (5.0, 5.0)],
            vec![(1e-300, 1e300), (1e300, 1e-300)],
            vec![(f64::MAX, f64::MAX), (f64::MIN, f64::MIN)],
            (0..1000).map(|n| (f64::from(n), f64::from(n % 7))).collect(),
        ] {
            for value in [nan, inf, -inf, 0.0, -3.0, 1e308, 5e-324] {
                let html = full(points.clone(), value);
                assert_well_formed(&html);
                assert!(!html.contains("NaN") && !html.contains("=\"inf"), "{points:?} {value}");
            }
        }
        let mut empty = Page::new("");
        empty.bars(&BarChart { title: String::new(), unit: String::new(), bars: vec![] });
        assert_well_formed(&empty.html());
    }

    #[test]
    fn a_name_keeps_its_colour() {
        let mut page = Page::new("p");
        assert_eq!(page.colour_of("a"), 0);
        assert_eq!(page.colour_of("b"), 1);
        assert_eq!(page.colour_of("a"), 0);
    }
}
