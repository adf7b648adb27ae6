//! What a device does for its owner: 8, 16, 19 and 20.

use std::borrow::Cow;

use super::Instances::{Multiple, Single};
use super::Presence::{Mandatory, Optional};
use super::{id, length, number, resource};
use crate::DataType as T;
use crate::Operations::{Bootstrap, E, R, RW, W};
use crate::{ObjectDef, Range, Version};

/// Lock and Wipe (8), version 1.0.
#[rustfmt::skip] // a table: one row a resource
pub static LOCK_AND_WIPE: ObjectDef = ObjectDef {
    id: id::LOCK_AND_WIPE,
    name: Cow::Borrowed("Lock and Wipe"),
    version: Version::new(1, 0),
    multiple: false,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "State", RW, Single, Mandatory, T::Integer, number(0.0, 2.0), ""),
        resource(1, "Lock target", W, Multiple, Mandatory, T::String, Range::Any, ""),
        resource(2, "Wipe item", R, Multiple, Optional, T::String, Range::Any, ""),
        resource(3, "Wipe", E, Single, Mandatory, T::None, Range::Any, ""),
        resource(4, "Wipe target", W, Multiple, Mandatory, T::String, Range::Any, ""),
        resource(5, "Lock or Wipe Operation Result", R, Single, Mandatory, T::Integer, number(0.0, 8.0), ""),
    ]),
};

/// Portfolio (16), version 1.0.
#[rustfmt::skip] // a table: one row a resource
pub static PORTFOLIO: ObjectDef = ObjectDef {
    id: id::PORTFOLIO,
    name: Cow::Borrowed("Portfolio"),
    version: Version::new(1, 0),
    multiple: true,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Identity", RW, Multiple, Mandatory, T::String, Range::Any, ""),
        resource(1, "GetAuthData", E, Single, Optional, T::None, Range::Any, ""),
        resource(2, "AuthData", R, Multiple, Optional, T::Opaque, Range::Any, ""),
        resource(3, "AuthStatus", R, Single, Optional, T::Integer, number(0.0, 2.0), ""),
    ]),
};

/// BinaryAppDataContainer (19), version 1.0.
#[rustfmt::skip] // a table: one row a resource
pub static BINARY_APP_DATA_CONTAINER: ObjectDef = ObjectDef {
    id: id::BINARY_APP_DATA_CONTAINER,
    name: Cow::Borrowed("BinaryAppDataContainer"),
    version: Version::new(1, 0),
    multiple: true,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(0, "Data", RW, Multiple, Mandatory, T::Opaque, Range::Any, ""),
        resource(1, "Data Priority", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(2, "Data Creation Time", RW, Single, Optional, T::Time, Range::Any, ""),
        resource(3, "Data Description", RW, Single, Optional, T::String, length(0, 32), ""),
        resource(4, "Data Format", RW, Single, Optional, T::String, length(0, 32), ""),
        resource(5, "App ID", RW, Single, Optional, T::Integer, Range::Any, ""),
    ]),
};

/// Event Log (20), version 2.1.
#[rustfmt::skip] // a table: one row a resource
pub static EVENT_LOG: ObjectDef = ObjectDef {
    id: id::EVENT_LOG,
    name: Cow::Borrowed("Event Log"),
    version: Version::new(2, 1),
    multiple: true,
    mandatory: false,
    resources: Cow::Borrowed(&[
        resource(4010, "LogClass", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(4011, "LogStart", E, Single, Optional, T::None, Range::Any, ""),
        resource(4012, "LogStop", E, Single, Optional, T::None, Range::Any, ""),
        resource(4013, "LogStatus", R, Single, Optional, T::Integer, Range::Any, ""),
        resource(4014, "LogData", R, Single, Mandatory, T::Opaque, Range::Any, ""),
        resource(4015, "LogDataFormat", RW, Single, Optional, T::Integer, Range::Any, ""),
        resource(4016, "LogDataIncremental", Bootstrap, Single, Optional, T::Opaque, Range::Any, ""),
        resource(4017, "LogDataIncrementalMinimumSendInterval", RW, Single, Optional, T::Unsigned, Range::Any, ""),
    ]),
};
