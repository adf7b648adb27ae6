//! The answer to Discover (Core 6.2).

use lwm2m_codec::link_format::{self, Link};
use lwm2m_model::{Attribute, Attributes, ObjectDef, Path, Version};

use crate::object_list;
use crate::server::Server;

/// The links of `target` and of `existing` paths down to `depth` levels below it.
///
/// The target shows what is attached there and inherited, links below it only
/// what is attached at their own level; all of it as the asking server has it.
pub(crate) fn write(
    target: &Path,
    depth: usize,
    existing: &[Path],
    definition: &ObjectDef,
    server: Option<&Server>,
) -> String {
    let version = server.map_or(Version::V1_2, |server| server.version);
    let deepest = target.depth() + depth;
    let below = existing.iter().filter(|path| {
        path.depth() > target.depth() && path.depth() <= deepest && target.contains(path)
    });
    let links: Vec<Link<'_>> = std::iter::once(target)
        .chain(below)
        .map(|path| {
            let link = match path.depth() {
                1 => object_list::object_link(definition, version),
                3 => with_dimension(path, existing, definition),
                _ => Link::new(path.to_string()),
            };
            let attributes = match server {
                Some(server) if path == target => server.attached.effective(path),
                Some(server) => server.attached.at(path),
                None => Attributes::default(),
            };
            with_attributes(link, &attributes, version)
        })
        .collect();
    let mut text = String::new();
    link_format::write(&links, &mut text);
    text
}

/// `dim`: the number of instances of a multiple-instance resource (CORE-130).
fn with_dimension(path: &Path, existing: &[Path], definition: &ObjectDef) -> Link<'static> {
    let link = Link::new(path.to_string());
    let multiple = path
        .resource_id()
        .and_then(|id| definition.resource(id))
        .is_some_and(|resource| resource.multiple);
    if !multiple {
        return link;
    }
    let dimension = existing.iter().filter(|other| other.depth() == 4 && path.contains(other));
    link.plain("dim", dimension.count().to_string())
}

/// Attributes that the server's version knows: an unknown one makes the answer
/// unreadable for some servers.
fn with_attributes<'a>(link: Link<'a>, attributes: &Attributes, version: Version) -> Link<'a> {
    attributes.attached().filter(|attribute| since(*attribute) <= version).fold(
        link,
        |link, attribute| match attributes.text(attribute) {
            Some(text) => link.plain(attribute.name(), text),
            None => link,
        },
    )
}

/// The version that brought an attribute.
fn since(attribute: Attribute) -> Version {
    match attribute {
        Attribute::Pmin | Attribute::Pmax | Attribute::Gt | Attribute::Lt | Attribute::St => {
            Version::V1_0
        }
        Attribute::Epmin | Attribute::Epmax => Version::V1_1,
        Attribute::Edge | Attribute::Con | Attribute::Hqmax => Version::V1_2,
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_model::{AttributeUpdate, Instant, objects};

    use super::*;
    use crate::Account;

    fn server(version: Version, attached: &[(&str, &str)]) -> Server {
        let account = Account::new(101, "coap://localhost");
        let mut server = Server::new(account, 0, version, Instant::ZERO);
        for (path, query) in attached {
            let update = AttributeUpdate::parse(query.split('&')).unwrap();
            server.attached.update(&path.parse().unwrap(), &update).unwrap();
        }
        server
    }

    fn discover(server: &Server, target: &str, depth: usize) -> String {
        let existing: Vec<Path> =
            ["/3/0", "/3/0/0", "/3/0/4", "/3/0/7", "/3/0/7/0", "/3/0/7/1", "/3/0/11", "/3/0/11/0"]
                .map(|text| text.parse().unwrap())
                .into();
        write(&target.parse().unwrap(), depth, &existing, &objects::DEVICE, Some(server))
    }

    /// The examples of Core 6.2.
    /// CORE-129 to 131.
    #[test]
    fn depth_dim_and_attributes_are_as_in_the_examples() {
        let server = server(
            Version::V1_2,
            &[
                ("/3", "pmin=10"),
                ("/3/0", "pmax=60"),
                ("/3/0/7", "pmax=30&gt=4200"),
                ("/3/0/7/1", "gt=4500"),
            ],
        );
        assert_eq!(
            discover(&server, "/3/0", 1),
            "</3/0>;pmin=10;pmax=60,</3/0/0>,</3/0/4>,</3/0/7>;dim=2;pmax=30;gt=4200,</3/0/11>;dim=1"
        );
        assert_eq!(
            discover(&server, "/3/0/7", 1),
            "</3/0/7>;dim=2;pmin=10;pmax=30;gt=4200,</3/0/7/0>,</3/0/7/1>;gt=4500"
        );
        assert_eq!(discover(&server, "/3", 0), "</3>;pmin=10");
        assert_eq!(discover(&server, "/3", 1), "</3>;pmin=10,</3/0>;pmax=60");
        assert!(discover(&server, "/3", 3).ends_with("</3/0/11>;dim=1,</3/0/11/0>"));
    }

    #[test]
    fn an_older_server_is_shown_what_it_knows() {
        let server = server(Version::V1_1, &[("/3", "pmin=10&con=1&epmin=2")]);
        assert_eq!(discover(&server, "/3", 0), "</3>;ver=1.2;pmin=10;epmin=2");
    }
}
