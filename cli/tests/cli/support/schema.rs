//! As much of JSON Schema as docs/summary.schema.json uses. A keyword it does not know fails, so that none is ignored.

use serde_json::Value;

use super::sandbox::Run;

/// The schema of everything that `--json` prints.
pub(crate) fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/summary.schema.json");
    let text = std::fs::read_to_string(path).expect("the schema is there");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// The object that a run printed, checked against the schema.
#[track_caller]
pub(crate) fn object(run: &Run) -> Value {
    assert_eq!(run.stdout.lines().count(), 1, "one object on one line: {run:?}");
    let value: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(violations(&schema(), &value), [""; 0], "{value}");
    assert_eq!(value["exit_code"], run.code, "{value}");
    value
}

/// The texts at `key` of the rows of an object, in their order.
pub(crate) fn rows(value: &Value, key: &str) -> Vec<String> {
    let rows = value["rows"].as_array().expect("always there");
    rows.iter().map(|row| row[key].as_str().expect("text").to_owned()).collect()
}

/// Everything about `value` that `schema` does not allow; empty if it is valid.
fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { whole: schema, found: &mut found }.value("", schema, value);
    found
}

struct Check<'a> {
    whole: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, at: &str, schema: &Value, value: &Value) {
        for (keyword, rule) in schema.as_object().expect("a schema is an object") {
            let holds = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" => true,
                "type" => has_type(rule.as_str().expect("one type"), value),
                "const" => rule == value,
                "enum" => rule.as_array().expect("a list").contains(value),
                "minimum" => value.as_f64() >= rule.as_f64(),
                "pattern" => rule == HEX && is_hex(value.as_str().unwrap_or("")),
                "anyOf" => rule.as_array().expect("a list").iter().any(|one| {
                    let mut found = Vec::new();
                    Check { whole: self.whole, found: &mut found }.value(at, one, value);
                    found.is_empty()
                }),
                "$ref" => {
                    let place = rule.as_str().and_then(|text| text.strip_prefix('#'));
                    let target = self.whole.pointer(place.expect("within the file"));
                    self.value(at, target.expect("defined"), value);
                    true
                }
                "required" => {
                    let keys = rule.as_array().expect("a list").iter().filter_map(Value::as_str);
                    keys.into_iter().all(|key| value.get(key).is_some())
                }
                "additionalProperties" => {
                    let known = &schema["properties"];
                    value
                        .as_object()
                        .is_none_or(|map| map.keys().all(|key| known.get(key).is_some()))
                }
                "properties" => {
                    for (key, rule) in rule.as_object().expect("an object") {
                        if let Some(value) = value.get(key) {
                            self.value(&format!("{at}/{key}"), rule, value);
                        }
                    }
                    true
                }
                "items" => {
                    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(&format!("{at}/{index}"), rule, value);
                    }
                    true
                }
                other => panic!("the schema uses {other}, which this check does not know"),
            };
            if !holds {
                self.found.push(format!("{at}: {keyword} {rule} does not hold for {value}"));
            }
        }
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no such type: {other}"),
    }
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(is_digit)
}

const HEX: &str = "^([0-9a-f]{2})+$";
