//! What every listing and every `inspect` prints: tables, JSON, or what `--format` makes of them.

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Outcome, complain, print, table,
    template::{Data, Fields, Template},
};
use crate::engine::{
    docker_config::DockerConfig,
    error::{Error, Result},
};

/// Docker's exit code for a template of `inspect` that cannot be read.
const UNREADABLE: u8 = 64;

/// The format of a listing: that of the command line, or the user's own from Docker's config.json, which `--quiet` goes over.
/// An empty one is none.
pub(crate) fn choose(
    given: Option<String>,
    quiet: bool,
    own: impl FnOnce(&'static DockerConfig) -> &'static String,
) -> Option<String> {
    let some = |format: &String| !format.is_empty();
    given
        .filter(some)
        .or_else(|| if quiet { None } else { Some(own(DockerConfig::read())).filter(|own| some(own)).cloned() })
}

/// One kind of listing. Templates name the fields of its rows.
pub(crate) struct Listing {
    /// What stands above a field in a table.
    pub(crate) headings: &'static [(&'static str, &'static str)],
    /// The table without `--format`: `{{.Field}}\t{{.Field}}`, with real tabs.
    pub(crate) table: &'static str,
    /// What `--quiet` prints of a row.
    pub(crate) quiet: &'static str,
    /// What `--format raw` prints of a row, where there is that.
    pub(crate) raw: Option<&'static str>,
}

/// A line of a listing: Docker's fields.
#[derive(Debug, Default)]
pub(crate) struct Row {
    fields: Map<String, Value>,
    labels: Map<String, Value>,
}

impl Row {
    /// A row of these fields.
    pub(crate) fn new<const N: usize>(fields: [(&str, Value); N]) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { fields, labels: Map::new() }
    }

    /// With labels, for `{{.Label "key"}}` and as the field `Labels`.
    pub(crate) fn labels<'a>(mut self, labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        self.labels = labels.into_iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        let mut all: Vec<_> =
            self.labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        all.sort();
        self.fields.insert("Labels".to_owned(), all.join(",").into());
        self
    }
}

impl Row {
    /// Its fields, for who prints several listings as one document.
    pub(crate) fn into_document(self) -> Value {
        Value::Object(self.fields)
    }

    /// A row of those of these columns that a listing shows: [`Listing::fields`].
    pub(crate) fn shown<const N: usize>(
        wanted: &Fields,
        columns: [(&str, &dyn Fn() -> Result<Value>); N],
    ) -> Result<Self> {
        let columns = columns.into_iter().filter(|(name, _)| wanted.has(name));
        let fields: Result<_> = columns.map(|(name, value)| Ok((name.to_owned(), value()?))).collect();
        Ok(Self { fields: fields?, labels: Map::new() })
    }

    /// With one field more.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }
}

impl Listing {
    /// Prints rows: a table, or what the user's `--format` says: `table`, `table TEMPLATE`, `json`, `raw`, or a template.
    pub(crate) fn print(&self, format: Option<&str>, quiet: bool, rows: impl IntoIterator<Item = Row>) -> Outcome {
        print(format_args!("{}", self.render(format, quiet, rows)?));
        Ok(0)
    }

    /// The fields that [`Listing::print`] looks at. Of what is no template it looks at none.
    pub(crate) fn fields(&self, format: Option<&str>, quiet: bool) -> Fields {
        let (template, _) = self.template(format.unwrap_or_default(), quiet);
        Template::parse(&template).map_or_else(|_| Fields::default(), |template| template.fields())
    }

    /// What [`Listing::print`] prints.
    pub(crate) fn render(
        &self,
        format: Option<&str>,
        quiet: bool,
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<String> {
        let (template, is_table) = self.template(format.unwrap_or_default(), quiet);
        let template = Template::parse(&template).map_err(|e| refused(&e))?;
        let failed = |e| Error::invalid(format!("template parsing error: {e}"));
        let mut text = String::new();
        if is_table {
            let headings = Data::map(self.headings.iter().copied());
            text.push_str(&template.render_heading(&headings).map_err(failed)?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&template.render(&Data::row(&row.fields, row.labels)).map_err(failed)?);
            text.push('\n');
        }
        Ok(if is_table { table::align(&text) } else { text })
    }

    /// The template of a line, and whether the lines are a table.
    fn template(&self, format: &str, quiet: bool) -> (String, bool) {
        let written = |template: &str| template.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        match format {
            "" => self.template("table", quiet),
            "table" | "raw" if quiet && (format == "table" || self.raw.is_some()) => (self.quiet.to_owned(), false),
            "table" => (self.table.to_owned(), true),
            "json" => ("{{json .}}".to_owned(), false),
            "raw" => (self.raw.unwrap_or(format).to_owned(), false),
            _ => match format.strip_prefix("table") {
                Some(columns) => (written(columns), true),
                None => (written(format), false),
            },
        }
    }
}

fn refused(error: &impl Display) -> Error {
    Error::invalid(format!("template parsing error: {error}"))
}

/// Prints one document, as `version` and `info` do.
pub(crate) fn document(template: &str, document: &Value) -> Outcome {
    let template = if template == "json" { "{{json .}}" } else { template };
    let template = match Template::parse(template) {
        Ok(template) => template,
        Err(e) => return unreadable(&refused(&e)),
    };
    let text = template.render(&Data::document(document)).map_err(|e| refused(&e))?;
    print(format_args!("{text}\n"));
    Ok(0)
}

fn unreadable(error: &Error) -> Outcome {
    complain(error);
    Ok(UNREADABLE)
}

/// Finds each of the objects that are named, and prints their documents: an array, or what `--format` makes of each. Who
/// is not found is complained of last, and the exit code is 1.
pub(crate) fn inspect(format: Option<&str>, names: &[String], mut find: impl FnMut(&str) -> Result<Value>) -> Outcome {
    let template = match format {
        None | Some("" | "json") => None,
        Some(template) => match Template::parse(template) {
            Ok(template) => Some(template),
            Err(e) => return unreadable(&refused(&e)),
        },
    };
    let mut documents = Vec::new();
    let mut texts = String::new();
    let mut errors = Vec::new();
    for name in names {
        match (find(name), &template) {
            (Ok(document), None) => documents.push(document),
            (Ok(document), Some(template)) => match template.render(&Data::document(&document)) {
                Ok(text) => texts += &(text + "\n"),
                Err(e) => errors.push(refused(&e)),
            },
            (Err(e), _) => errors.push(e),
        }
    }
    match &template {
        Some(_) if texts.is_empty() => print(format_args!("\n")),
        Some(_) => print(format_args!("{texts}")),
        None if format == Some("json") => print(format_args!("{}\n", Value::from(documents))),
        None => print(format_args!("{}\n", pretty(&documents)?)),
    }
    errors.iter().for_each(complain);
    Ok(u8::from(!errors.is_empty()))
}

/// JSON as Docker's `inspect` indents it.
fn pretty(documents: &[Value]) -> Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    documents
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|e| Error::system("print", &e.into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: Listing = Listing {
        headings: &[("ID", "THING ID"), ("Name", "NAME"), ("Labels", "LABELS")],
        table: "{{.ID}}\t{{.Name}}",
        quiet: "{{.ID}}",
        raw: Some("id: {{.ID}}\nname: {{.Name}}\n"),
    };

    fn render(format: Option<&str>, quiet: bool) -> String {
        let labels = [("com.x.a-b".to_owned(), "1".to_owned())];
        let rows = [("1", "one"), ("22", "twenty-two")]
            .map(|(id, name)| Row::new([("Name", name.into()), ("ID", id.into())]))
            .map(|row| row.labels(labels.iter().map(|(key, value)| (key, value))));
        LISTING.render(format, quiet, rows).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn each_format_prints_as_dockers() {
        for (format, text) in [
            (None, "THING ID   NAME\n1          one\n22         twenty-two\n"),
            (Some("table"), "THING ID   NAME\n1          one\n22         twenty-two\n"),
            (Some("table {{.Name}}\\t{{.ID}}"), "NAME         THING ID\none          1\ntwenty-two   22\n"),
            (Some(r"table {{upper .Name}} {{.Label `com.x.a-b`}}"), "NAME a b\nONE 1\nTWENTY-TWO 1\n"),
            (Some(r"{{.ID}}\t{{.Name}}\n"), "1\tone\n\n22\ttwenty-two\n\n"),
            (Some("raw"), "id: 1\nname: one\n\nid: 22\nname: twenty-two\n\n"),
            (
                Some("json"),
                "{\"ID\":\"1\",\"Labels\":\"com.x.a-b=1\",\"Name\":\"one\"}\n\
                 {\"ID\":\"22\",\"Labels\":\"com.x.a-b=1\",\"Name\":\"twenty-two\"}\n",
            ),
            (Some("{{"), "template parsing error: template: :1: unclosed action"),
        ] {
            assert_eq!(render(format, false), text, "{format:?}");
        }
        assert_eq!(render(None, true), "1\n22\n");
        assert_eq!(render(Some("{{.Name}}"), true), "one\ntwenty-two\n");
        assert!(render(Some("{{.Nonsense}}"), false).contains("Nonsense"));
    }
}
