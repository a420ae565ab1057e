//! What a template works on: JSON, with the types put back that it has in Docker.
//!
//! Templates tell a structure from a map: a field that a structure lacks is an error, a key that a map lacks is
//! `<no value>`; and an absent list prints as `[]`, an absent structure as `<nil>`. JSON does not say which is which, so
//! the names in Docker's documents do.

use std::rc::Rc;

use serde_json::{Map as Object, Value};

/// A value. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// What a key stands for that a map lacks.
    Missing,
    /// JSON's null, by what it is in Docker.
    Nil(Nil),
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<[Data]>),
    Map(Rc<Map>),
    Struct(Rc<Struct>),
}

/// What there is none of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nil {
    Pointer,
    List,
    Map,
}

/// Keys and values, in the order of the keys.
#[derive(Debug)]
pub(crate) struct Map {
    pub(super) entries: Vec<(Rc<str>, Data)>,
    /// What `index` gives for a key that is not there.
    pub(super) zero: Data,
}

/// Named fields, in their own order.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(super) fields: Vec<(Rc<str>, Data)>,
    /// What `.Label "key"` finds in a line of a listing.
    pub(super) labels: Option<Object<String, Value>>,
}

/// Documents' fields that are maps, and what such a map gives for a key that it lacks.
const MAPS: [(&str, Zero); 27] = [
    ("Annotations", Zero::Text),
    ("Attributes", Zero::Text),
    ("AuxiliaryAddresses", Zero::Text),
    ("Containers", Zero::Struct),
    ("Data", Zero::Text),
    ("Details", Zero::Text),
    ("DriverOpts", Zero::Text),
    ("ExposedPorts", Zero::Struct),
    ("Headers", Zero::Text),
    ("HttpHeaders", Zero::Text),
    ("IndexConfigs", Zero::Pointer),
    ("Labels", Zero::Text),
    ("Networks", Zero::Pointer),
    ("Options", Zero::Text),
    ("PortBindings", Zero::List),
    ("Ports", Zero::List),
    ("Runtimes", Zero::Struct),
    ("Services", Zero::Struct),
    ("Status", Zero::Text),
    ("StorageOpt", Zero::Text),
    ("Sysctls", Zero::Text),
    ("Tmpfs", Zero::Text),
    ("Volumes", Zero::Struct),
    ("status", Zero::Text),
    ("options", Zero::Text),
    ("annotations", Zero::Text),
    ("runtimeOptions", Zero::Text),
];

/// Fields that are pointers, where null is not an empty list.
const POINTERS: [&str; 13] = [
    "AppArmorProfile",
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "LinkLocalIPs6",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "StopTimeout",
    "UsageData",
    "VolumeOptions",
    "ClusterVolume",
];

/// Fields that Docker's documents leave out where they are empty, and that templates may ask for all the same.
const OMITTED: [(&str, Zero); 29] = [
    ("Annotations", Zero::NoMap),
    ("ArgsEscaped", Zero::False),
    ("ClusterVolume", Zero::Pointer),
    ("ConfigFrom", Zero::Text),
    ("ContainerIDFile", Zero::Text),
    ("Driver", Zero::Text),
    ("ExposedPorts", Zero::NoMap),
    ("GwPriority", Zero::Int),
    ("Health", Zero::Pointer),
    ("Healthcheck", Zero::Pointer),
    ("Init", Zero::Pointer),
    ("MacAddress", Zero::Text),
    ("Mounts", Zero::List),
    ("Name", Zero::Text),
    ("NetworkDisabled", Zero::False),
    ("OnBuild", Zero::List),
    ("Options", Zero::NoMap),
    ("Parent", Zero::Text),
    ("Peers", Zero::List),
    ("Propagation", Zero::Text),
    ("Services", Zero::NoMap),
    ("Shell", Zero::List),
    ("SizeRootFs", Zero::Pointer),
    ("SizeRw", Zero::Pointer),
    ("StopSignal", Zero::Text),
    ("StopTimeout", Zero::Pointer),
    ("StorageOpt", Zero::NoMap),
    ("Sysctls", Zero::NoMap),
    ("Tmpfs", Zero::NoMap),
];

/// A type's value where there is none.
#[derive(Debug, Clone, Copy)]
enum Zero {
    Text,
    False,
    Int,
    List,
    Pointer,
    Struct,
    NoMap,
}

impl Zero {
    fn data(self) -> Data {
        match self {
            Self::Text => Data::text(""),
            Self::False => Data::Bool(false),
            Self::Int => Data::Int(0),
            Self::List => Data::Nil(Nil::List),
            Self::Pointer => Data::Nil(Nil::Pointer),
            Self::Struct => Data::Struct(Rc::new(Struct { fields: Vec::new(), labels: None })),
            Self::NoMap => Data::Nil(Nil::Map),
        }
    }
}

/// Whether a field is a map, and of what.
fn map_of(parent: &str, name: &str) -> Option<Zero> {
    let is_log_option = parent == "LogConfig" && name == "Config";
    // An event's attributes apart, "Status" is a text in most documents, which is no object.
    if is_log_option { Some(Zero::Text) } else { MAPS.iter().find(|(map, _)| *map == name).map(|(_, zero)| *zero) }
}

impl Data {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// A document, as `inspect` prints it.
    pub(crate) fn document(value: &Value) -> Self {
        convert(value, "", "")
    }

    /// A line of a listing: the fields are sorted, as Docker's are.
    pub(crate) fn row(fields: &Object<String, Value>, labels: Object<String, Value>) -> Self {
        let mut fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.as_str().into(), convert(value, "", name))).collect();
        fields.sort_by(|(a, _): &(Rc<str>, _), (b, _)| a.cmp(b));
        Self::Struct(Rc::new(Struct { fields, labels: Some(labels) }))
    }

    /// A map of texts.
    pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(|(key, text)| (key.into(), Self::text(text))).collect();
        entries.sort_by(|(a, _): &(Rc<str>, _), (b, _)| a.cmp(b));
        Self::Map(Rc::new(Map { entries, zero: Self::text("") }))
    }

    /// What `if` takes for true: anything but nothing, zero and what is empty.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Nil(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// Go's name of its type, as far as JSON tells.
    pub(super) fn type_name(&self) -> &'static str {
        let is_text = |item: &Self| matches!(item, Self::Text(_));
        match self {
            Self::Missing | Self::Nil(Nil::Pointer) => "<nil>",
            Self::Nil(Nil::List) => "[]string",
            Self::Nil(Nil::Map) => "map[string]string",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(items) if items.iter().all(is_text) => "[]string",
            Self::List(_) => "[]interface {}",
            Self::Map(map) if map.entries.iter().all(|(_, value)| is_text(value)) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Struct(_) => "struct",
        }
    }

    /// As JSON again.
    pub(super) fn json(&self) -> Value {
        let object = |entries: &[(Rc<str>, Self)]| {
            entries.iter().map(|(name, value)| (name.to_string(), value.json())).collect::<Object<_, _>>().into()
        };
        match self {
            Self::Missing | Self::Nil(_) => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            // As Go, which has no fraction where there is none.
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Map(map) => object(&map.entries),
            Self::Struct(it) => object(&it.fields),
        }
    }
}

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<&Data> {
        self.entries.iter().find(|(name, _)| name.as_ref() == key).map(|(_, value)| value)
    }
}

impl Struct {
    /// A field; also one that the document has left out.
    pub(super) fn get(&self, name: &str) -> Option<Data> {
        let found = self.fields.iter().find(|(field, _)| field.as_ref() == name).map(|(_, value)| value.clone());
        let omitted = || {
            let is_document = self.labels.is_none() && !self.fields.is_empty();
            OMITTED.iter().find(|(field, _)| is_document && *field == name).map(|(_, zero)| zero.data())
        };
        found.or_else(omitted)
    }

    /// Whether it is a line of a listing.
    pub(super) fn is_row(&self) -> bool {
        self.labels.is_some()
    }
}

fn convert(value: &Value, parent: &str, name: &str) -> Data {
    match value {
        Value::Null if map_of(parent, name).is_some() => Data::Nil(Nil::Map),
        Value::Null if parent.is_empty() && name.is_empty() || POINTERS.contains(&name) => Data::Nil(Nil::Pointer),
        Value::Null => Data::Nil(Nil::List),
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Data::Int(value),
            (None, Some(value)) => Data::Uint(value),
            (None, None) => Data::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Data::text(text),
        Value::Array(items) => Data::List(items.iter().map(|item| convert(item, parent, name)).collect()),
        Value::Object(fields) => {
            let zero = map_of(parent, name);
            // A map's keys say nothing about its values.
            let entry = |(key, value): (&String, &Value)| {
                let named = if zero.is_some() { "" } else { key.as_str() };
                (Rc::from(key.as_str()), convert(value, name, named))
            };
            let mut entries: Vec<_> = fields.iter().map(entry).collect();
            let Some(zero) = zero else {
                return Data::Struct(Rc::new(Struct { fields: entries, labels: None }));
            };
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Data::Map(Rc::new(Map { entries, zero: zero.data() }))
        }
    }
}
