//! Which fields of its data a template looks at: what nobody looks at need not be found out.

use std::collections::BTreeSet;

use super::{
    Template,
    ast::{List, Node, Operand, Pipe, Term},
};

/// Fields that a template may look at: those, and perhaps some more.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// The data as a whole are used.
    all: bool,
    names: BTreeSet<String>,
}

impl Template {
    /// The fields of its data that rendering may need.
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.list(&self.body);
        self.defined.values().for_each(|body| fields.list(body));
        fields
    }
}

impl Fields {
    /// Whatever there is.
    pub(crate) const fn all() -> Self {
        Self { all: true, names: BTreeSet::new() }
    }

    /// Whether rendering may need the field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }

    fn list(&mut self, list: &List) {
        for node in list {
            match node {
                Node::Text(_) | Node::Break | Node::Continue | Node::Template(_, None, _) => {}
                Node::Action(pipe) | Node::Template(_, Some(pipe), _) => self.pipe(pipe),
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                    self.pipe(&branch.pipe);
                    self.list(&branch.body);
                    self.list(&branch.otherwise);
                }
            }
        }
    }

    fn pipe(&mut self, pipe: &Pipe) {
        for command in &pipe.commands {
            self.operand(&command.first);
            command.arguments.iter().for_each(|argument| self.operand(argument));
        }
    }

    /// In a `with` the dot and the variables are something else than the data, which does no harm.
    fn operand(&mut self, operand: &Operand) {
        match &operand.term {
            Term::Nil | Term::Constant(..) | Term::Function(_) | Term::Chain(..) => {}
            Term::Dot => self.all = true,
            Term::Field(names) | Term::Variable(_, names) => match names.first() {
                Some(name) => self.names.extend([name.clone()]),
                None => self.all = true,
            },
            Term::Parenthesized(pipe, _) => self.pipe(pipe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_looked_at_is_known_before() {
        for (text, names) in [
            ("just text {{5}} {{json \"A\"}}", &[][..]),
            ("{{.A}}{{/* .B */}} {{.C.D}}", &["A", "C"]),
            ("{{.Label \"B\"}}", &["Label"]),
            ("{{if .A}}{{.B}}{{else}}{{.C}}{{end}}", &["A", "B", "C"]),
            ("{{range .A}}{{$.B}}{{end}}", &["A", "B"]),
            ("{{printf \"%s\" (upper .A) | json}}", &["A"]),
            ("{{define \"x\"}}{{.A}}{{end}}{{template \"x\" (.B)}}", &["A", "B"]),
        ] {
            let fields = Template::parse(text).expect(text).fields();
            let found: Vec<_> = ["A", "B", "C", "D", "Label"].into_iter().filter(|name| fields.has(name)).collect();
            assert_eq!(found, names, "{text}");
        }
        for text in
            ["{{.}}", "{{json .}}", "{{index . \"A\"}}", "{{$}}", "{{$x := .}}{{$x.A}}", "{{range .A}}{{.}}{{end}}"]
        {
            assert!(Template::parse(text).expect(text).fields().has("D"), "{text}");
        }
    }
}
