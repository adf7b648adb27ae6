//! The last column of the README's status table.

use anyhow::{Context, Result, bail};

use super::Cited;
use super::list::{Id, Requirement};
use super::scan::ids;

/// A row of the table: what it begins with, and its requirements.
#[derive(Debug)]
pub(super) struct Row {
    /// The end of a feature's text may tell more, which changes with the state of things.
    feature: String,
    requirements: Vec<Id>,
}

/// Reads lines of feature and requirements, with a tab between them and a heading. Each
/// requirement belongs to exactly one row.
pub(super) fn parse(text: &str, known: &[Requirement]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for (place, line) in text.lines().enumerate().skip(1) {
        let (feature, list) = line
            .split_once('\t')
            .with_context(|| format!("line {}: expected a tab after the feature", place + 1))?;
        let requirements = ids(list);
        for id in &requirements {
            if rows.iter().any(|row| row.requirements.contains(id)) {
                bail!("line {}: {id} belongs to a row above", place + 1);
            }
            if known.iter().all(|known| known.id != *id) {
                bail!("line {}: there is no {id}", place + 1);
            }
        }
        rows.push(Row { feature: feature.to_owned(), requirements });
    }
    for Requirement { id, .. } in known {
        if !rows.iter().any(|row| row.requirements.contains(id)) {
            bail!("{id} belongs to no row");
        }
    }
    Ok(rows)
}

/// The README with the column filled anew.
pub(super) fn fill(readme: &str, rows: &[Row], cited: &Cited) -> Result<String> {
    let head = format!("| {} |", HEAD.join(" | "));
    let start = readme.find(&head).with_context(|| format!("there is no table {head}"))?;
    let end = readme[start..].find("\n\n").map_or(readme.len(), |length| start + length);
    let mut lines: Vec<String> = readme[start..end].lines().map(str::to_owned).collect();
    let mut seen: Vec<String> = Vec::new();
    for line in lines.iter_mut().skip(2) {
        let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let inner = inner.with_context(|| format!("expected a row of a table, got {line:?}"))?;
        let mut cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let feature = cells.first().copied().unwrap_or_default();
        let mut fitting = rows.iter().filter(|row| feature.starts_with(&row.feature));
        let row = fitting.next();
        let row = row.with_context(|| format!("no row of status.tsv begins {feature:?}"))?;
        if let Some(other) = fitting.next() {
            bail!("{feature:?} begins as both {:?} and {:?}", row.feature, other.feature);
        }
        if seen.contains(&row.feature) {
            bail!("{:?} begins two rows of the table", row.feature);
        }
        seen.push(row.feature.clone());
        // A new row may have no last cell yet.
        cells.truncate(HEAD.len() - 1);
        let count = count(row, cited);
        cells.push(&count);
        let padded = |cell: &&str| if cell.is_empty() { " ".into() } else { format!(" {cell} ") };
        *line = format!("|{}|", cells.iter().map(padded).collect::<Vec<_>>().join("|"));
    }
    if let Some(row) = rows.iter().find(|row| !seen.contains(&row.feature)) {
        bail!("no row of the table begins with {:?}", row.feature);
    }
    Ok(format!("{}{}{}", &readme[..start], lines.join("\n"), &readme[end..]))
}

fn count(row: &Row, cited: &Cited) -> String {
    let all = row.requirements.len();
    let shown = row.requirements.iter().filter(|id| cited.contains_key(id)).count();
    if all == 0 { "-".to_owned() } else { format!("{shown} of {all}") }
}

const HEAD: [&str; 4] = ["Feature", "LwM2M", "Status", "Requirements cited"];

#[cfg(test)]
mod tests {
    use super::super::list;
    use super::*;

    fn known() -> Vec<Requirement> {
        let lines = ["CORE-01", "CORE-02", "TRN-01"].map(|id| format!("{id}\tMUST\there\ttext\n"));
        list::parse(&format!("heading\n{}", lines.concat())).unwrap()
    }

    fn cited() -> Cited {
        let id = known()[1].id;
        Cited::from([(id, vec!["file: test".to_owned()])])
    }

    const ROWS: &str = "heading\nRead\tCORE-01, 02\nBlocks\tTRN-01\nDemo\t\n";

    #[test]
    fn each_row_says_how_many_of_its_requirements_are_cited() {
        let rows = parse(ROWS, &known()).unwrap();
        let readme = "\
text

| Feature | LwM2M | Status | Requirements cited |
| --- | --- | --- | --- |
| Demo | | works | 7 of 7 |
| Read, and more | 1.0 | works |
| Blocks | 1.0 | not yet | - |

text
";
        let filled = fill(readme, &rows, &cited()).unwrap();
        let wanted = readme
            .replace("works | 7 of 7", "works | -")
            .replace("more | 1.0 | works |", "more | 1.0 | works | 1 of 2 |")
            .replace("yet | -", "yet | 0 of 1");
        assert_eq!(filled, wanted);
        assert_eq!(fill(&filled, &rows, &cited()).unwrap(), filled);
        for (from, to, reason) in [
            ("| Demo |", "| Other |", "no row of status.tsv begins \"Other"),
            ("| Blocks |", "| Demo blocks |", "\"Demo\" begins two rows"),
            ("| Demo | | works | 7 of 7 |\n", "", "no row of the table begins with \"Demo\""),
            ("Requirements", "Rules", "there is no table"),
            ("| Demo", "Demo", "expected a row"),
        ] {
            let error = fill(&readme.replace(from, to), &rows, &cited()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let both = parse(&ROWS.replace("Blocks", "Rea"), &known()).unwrap();
        let error = fill(readme, &both, &cited()).unwrap_err();
        assert!(error.to_string().contains("begins as both"), "{error}");
    }

    #[test]
    fn each_requirement_belongs_to_exactly_one_row() {
        for (from, to, reason) in [
            ("TRN-01", "TRN-01, CORE-02", "CORE-02 belongs to a row above"),
            ("TRN-01", "", "TRN-01 belongs to no row"),
            ("TRN-01", "TRN-01, 02", "there is no TRN-02"),
            ("Demo\t", "Demo", "expected a tab"),
        ] {
            let error = parse(&ROWS.replace(from, to), &known()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
