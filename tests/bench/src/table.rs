//! The figures as one table: Markdown that can be read as it is.

use std::fmt::{self, Display, Write};
use std::fs;

use crate::series::Series;

/// All figures, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    /// `Err` says why there is no figure.
    values: Result<Series, String>,
    budget: Option<f64>,
    note: String,
}

impl Table {
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, values: Series) {
        self.rows.push(Row {
            name: name.into(),
            unit,
            values: Ok(values),
            budget: None,
            note: String::new(),
        });
    }

    /// A figure that shall not be above `budget`; the median counts.
    pub(crate) fn judge(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        values: Series,
        budget: f64,
    ) {
        self.add(name, unit, values);
        if let Some(row) = self.rows.last_mut() {
            row.budget = Some(budget);
        }
    }

    /// Says something of the figure added last.
    pub(crate) fn note(&mut self, note: String) {
        if let Some(row) = self.rows.last_mut() {
            row.note = note;
        }
    }

    pub(crate) fn not_run(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        let values = Err(format!("not run: {}", reason.into()));
        let (name, note) = (name.into(), String::new());
        self.rows.push(Row { name, unit: "", values, budget: None, note });
    }
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let name = self.name.clone();
        let values = match &self.values {
            Ok(values) => values,
            Err(reason) => return [name, "".into(), "".into(), "".into(), reason.clone()],
        };
        let verdict = match self.budget {
            None => self.note.clone(),
            // What the table shows is what is judged.
            Some(budget) if rounded(values.median()) <= budget => self.verdict(budget, "met"),
            Some(budget) => self.verdict(budget, "missed"),
        };
        [name, self.unit.into(), number(values.min()), number(values.median()), verdict]
    }

    fn verdict(&self, budget: f64, verdict: &str) -> String {
        match self.note.as_str() {
            "" => format!("{budget} {verdict}"),
            note => format!("{budget} {verdict}: {note}"),
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "unit", "min", "median", "budget"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3, 4].map(width);
        for (index, [name, unit, min, median, verdict]) in rows.iter().enumerate() {
            let [a, b, c, d, e] = widths;
            writeln!(f, "| {name:a$} | {unit:b$} | {min:>c$} | {median:>d$} | {verdict:e$} |")?;
            if index == 0 {
                let [a, b, c, d, e] = widths.map(|width| "-".repeat(width));
                writeln!(f, "| {a} | {b} | {}: | {}: | {e} |", &c[1..], &d[1..])?;
            }
        }
        Ok(())
    }
}

/// Three digits that count, or all of a large number.
fn number(value: f64) -> String {
    let decimals = decimals(value);
    format!("{:.decimals$}", rounded(value))
}

fn rounded(value: f64) -> f64 {
    let power = 10_f64.powi(decimals(value) as i32);
    (value * power).round() / power
}

fn decimals(value: f64) -> usize {
    match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    }
}

/// One line on the machine that the figures are of.
pub(crate) fn machine(core: usize) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let load = read("/proc/loadavg");
    let mut line = format!("{model}, {cores} cores, all on core {core}; Linux {}", kernel.trim());
    if let Some(load) = load.split_whitespace().next() {
        let _ = write!(line, "; load of the machine before the start {load}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_met() {
        let mut table = Table::default();
        table.add("size", "B", Series::from(123.0));
        table.judge("speed", "x", [1.301, 1.2].into_iter().collect(), 1.3);
        table.judge("memory", "MiB", Series::from(2.006), 2.0);
        table.not_run("calls", "no strace");
        let expected = "\
| figure | unit |  min | median | budget             |
| ------ | ---- | ---: | -----: | ------------------ |
| size   | B    |  123 |    123 |                    |
| speed  | x    | 1.20 |   1.25 | 1.3 met            |
| memory | MiB  | 2.01 |   2.01 | 2 missed           |
| calls  |      |      |        | not run: no strace |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (value, text) in
            [(0.0, "0"), (0.554, "0.55"), (1.304, "1.30"), (45.67, "45.7"), (123.4, "123")]
        {
            assert_eq!(number(value), text);
        }
    }
}
