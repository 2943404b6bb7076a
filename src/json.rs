//! JSON as text.

use std::fmt::{Display, Write};

/// `text` as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    // A string always has a JSON form.
    serde_json::to_string(text).unwrap_or_default()
}

/// A JSON array of what `put` appends for each.
pub(crate) fn array<T>(all: &[T], put: impl Fn(&mut String, &T)) -> String {
    let mut out = String::from("[");
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(&mut out, one);
    }
    out.push(']');
    out
}

/// A JSON object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one behind what `out` holds.
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// Appends a string. A name needs no escape, here and below.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.out.push_str(&quoted(value));
        self
    }

    /// Appends a string, where there is one.
    pub(crate) fn text_if(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// Appends a number, which must be finite.
    pub(crate) fn number(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.name(name);
        // To write to a string cannot fail.
        let _ = write!(self.out, "{value}");
        self
    }

    /// Appends a number, where there is one.
    pub(crate) fn number_if(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.number(name, value);
        }
        self
    }

    /// Appends `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.number(name, value)
    }

    /// Appends what is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.out.push_str(json);
        self
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.out.push('}');
    }
}
