//! `assay check-config`: every key with its value, unit, default, bound and where the value came from.

use assay_gateway::config::Loaded;
use clap::{ArgMatches, Command};

use crate::options;
use assay_tools::failure::{Failure, print};

pub(crate) fn command() -> Command {
    options::of_server(
        Command::new("check-config").about("Check the configuration and print every key, as `serve` would see it"),
    )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    print(&table(&options::load(matches)?))
}

/// Columns padded to their widest cell; an empty cell is a dash, so that columns can be counted by scripts.
fn table(loaded: &Loaded) -> String {
    let header = ["KEY", "VALUE", "UNIT", "DEFAULT", "BOUND", "FROM"].map(str::to_owned);
    let rows = loaded.rows().map(|(key, value, origin)| {
        [
            key.name.to_owned(),
            value,
            key.unit.to_owned(),
            key.default.to_owned(),
            key.bound.to_string(),
            origin.to_string(),
        ]
        .map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_gateway::config::{Config, KEYS, Overrides};

    #[test]
    fn every_key_is_a_line_with_its_origin() {
        let mut flags = Overrides::default();
        flags.set("cores", "3");
        let env = [("ASSAY_LOG_LEVEL".to_owned(), "debug".to_owned())].into_iter();
        let text = table(&Config::load(flags, env, None).unwrap());
        assert_eq!(text.lines().count(), 1 + KEYS.len());
        let line = |name: &str| text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line("cores").ends_with("flag --cores"), "{}", line("cores"));
        assert!(line("log_level").ends_with("env ASSAY_LOG_LEVEL"));
        assert!(line("listen").ends_with("default") && line("listen").contains("127.0.0.1:8080"));
    }
}
