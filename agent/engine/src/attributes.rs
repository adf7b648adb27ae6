//! Attributes attached by one server: levels, inheritance, what may go where
//! (Core 3.3, 3.4).

use std::collections::BTreeMap;

use lwm2m_model::{
    Attribute, AttributeUpdate, Attributes, Code, DataType, Path, RequestError, ResourceDef,
};

/// The attributes that one server has attached (CORE-21).
#[derive(Debug, Default)]
pub(crate) struct Attached(BTreeMap<Path, Attributes>);

impl Attached {
    /// What is attached at exactly this path.
    pub(crate) fn at(&self, path: &Path) -> Attributes {
        self.0.get(path).copied().unwrap_or_default()
    }

    /// What is attached at the path and inherited from above, attribute by
    /// attribute (CORE-23). What is attached below plays no part (CORE-48).
    pub(crate) fn effective(&self, path: &Path) -> Attributes {
        (1..=path.depth())
            .rev()
            .fold(Attributes::default(), |below, depth| below.or(&self.at(&path.truncated(depth))))
    }

    /// What is attached at a path after an update.
    ///
    /// # Errors
    /// 5.03 beyond [`MAX_ATTACHED`] paths.
    pub(crate) fn after(
        &self,
        path: &Path,
        update: &AttributeUpdate,
    ) -> Result<Attributes, RequestError> {
        let mut attributes = self.at(path);
        update.apply(&mut attributes);
        let is_new = !attributes.is_empty() && !self.0.contains_key(path);
        if is_new && self.0.len() >= MAX_ATTACHED {
            let reason = "this server has attached attributes to too many paths";
            return Err(RequestError::new(Code::SERVICE_UNAVAILABLE, reason));
        }
        Ok(attributes)
    }

    /// Changes what is attached at a path.
    ///
    /// # Errors
    /// As [`Attached::after`].
    pub(crate) fn update(
        &mut self,
        path: &Path,
        update: &AttributeUpdate,
    ) -> Result<(), RequestError> {
        let attributes = self.after(path, update)?;
        self.set(path, attributes);
        Ok(())
    }

    /// Sets what is attached at a path; false if there are too many.
    pub(crate) fn set(&mut self, path: &Path, attributes: Attributes) -> bool {
        if attributes.is_empty() {
            self.0.remove(path);
            return true;
        }
        let fits = self.0.len() < MAX_ATTACHED || self.0.contains_key(path);
        if fits {
            self.0.insert(path.clone(), attributes);
        }
        fits
    }

    /// The paths at and below `path` to which something is attached.
    pub(crate) fn below(&self, path: &Path) -> impl Iterator<Item = &Path> {
        self.0.keys().filter(|attached| path.contains(attached))
    }

    /// Forgets what is attached at and below a path.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.0.retain(|attached, _| !path.contains(attached));
    }
}

/// Checks that attributes may be attached to `path`, or count in an Observe of
/// it; `resource` is the definition if the path reaches one.
///
/// # Errors
/// 4.00 for a value condition on an object or instance (CORE-24) or on a type
/// that has no such condition (CORE-25).
pub(crate) fn check_target(
    path: &Path,
    resource: Option<&ResourceDef>,
    names: impl Iterator<Item = Attribute>,
) -> Result<(), RequestError> {
    for name in names.filter(|name| name.is_value_condition()) {
        let fits = match (resource, name) {
            (None, _) => {
                let reason = format!("{} goes with a resource, not with {path}", name.name());
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
            (Some(resource), Attribute::Edge) => resource.data_type == DataType::Boolean,
            (Some(resource), _) => matches!(
                resource.data_type,
                DataType::Integer | DataType::Unsigned | DataType::Float | DataType::Time
            ),
        };
        if !fits {
            let reason = format!("{} does not go with the type of {path}", name.name());
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
    }
    Ok(())
}

/// Paths that one server may attach attributes to.
pub(crate) const MAX_ATTACHED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn attach(attached: &mut Attached, path: &str, query: &str) {
        let update = AttributeUpdate::parse(query.split('&')).unwrap();
        attached.update(&path.parse().unwrap(), &update).unwrap();
    }

    /// The worked example of Core 3.3.
    /// CORE-23.
    #[test]
    fn the_lowest_level_wins_attribute_by_attribute() {
        let mut attached = Attached::default();
        attach(&mut attached, "/3", "pmin=10");
        attach(&mut attached, "/3/0", "pmax=60");
        attach(&mut attached, "/3/0/7", "pmax=30&gt=4200");
        attach(&mut attached, "/3/0/7/1", "gt=4500");
        let effective = |path: &str| attached.effective(&path.parse().unwrap()).to_string();
        assert_eq!(effective("/3"), "pmin=10");
        assert_eq!(effective("/3/0"), "pmin=10&pmax=60");
        assert_eq!(effective("/3/0/9"), "pmin=10&pmax=60");
        assert_eq!(effective("/3/0/7"), "pmin=10&pmax=30&gt=4200");
        assert_eq!(effective("/3/0/7/1"), "pmin=10&pmax=30&gt=4500");
        assert_eq!(effective("/4/0/2"), "");
    }

    /// CORE-26.
    #[test]
    fn unset_attributes_leave_nothing_behind() {
        let mut attached = Attached::default();
        attach(&mut attached, "/3", "pmin=10");
        attach(&mut attached, "/3", "pmin");
        assert!(attached.0.is_empty());
    }

    #[test]
    fn the_number_of_paths_is_bounded() {
        let mut attached = Attached::default();
        let update = AttributeUpdate::parse(["pmin=1"]).unwrap();
        for instance in 0..MAX_ATTACHED {
            let path = Path::instance(3442, u16::try_from(instance).unwrap());
            attached.update(&path, &update).unwrap();
        }
        let error = attached.update(&Path::object(3), &update).unwrap_err();
        assert_eq!(error.code, Code::SERVICE_UNAVAILABLE);
        attach(&mut attached, "/3442/0", "pmin=2");
    }
}
