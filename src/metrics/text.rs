//! Metrics as text, in Prometheus' format 0.0.4.

use std::fmt::Write;

use super::family::{Family, Labels, Value};

/// The text of metrics.
pub fn to_text(families: &[Family]) -> String {
    let mut out = String::with_capacity(32 << 10);
    for family in families {
        put_family(&mut out, family);
    }
    out
}

fn put_family(out: &mut String, Family { name, help, kind, values }: &Family) {
    // To write to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
    for (labels, value) in values {
        match value {
            Value::Number(number) => put(out, name, "", labels, None, *number),
            Value::Spread(spread) => {
                for (bound, count) in spread.cumulative() {
                    put(out, name, "_bucket", labels, Some(&bound.to_string()), count);
                }
                let count = spread.count();
                put(out, name, "_bucket", labels, Some("+Inf"), count);
                put(out, name, "_sum", labels, None, spread.sum);
                put(out, name, "_count", labels, None, count);
            }
        }
    }
}

fn put(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &Labels,
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    let _ = write!(out, "{name}{suffix}");
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    for (index, (label, of)) in all.clone().enumerate() {
        let _ = write!(out, "{}{label}=\"{of}\"", if index == 0 { '{' } else { ',' });
    }
    if all.count() > 0 {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::to_text;
    use crate::metrics::{
        family::Family,
        histogram::{Distribution, Times},
    };

    #[test]
    fn numbers_and_histograms_have_the_lines_that_prometheus_reads() {
        let times = Times::of_times();
        times.observe_time(Duration::from_millis(2));
        let families = [
            Family::counter("hub_a_total", "What there was.").with(&[("code", "1000"), ("by", "hub")], 3),
            Family::gauge("hub_b", "What there is.").of(7),
            Family::histogram("hub_c_seconds", "How long.")
                .spread(&[], Distribution::of_times().and_times(&times)),
        ];
        let text = to_text(&families);
        let begin = "# HELP hub_a_total What there was.\n# TYPE hub_a_total counter\n\
            hub_a_total{code=\"1000\",by=\"hub\"} 3\n\
            # HELP hub_b What there is.\n# TYPE hub_b gauge\nhub_b 7\n";
        assert!(text.starts_with(begin), "{text}");
        for line in [
            "hub_c_seconds_bucket{le=\"0.001\"} 0\n",
            "hub_c_seconds_bucket{le=\"0.0025\"} 1\n",
            "hub_c_seconds_bucket{le=\"+Inf\"} 1\n",
            "hub_c_seconds_sum 0.002\n",
            "hub_c_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
