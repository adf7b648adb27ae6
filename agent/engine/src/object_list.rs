//! The object list of Register and Update (Core 5.2) and object versions in
//! links (Core 2.4).

use lwm2m_codec::link_format::{self, Link};
use lwm2m_model::{ContentFormat, ObjectDef, Version, objects::id};

use crate::engine::ObjectTable;

/// The list as a payload of format 40, for a server of this version.
pub(crate) fn write(objects: &ObjectTable, version: Version) -> String {
    let mut links = Vec::new();
    let formats = announced_formats(version);
    if !formats.is_empty() {
        let numbers: Vec<String> = formats.iter().map(|format| format.0.to_string()).collect();
        links.push(Link::new("/").quoted("ct", numbers.join(" ")));
    }
    for object in objects.values().filter(|object| is_listed(object.definition.id)) {
        let number = object.definition.id;
        let shown = needs_version(&object.definition, version);
        if shown || object.instances.is_empty() {
            links.push(object_link(&object.definition, version));
        }
        links.extend(
            object.instances.iter().map(|instance| Link::new(format!("/{number}/{instance}"))),
        );
    }
    let mut text = String::new();
    link_format::write(&links, &mut text);
    text
}

/// The link of an object, with `ver` where it is needed.
pub(crate) fn object_link(definition: &ObjectDef, version: Version) -> Link<'static> {
    let link = Link::new(format!("/{}", definition.id));
    if needs_version(definition, version) {
        link.plain("ver", definition.version.to_string())
    } else {
        link
    }
}

/// True unless the server takes this version for granted (CORE-16, CORE-17).
fn needs_version(definition: &ObjectDef, version: Version) -> bool {
    // What 1.2 implies for Firmware Update is contradictory: always say it.
    if definition.id == id::FIRMWARE_UPDATE {
        return true;
    }
    let implied = if version >= Version::V1_2 {
        IMPLIED_BY_1_2
            .iter()
            .find(|(object, _)| *object == definition.id)
            .map(|(_, version)| *version)
    } else {
        None
    };
    definition.version != implied.unwrap_or(Version::V1_0)
}

/// Security, OSCORE, COSE and MQTT Server are nobody's business (CORE-93).
fn is_listed(object: u16) -> bool {
    !matches!(object, id::SECURITY | id::OSCORE | id::COSE | id::MQTT_SERVER)
}

/// Optional formats that we read and write, as far as the version knows them
/// (CORE-95).
fn announced_formats(version: Version) -> &'static [ContentFormat] {
    const SINCE_1_2: &[ContentFormat] = &[
        ContentFormat::CBOR,
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::TLV,
        ContentFormat::LWM2M_CBOR,
    ];
    const SINCE_1_1: &[ContentFormat] = &[
        ContentFormat::CBOR,
        ContentFormat::SENML_JSON,
        ContentFormat::SENML_CBOR,
        ContentFormat::TLV,
    ];
    if version >= Version::V1_2 {
        SINCE_1_2
    } else if version >= Version::V1_1 {
        SINCE_1_1
    } else {
        &[]
    }
}

/// Versions of core objects that `lwm2m=1.2` implies where they are not 1.0.
const IMPLIED_BY_1_2: [(u16, Version); 6] = [
    (id::SECURITY, Version::V1_2),
    (id::SERVER, Version::V1_2),
    (id::ACCESS_CONTROL, Version::V1_1),
    (id::DEVICE, Version::V1_2),
    (id::CONNECTIVITY_MONITORING, Version::new(1, 3)),
    (id::OSCORE, Version::new(2, 0)),
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lwm2m_model::objects;

    use super::*;
    use crate::engine::ObjectEntry;

    fn table(of: &[(&ObjectDef, &[u16])]) -> ObjectTable {
        of.iter()
            .map(|(definition, instances)| {
                let definition = Arc::new((*definition).clone());
                (
                    definition.id,
                    ObjectEntry { definition, instances: instances.to_vec(), streams: Vec::new() },
                )
            })
            .collect()
    }

    /// CORE-16 to 18, 93 to 95; OBJ-13.
    #[test]
    fn security_is_left_out_and_versions_stand_where_they_are_needed() {
        let vendor =
            ObjectDef { id: 10250, version: Version::new(2, 0), ..objects::DEVICE.clone() };
        let objects = table(&[
            (&objects::SECURITY, &[0]),
            (&objects::SERVER, &[0]),
            (&objects::DEVICE, &[0]),
            (&vendor, &[]),
        ]);
        assert_eq!(
            write(&objects, Version::V1_2),
            "</>;ct=\"60 110 112 11542 11544\",</1/0>,</3/0>,</10250>;ver=2.0"
        );
        assert_eq!(
            write(&objects, Version::V1_1),
            "</>;ct=\"60 110 112 11542\",</1>;ver=1.2,</1/0>,</3>;ver=1.2,</3/0>,</10250>;ver=2.0"
        );
        assert_eq!(
            write(&objects, Version::V1_0),
            "</1>;ver=1.2,</1/0>,</3>;ver=1.2,</3/0>,</10250>;ver=2.0"
        );
    }
}
