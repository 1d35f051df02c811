//! Reads the file of inputs: CSV, JSON, or JSON lines.
//!
//! Rule: a row of a CSV file is one item, and its columns, except the column of labels, are the
//! numbers of the only input. An item of a JSON file is a body of `/predict`, or the bare value of
//! the only input; a key `label` next to the input is its label.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The name of the last column of a CSV file, or of a key, that holds labels.
const LABEL: &str = "label";

/// The contents of the file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Data {
    /// Bodies of `/predict`.
    pub(super) items: Vec<Value>,
    /// Their labels; empty without labels.
    pub(super) labels: Vec<Value>,
}

impl Data {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or parsed, with the line.
    pub(super) fn read(file: &Path, label_column: Option<&str>) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        let is_csv = file
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let data = match is_csv {
            true => csv(&text, label_column),
            false => json_items(&text).and_then(|items| labelled(items, label_column)),
        };
        let data = data.with_context(|| format!("cannot use `{}`", file.display()))?;
        if data.items.is_empty() {
            bail!("`{}` has no items", file.display());
        }
        Ok(data)
    }

    /// Keeps the first items.
    pub(super) fn truncate(&mut self, n_items: usize) {
        self.items.truncate(n_items);
        self.labels.truncate(n_items);
    }
}

/// Parses an array, or one value on each line.
fn json_items(text: &str) -> Result<Vec<Value>> {
    if let Ok(items) = serde_json::from_str(text) {
        return Ok(items);
    }
    let lines = (1..).zip(text.lines());
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| {
                format!("line {number}: expected an array of items, or one item on each line")
            })
        })
        .collect()
}

/// Separates the labels from the items.
fn labelled(items: Vec<Value>, key: Option<&str>) -> Result<Data> {
    let key = key.unwrap_or(LABEL);
    let mut data = Data::default();
    let n_items = items.len();
    for item in items {
        let mut item = match item.is_object() {
            true => item,
            false => json!({ "data": item }),
        };
        let label = item.as_object_mut().and_then(|item| item.shift_remove(key));
        data.labels.extend(label);
        data.items.push(item);
    }
    let n_labels = data.labels.len();
    match n_labels == 0 || n_labels == n_items {
        true => Ok(data),
        false => {
            bail!("{n_labels} of {n_items} items have a `{key}`; all of them need one, or none")
        }
    }
}

fn csv(text: &str, label_column: Option<&str>) -> Result<Data> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let (_, header) = lines.next().context("the header is missing")?;
    let header = fields(header);
    let last_is_label = header.last().is_some_and(|name| name == LABEL);
    let label = match label_column {
        Some(name) => {
            let found = header.iter().position(|column| column == name);
            Some(found.with_context(|| format!("the header has no column `{name}`"))?)
        }
        None => last_is_label.then(|| header.len() - 1),
    };
    let mut data = Data::default();
    for (number, line) in lines {
        let fields = fields(line);
        if fields.len() != header.len() {
            bail!(
                "line {number} has {} fields, the header has {}",
                fields.len(),
                header.len()
            );
        }
        let mut row = Vec::with_capacity(fields.len());
        for (column, field) in fields.iter().enumerate() {
            match Some(column) == label {
                true => data.labels.push(value(field)),
                false => row.push(value(field)),
            }
        }
        data.items.push(json!({ "data": [row] }));
    }
    Ok(data)
}

/// Parses a field as a number if possible, otherwise as text.
fn value(field: &str) -> Value {
    let field = field.trim();
    let number = serde_json::from_str(field).ok();
    number
        .filter(Value::is_number)
        .unwrap_or_else(|| json!(field))
}

/// Returns the fields of one line; a quoted field may contain commas, and a doubled quote for one.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                push(&mut fields, '"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            letter => push(&mut fields, letter),
        }
    }
    fields
}

fn push(fields: &mut [String], letter: char) {
    if let Some(field) = fields.last_mut() {
        field.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str, label_column: Option<&str>) -> Result<Data> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        Data::read(&file, label_column)
    }

    fn data(items: &Value, labels: &Value) -> Data {
        Data {
            items: items.as_array().unwrap().clone(),
            labels: labels.as_array().unwrap().clone(),
        }
    }

    #[test]
    fn rows_of_a_table_are_items() {
        let text = "a,b,label\n1,2.5,0\n\n3,x,\"big, \"\"cat\"\"\"\n";
        let items = json!([{"data": [[1, 2.5]]}, {"data": [[3, "x"]]}]);
        let found = read("a.csv", text, None).unwrap();
        assert_eq!(found, data(&items, &json!([0, "big, \"cat\""])));
        let found = read("a.CSV", "y,x\n1,2\n", Some("y")).unwrap();
        assert_eq!(found, data(&json!([{"data": [[2]]}]), &json!([1])));
        let found = read("a.csv", "x,y\n1,2\n", None).unwrap();
        assert_eq!(found, data(&json!([{"data": [[1, 2]]}]), &json!([])));
    }

    #[test]
    fn json_is_a_list_or_lines() {
        let items = json!([{"data": [[1]]}, {"data": [2]}]);
        let texts = [r#"[{"data": [[1]]}, [2]]"#, "{\"data\": [[1]]}\n\n[2]\n"];
        for text in texts {
            assert_eq!(
                read("a.json", text, None).unwrap(),
                data(&items, &json!([]))
            );
        }
        let text = r#"[{"inputs": {"x": 1}, "label": "cat"}]"#;
        let expected = data(&json!([{"inputs": {"x": 1}}]), &json!(["cat"]));
        assert_eq!(read("a.jsonl", text, None).unwrap(), expected);
    }

    #[test]
    fn the_first_items_keep_their_labels() {
        let mut found = read("a.csv", "x,label\n1,a\n2,b\n3,c\n", None).unwrap();
        found.truncate(2);
        let items = json!([{"data": [[1]]}, {"data": [[2]]}]);
        assert_eq!(found, data(&items, &json!(["a", "b"])));
        found.truncate(9);
        assert_eq!(found.items.len(), 2);
    }

    #[test]
    fn a_cell_is_a_number_where_it_looks_like_one() {
        let shown = ["1", " 2.5 ", "-1e-3", "", "true", "1,5", "007"].map(value);
        let expected = json!([1, 2.5, -1e-3, "", "true", "1,5", "007"]);
        assert_eq!(json!(shown), expected);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_its_line() {
        let cases = [
            ("a.csv", "", None, "the header is missing"),
            ("a.csv", "x,y\n1\n", None, "line 2 has 1 fields"),
            ("a.csv", "x,y\n1,2\n", Some("z"), "no column `z`"),
            ("a.csv", "x,y\n", None, "has no items"),
            ("a.json", "[1\n", None, "line 1"),
            ("a.json", r#"[{"label": 1}, 2]"#, None, "1 of 2 items"),
        ];
        for (name, text, column, expected) in cases {
            let error = format!("{:#}", read(name, text, column).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
