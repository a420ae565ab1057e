//! The keys of a project beside its services: networks, volumes, secrets, configurations, models.

use super::{CHOICE, DRIVER_OPTIONS, FLAG, Field, LABELS, Scalar, Shape, TEXT, Types, key, needed, service::SERVICE};

/// A whole project.
pub(in crate::compose) static PROJECT: Shape = Shape::Object(&[
    key("configs", Shape::Named(&CONFIG)),
    key("include", Shape::List(&Shape::Either(&[TEXT, Shape::Closed(INCLUDE)]), false)),
    key("models", Shape::Named(&MODEL)),
    key("name", TEXT),
    key("networks", Shape::Named(&NETWORK)),
    key("secrets", Shape::Named(&SECRET)),
    key("services", Shape::Named(&SERVICE)),
    key("version", TEXT),
    key("volumes", Shape::Named(&VOLUME)),
]);

const INCLUDE: &[Field] = &[key("path", Shape::Texts), key("env_file", Shape::Texts), key("project_directory", TEXT)];

const EXTERNAL: Shape =
    Shape::Either(&[Shape::One(Types::BOOLEAN.or(Types::TEXT), Scalar::Flag), Shape::Object(&[key("name", TEXT)])]);

const POOL: &[Field] = &[
    key("aux_addresses", Shape::Options(Types::TEXT)),
    key("gateway", TEXT),
    key("ip_range", TEXT),
    key("subnet", TEXT),
];

static NETWORK: Shape = Shape::Maybe(&Shape::Object(&[
    key("attachable", FLAG),
    key("driver", TEXT),
    key("driver_opts", DRIVER_OPTIONS),
    key("enable_ipv4", CHOICE),
    key("enable_ipv6", CHOICE),
    key("external", EXTERNAL),
    key("internal", FLAG),
    key(
        "ipam",
        Shape::Object(&[
            key("config", Shape::List(&Shape::Object(POOL), false)),
            key("driver", TEXT),
            key("options", Shape::Options(Types::TEXT)),
        ]),
    ),
    key("labels", LABELS),
    key("name", TEXT),
]));

static VOLUME: Shape = Shape::Maybe(&Shape::Object(&[
    key("driver", TEXT),
    key("driver_opts", DRIVER_OPTIONS),
    key("external", EXTERNAL),
    key("labels", LABELS),
    key("name", TEXT),
]));

static SECRET: Shape = Shape::Object(&[
    key("driver", TEXT),
    key("driver_opts", DRIVER_OPTIONS),
    key("environment", TEXT),
    key("external", EXTERNAL),
    key("file", TEXT),
    key("labels", LABELS),
    key("name", TEXT),
    key("template_driver", TEXT),
]);

static CONFIG: Shape = Shape::Object(&[
    key("content", TEXT),
    key("environment", TEXT),
    key("external", EXTERNAL),
    key("file", TEXT),
    key("labels", LABELS),
    key("name", TEXT),
    key("template_driver", TEXT),
]);

static MODEL: Shape = Shape::Object(&[
    key("context_size", Shape::One(Types::INTEGER, Scalar::Integer)),
    needed("model", TEXT),
    key("name", TEXT),
    key("runtime_flags", Shape::List(&TEXT, false)),
]);
