//! Values that are links lead to something that is there (Core 6.3, Objects 1).

use lwm2m_codec::link_format;
use lwm2m_model::{Code, Entry, ObjectLink, Path, RequestError, Value};

use crate::engine::Engine;

impl Engine {
    /// A link names an object that is there, one of its instances, or nothing
    /// (CORE-138). `coming` are instances of `object` that the request makes itself.
    pub(crate) fn check_links(
        &self,
        entries: &[Entry],
        object: Option<u16>,
        coming: &[u16],
    ) -> Result<(), RequestError> {
        let is_there = |of: u16, instance: u16| {
            (object == Some(of) && coming.contains(&instance))
                || self.objects.get(&of).is_some_and(|entry| entry.has(instance))
        };
        for entry in entries {
            let wrong = |what: String| {
                RequestError::new(Code::BAD_REQUEST, format!("write {}: {what}", entry.path))
            };
            match entry.value() {
                Some(Value::Objlnk(ObjectLink::NULL)) => {}
                Some(Value::Objlnk(link)) => {
                    let found = match link.instance {
                        u16::MAX => self.objects.contains_key(&link.object),
                        instance => is_there(link.object, instance),
                    };
                    if !found {
                        return Err(wrong(format!("{link} links something that is not there")));
                    }
                }
                Some(Value::Corelnk(text)) => {
                    let links =
                        link_format::parse(text).map_err(|error| wrong(error.to_string()))?;
                    // What is no path of ours may lead anywhere.
                    let paths = links.iter().filter_map(|link| link.target.parse::<Path>().ok());
                    for path in paths {
                        if let (Some(object), Some(instance)) =
                            (path.object_id(), path.instance_id())
                            && !is_there(object, instance)
                        {
                            return Err(wrong(format!("{path} links something that is not there")));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
