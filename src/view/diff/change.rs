//! What differs of one object: its facts on both sides, name by name.

use serde::Serialize;
use serde_json::Value;

use crate::base::name::harmless;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the second dump has it.
    Added,
    /// Only the first dump has it.
    Gone,
    /// Both have it, and not the same.
    Changed,
}

impl Change {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Gone => "gone",
            Self::Changed => "changed",
        }
    }
}

/// One fact of an object that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Its name, as in the JSON of other questions.
    pub name: String,
    /// In the first dump; null where there is none.
    pub a: Value,
    /// In the second dump.
    pub b: Value,
}

/// A fact of an object.
pub(super) struct Fact {
    name: String,
    shown: Value,
    /// What is held against the other side, where that is not what is shown.
    compared: Option<Value>,
}

/// The facts of an object on one side.
#[derive(Default)]
pub(super) struct Facts(Vec<Fact>);

impl Facts {
    pub(super) fn add(&mut self, name: &str, value: impl Serialize) {
        let shown = serde_json::to_value(value).unwrap_or_default();
        self.0.push(Fact { name: name.to_owned(), shown, compared: None });
    }

    /// A fact that is told as `shown`, and is the same as another that has the same `compared`.
    pub(super) fn add_as(&mut self, name: &str, shown: impl Serialize, compared: impl Serialize) {
        let value = |value: Result<Value, _>| -> Value { value.unwrap_or_default() };
        let compared = Some(value(serde_json::to_value(compared)));
        self.0.push(Fact { name: name.to_owned(), shown: value(serde_json::to_value(shown)), compared });
    }

    /// The members of an object, each a fact, those of members that are objects too; `each` may change a value, or
    /// leave it out.
    pub(super) fn add_all(&mut self, value: impl Serialize, each: &impl Fn(&str, Value) -> Option<Value>) {
        if let Ok(Value::Object(members)) = serde_json::to_value(value) {
            self.members("", members, each);
        }
    }

    fn members(
        &mut self,
        before: &str,
        members: serde_json::Map<String, Value>,
        each: &impl Fn(&str, Value) -> Option<Value>,
    ) {
        for (key, value) in members {
            let Some(value) = each(&key, value) else { continue };
            let name = format!("{before}{key}");
            match value {
                Value::Object(members) if !members.contains_key("@bytes") => {
                    self.members(&format!("{name}."), members, each);
                }
                shown => self.0.push(Fact { name, shown, compared: None }),
            }
        }
    }

    /// What differs between this side and the other.
    pub(super) fn against(self, other: Self) -> Vec<Field> {
        let mut others: Vec<Option<Fact>> = other.0.into_iter().map(Some).collect();
        let mut fields = Vec::new();
        let compared = |fact: &Fact| fact.compared.clone().unwrap_or_else(|| fact.shown.clone());
        for (position, fact) in self.0.into_iter().enumerate() {
            let is_it = |other: &Option<Fact>| other.as_ref().is_some_and(|other| other.name == fact.name);
            // both sides have most facts in the same order
            let place = match others.get(position) {
                Some(other) if is_it(other) => Some(position),
                _ => others.iter().position(is_it),
            };
            match place.and_then(|place| others.get_mut(place)).and_then(Option::take) {
                Some(other) if compared(&fact) != compared(&other) => {
                    fields.push(Field { name: fact.name, a: fact.shown, b: other.shown });
                }
                Some(_) => {}
                None if fact.shown.is_null() => {}
                None => fields.push(Field { name: fact.name, a: fact.shown, b: Value::Null }),
            }
        }
        for fact in others.into_iter().flatten().filter(|fact| !fact.shown.is_null()) {
            fields.push(Field { name: fact.name, a: Value::Null, b: fact.shown });
        }
        fields
    }
}

/// Longer values are cut in text.
const SHOWN: usize = 120;

/// `state: alive -> zombie, flags: -append +nonblock`.
pub(super) fn text(fields: &[Field]) -> String {
    let words: Vec<String> = fields
        .iter()
        .map(|field| {
            let difference = match (&field.a, &field.b) {
                // of a command line the order counts
                (Value::Array(a), Value::Array(b)) if field.name != "cmdline" => lists(a, b),
                _ => None,
            };
            let whole = || format!("{} -> {}", value(&field.a), value(&field.b));
            format!("{}: {}", field.name, difference.unwrap_or_else(whole))
        })
        .collect();
    words.join(", ")
}

/// Lists with more pairs of items than this are not looked through.
const LOOKED_AT: usize = 1 << 20;

/// What two lists do not have in common; `None` where only their order differs.
fn lists(a: &[Value], b: &[Value]) -> Option<String> {
    if a.len().saturating_mul(b.len()) > LOOKED_AT {
        return None;
    }
    let only = |these: &[Value], those: &[Value], sign: &str| -> Vec<String> {
        these.iter().filter(|item| !those.contains(item)).map(|item| format!("{sign}{}", value(item))).collect()
    };
    let words = [only(a, b, "-"), only(b, a, "+")].concat();
    (!words.is_empty()).then(|| shortened(words.join(" ")))
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => {
            let mut out = String::new();
            let _ = crate::base::name::escape(text.as_bytes(), &mut out);
            if out.is_empty() { "\"\"".to_owned() } else { out }
        }
        // who has the other end
        Value::Object(members) if members.len() == 2 && members.contains_key("pid") && members.contains_key("fd") => {
            let number = |key: &str| members.get(key).map(Value::to_string).unwrap_or_default();
            format!("{}/{}", number("pid"), number("fd"))
        }
        other => harmless(&other.to_string()),
    };
    shortened(text)
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
