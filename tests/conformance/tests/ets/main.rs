//! The interoperability cases of the OMA (ETS INT 1.2), one test each, with the numbers
//! of their names; `README.md` has the table of all cases.

mod attributes;
mod device;
mod errors;
mod portfolio;
mod reading;
mod registration;
mod reporting;
mod security;
mod writing;
