//! Metrics as JSON, for JavaScript.

use super::family::{Family, Labels, Value};
use crate::json::{Object, array};

/// A JSON array of metrics: `{ name, help, type, values: [{ labels, value }] }`; the values of a histogram are
/// `{ labels, count, sum, buckets: [{ le, count }] }`, whose counts include those of the buckets before.
pub fn to_json(families: &[Family]) -> String {
    array(families, |out, family| {
        let mut object = Object::begin(out);
        object.text("name", family.name).text("help", family.help).text("type", family.kind.name());
        object.raw("values", &array(&family.values, |out, (labels, value)| put_value(out, labels, value)));
        object.end();
    })
}

fn put_value(out: &mut String, labels: &Labels, value: &Value) {
    let mut names = String::new();
    let mut object = Object::begin(&mut names);
    for (name, of) in labels {
        object.text(name, of);
    }
    object.end();
    let mut object = Object::begin(out);
    object.raw("labels", &names);
    match value {
        Value::Number(number) => {
            object.number("value", *number);
        }
        Value::Spread(spread) => {
            let buckets: Vec<_> = spread.cumulative().collect();
            object.number("count", spread.count()).number("sum", spread.sum);
            object.raw(
                "buckets",
                &array(&buckets, |out, (bound, count)| {
                    let mut object = Object::begin(out);
                    object.number("le", *bound).number("count", *count);
                    object.end();
                }),
            );
        }
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::to_json;
    use crate::metrics::{family::Family, histogram::Distribution};

    #[test]
    fn metrics_are_json_that_can_be_read() {
        let families = [
            Family::counter("hub_a_total", "What \"there\" was.").with(&[("code", "1000")], 3),
            Family::histogram("hub_c", "How many.").spread(&[], Distribution::of_counts()),
        ];
        let read: serde_json::Value = serde_json::from_str(&to_json(&families)).unwrap();
        assert_eq!(read[0]["help"], "What \"there\" was.");
        assert_eq!(read[0]["values"][0]["labels"]["code"], "1000");
        assert_eq!(read[0]["values"][0]["value"], 3);
        assert_eq!(read[1]["type"], "histogram");
        assert_eq!(read[1]["values"][0]["buckets"][9]["le"], 1024);
        assert_eq!(read[1]["values"][0]["sum"], 0);
    }
}
