//! Which members this version of RAUC has, from its introspection data.

use std::collections::BTreeSet;

use roxmltree::{Document, ParsingOptions};

use crate::error::{Error, Result};
use crate::installer::INTERFACE;

/// The members of the interface that this version of RAUC has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    methods: BTreeSet<String>,
    properties: BTreeSet<String>,
}

impl Capabilities {
    /// True if there is a method of this name.
    pub fn has_method(&self, name: &str) -> bool {
        self.methods.contains(name)
    }

    /// True if there is a property of this name.
    pub fn has_property(&self, name: &str) -> bool {
        self.properties.contains(name)
    }

    /// True if keys newer than RAUC 1.8 may be known: they came with this method or
    /// after it.
    pub(crate) fn takes_new_keys(&self) -> bool {
        self.has_method("InspectBundle")
    }

    pub(crate) fn of(xml: &str) -> Result<Self> {
        let unexpected = |got| Error::Unexpected {
            member: "Introspect",
            expected: "a description of the interface",
            got,
        };
        if xml.len() > XML_LIMIT {
            return Err(unexpected(format!("{} bytes", xml.len())));
        }
        // The data begins with a document type; entities are not expanded without end.
        let options =
            ParsingOptions { allow_dtd: true, nodes_limit: NODES_LIMIT, ..Default::default() };
        let document = Document::parse_with_options(xml, options)
            .map_err(|error| unexpected(error.to_string()))?;
        let interface = document
            .root_element()
            .children()
            .find(|node| {
                node.has_tag_name("interface") && node.attribute("name") == Some(INTERFACE)
            })
            .ok_or_else(|| unexpected("no such interface".into()))?;
        let named = |tag: &str| -> BTreeSet<String> {
            let nodes = interface.children().filter(|node| node.has_tag_name(tag));
            nodes.filter_map(|node| node.attribute("name")).map(Into::into).collect()
        };
        Ok(Self { methods: named("method"), properties: named("property") })
    }
}

/// In bytes; RAUC's data has about 4 KiB.
const XML_LIMIT: usize = 256 * 1024;
const NODES_LIMIT: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_other_interfaces_do_not_count() {
        let xml = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
            "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
            <node>
              <interface name="de.pengutronix.rauc.Poller"><method name="Poll"/></interface>
              <interface name='de.pengutronix.rauc.Installer'>
                <method name="Info"><arg type="s" name="InspectBundle" direction="in"/></method>
                <property type="s" name="Compatible" access="read"/>
              </interface>
            </node>"#;
        let capabilities = Capabilities::of(xml).unwrap();
        assert!(capabilities.has_method("Info"));
        assert!(!capabilities.has_method("Poll"));
        assert!(!capabilities.has_method("InspectBundle"));
        assert!(!capabilities.has_method("Compatible"));
        assert!(capabilities.has_property("Compatible"));
        assert!(!capabilities.takes_new_keys());
    }

    #[test]
    fn other_data_is_an_error() {
        let huge = format!("<node><!--{}--></node>", "x".repeat(XML_LIMIT));
        let laughs = "<!DOCTYPE n [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>\
            <!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><node>&c;&c;&c;&c;&c;&c;&c;&c;&c;</node>";
        for xml in ["", "rauc", "<node/>", "<node><interface name='x'/></node>", &huge, laughs] {
            let error = Capabilities::of(xml).unwrap_err();
            assert!(matches!(error, Error::Unexpected { member: "Introspect", .. }), "{error}");
        }
    }
}
