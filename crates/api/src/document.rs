//! The OpenAPI document: made of the routes, with what each of them wants of the caller.

use axum::http::Method;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use crate::problem::Problem;
use crate::right::needed;

/// Tags, in the order in which a reader wants them.
const TAGS: [(&str, &str); 9] = [
    ("library", "What is in the library, and where it plays"),
    ("instance", "How the instance does, and what happens"),
    ("queue", "Downloads for arrs"),
    ("repair", "Releases that cannot be read"),
    ("cache", "The cache on disk"),
    ("providers", "Accounts, and moves between them"),
    ("backend", "Who decodes the kernel's requests"),
    ("tokens", "Tokens for files over HTTP"),
    ("traces", "Recordings of reads"),
];

/// A document without routes.
pub(crate) fn empty() -> OpenApi {
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("debridfs")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "All that the pages and the commands can do. Failures are `application/problem+json` (RFC 9457).",
        ))
        .license(Some(license))
        .build();
    let tags = TAGS.map(|(name, words)| {
        TagBuilder::new()
            .name(name)
            .description(Some(words))
            .build()
    });
    // Routes bring the forms of what they take and answer along, but not those of their failures.
    let components = ComponentsBuilder::new().schema_from::<Problem>().build();
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags))
        .components(Some(components))
        .build()
}

/// `document` with what each operation wants of the caller.
pub(crate) fn with_rights(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let right = needed(&method, path);
            let shown = [right.word()];
            operation.security = Some(vec![
                SecurityRequirement::new("token", shown),
                SecurityRequirement::new("session", shown),
            ]);
        }
    }
    let token = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token: `Authorization: Bearer …`"))
        .build();
    let session = ApiKeyValue::with_description("debridfs_session", "A session of the pages");
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    document
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The operations of a path.
pub(crate) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}
