//! Notification attributes: their values, syntax and consistency (Core 3.2, 3.4).
//!
//! What they mean for an observation is the engine's; this module reads, prints
//! and merges them.

use std::fmt;

use crate::digits;
use crate::path::MAX_SHOWN;

/// A set of NOTIFICATION attributes; `None` is "not attached".
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attributes {
    /// Minimum Period, seconds.
    pub pmin: Option<u32>,
    /// Maximum Period, seconds; 0 means no maximum.
    pub pmax: Option<u32>,
    /// Greater Than.
    pub gt: Option<f64>,
    /// Less Than.
    pub lt: Option<f64>,
    /// Step, above 0.
    pub st: Option<f64>,
    /// Minimum Evaluation Period, seconds.
    pub epmin: Option<u32>,
    /// Maximum Evaluation Period, seconds.
    pub epmax: Option<u32>,
    /// Edge: true notifies false-to-true, false the other way.
    pub edge: Option<bool>,
    /// Confirmable Notification.
    pub con: Option<bool>,
    /// Maximum Historical Queue, entries.
    pub hqmax: Option<u32>,
}

/// The name of a NOTIFICATION attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// Minimum Period.
    Pmin,
    /// Maximum Period.
    Pmax,
    /// Greater Than.
    Gt,
    /// Less Than.
    Lt,
    /// Step.
    St,
    /// Minimum Evaluation Period.
    Epmin,
    /// Maximum Evaluation Period.
    Epmax,
    /// Edge.
    Edge,
    /// Confirmable Notification.
    Con,
    /// Maximum Historical Queue.
    Hqmax,
}

impl Attribute {
    /// Every attribute, in the order in which we print them.
    pub const ALL: [Self; 10] = [
        Self::Pmin,
        Self::Pmax,
        Self::Gt,
        Self::Lt,
        Self::St,
        Self::Epmin,
        Self::Epmax,
        Self::Edge,
        Self::Con,
        Self::Hqmax,
    ];

    /// The name in links and queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pmin => "pmin",
            Self::Pmax => "pmax",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::St => "st",
            Self::Epmin => "epmin",
            Self::Epmax => "epmax",
            Self::Edge => "edge",
            Self::Con => "con",
            Self::Hqmax => "hqmax",
        }
    }

    /// The attribute of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }

    /// True for gt, lt, st and edge, which judge a value: they can be attached to a
    /// resource and below, not to an object or object instance (Core 3.3).
    pub const fn is_value_condition(self) -> bool {
        matches!(self, Self::Gt | Self::Lt | Self::St | Self::Edge)
    }
}

impl Attributes {
    /// True if nothing is attached.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The attributes that are attached, in printing order.
    pub fn attached(&self) -> impl Iterator<Item = Attribute> + '_ {
        Attribute::ALL.into_iter().filter(|attribute| self.text(*attribute).is_some())
    }

    /// The value of one attribute as links and queries write it.
    pub fn text(&self, attribute: Attribute) -> Option<String> {
        let bit = |value: bool| u8::from(value).to_string();
        match attribute {
            Attribute::Pmin => self.pmin.map(|v| v.to_string()),
            Attribute::Pmax => self.pmax.map(|v| v.to_string()),
            Attribute::Gt => self.gt.map(|v| v.to_string()),
            Attribute::Lt => self.lt.map(|v| v.to_string()),
            Attribute::St => self.st.map(|v| v.to_string()),
            Attribute::Epmin => self.epmin.map(|v| v.to_string()),
            Attribute::Epmax => self.epmax.map(|v| v.to_string()),
            Attribute::Edge => self.edge.map(bit),
            Attribute::Con => self.con.map(bit),
            Attribute::Hqmax => self.hqmax.map(|v| v.to_string()),
        }
    }

    /// What counts where `self` is attached below `above`: each attribute of
    /// `self`, else that of `above` (CORE-23).
    pub fn or(&self, above: &Self) -> Self {
        Self {
            pmin: self.pmin.or(above.pmin),
            pmax: self.pmax.or(above.pmax),
            gt: self.gt.or(above.gt),
            lt: self.lt.or(above.lt),
            st: self.st.or(above.st),
            epmin: self.epmin.or(above.epmin),
            epmax: self.epmax.or(above.epmax),
            edge: self.edge.or(above.edge),
            con: self.con.or(above.con),
            hqmax: self.hqmax.or(above.hqmax),
        }
    }

    /// True if gt, lt and st fit together: `lt < gt`, `lt + 2*st < gt` (Core 3.4).
    pub fn thresholds_fit(&self) -> bool {
        match (self.lt, self.gt, self.st) {
            (Some(lt), Some(gt), Some(st)) => lt + 2.0 * st < gt,
            (Some(lt), Some(gt), None) => lt < gt,
            _ => true,
        }
    }

    /// Checks the rules that hold inside one request (CORE-27, CORE-28, CORE-42).
    ///
    /// # Errors
    /// [`AttributeError::Thresholds`] or [`AttributeError::EvaluationPeriods`].
    pub fn check_consistency(&self) -> Result<(), AttributeError> {
        if !self.thresholds_fit() {
            return Err(AttributeError::Thresholds);
        }
        match (self.epmin, self.epmax) {
            (Some(epmin), Some(epmax)) if epmin >= epmax => Err(AttributeError::EvaluationPeriods),
            _ => Ok(()),
        }
    }

    fn set(&mut self, attribute: Attribute, text: &str) -> Result<(), AttributeError> {
        let wrong = || AttributeError::BadValue { attribute, text: shown(text) };
        let number = || digits::parse(text).ok_or_else(wrong);
        let decimal = |signed| parse_decimal(text, signed).ok_or_else(wrong);
        let bit = || match text {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(wrong()),
        };
        match attribute {
            Attribute::Pmin => self.pmin = Some(number()?),
            Attribute::Pmax => self.pmax = Some(number()?),
            Attribute::Gt => self.gt = Some(decimal(Signed::Yes)?),
            Attribute::Lt => self.lt = Some(decimal(Signed::Yes)?),
            Attribute::St => {
                self.st = Some(decimal(Signed::No)?.min(f64::MAX)).filter(|st| *st > 0.0);
                self.st.ok_or_else(wrong)?;
            }
            Attribute::Epmin => self.epmin = Some(number()?),
            Attribute::Epmax => self.epmax = Some(number()?),
            Attribute::Edge => self.edge = Some(bit()?),
            Attribute::Con => self.con = Some(bit()?),
            Attribute::Hqmax => self.hqmax = Some(number()?),
        }
        Ok(())
    }

    fn unset(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::Pmin => self.pmin = None,
            Attribute::Pmax => self.pmax = None,
            Attribute::Gt => self.gt = None,
            Attribute::Lt => self.lt = None,
            Attribute::St => self.st = None,
            Attribute::Epmin => self.epmin = None,
            Attribute::Epmax => self.epmax = None,
            Attribute::Edge => self.edge = None,
            Attribute::Con => self.con = None,
            Attribute::Hqmax => self.hqmax = None,
        }
    }
}

impl fmt::Display for Attributes {
    /// `pmin=1&pmax=60`, as a query has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for attribute in Attribute::ALL {
            if let Some(text) = self.text(attribute) {
                write!(f, "{separator}{}={text}", attribute.name())?;
                separator = "&";
            }
        }
        Ok(())
    }
}

/// What a Write-Attributes changes: values to set and attributes to unset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributeUpdate {
    set: Attributes,
    unset: Vec<Attribute>,
}

impl AttributeUpdate {
    /// Parses the parameters of a query: `pmin=10`, or `pmin` to unset.
    ///
    /// # Errors
    /// A property or unknown name, a name that comes twice, a badly formed
    /// number, or a contradiction inside the request (Core 3.4): all are 4.00.
    pub fn parse<'a>(
        parameters: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, AttributeError> {
        let mut update = Self::default();
        for parameter in parameters {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            };
            let attribute =
                Attribute::from_name(name).ok_or_else(|| AttributeError::Unknown(shown(name)))?;
            if update.names().any(|known| known == attribute) {
                return Err(AttributeError::Repeated(attribute));
            }
            match value {
                Some(value) => update.set.set(attribute, value)?,
                None => update.unset.push(attribute),
            }
        }
        update.set.check_consistency()?;
        Ok(update)
    }

    /// The attributes that the request names.
    pub fn names(&self) -> impl Iterator<Item = Attribute> + '_ {
        self.set.attached().chain(self.unset.iter().copied())
    }

    /// Changes `attributes`; those not named keep their value.
    pub fn apply(&self, attributes: &mut Attributes) {
        for attribute in &self.unset {
            attributes.unset(*attribute);
        }
        *attributes = self.set.or(attributes);
    }

    /// The values to set, if nothing is unset: an Observe can only set.
    pub fn as_attributes(&self) -> Option<Attributes> {
        self.unset.is_empty().then_some(self.set)
    }
}

impl fmt::Display for AttributeUpdate {
    /// `pmin=1&pmax`, as a query has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.set)?;
        let mut separator = if self.set.is_empty() { "" } else { "&" };
        for attribute in &self.unset {
            write!(f, "{separator}{}", attribute.name())?;
            separator = "&";
        }
        Ok(())
    }
}

/// Why attributes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// No NOTIFICATION attribute of this name.
    #[error("\"{0}\" is no attribute that can be written")]
    Unknown(String),
    /// A name comes twice.
    #[error("{} is given twice", .0.name())]
    Repeated(Attribute),
    /// The value does not follow the grammar of Core 3.2.
    #[error("bad value of {}: \"{text}\"", .attribute.name())]
    BadValue {
        /// The attribute.
        attribute: Attribute,
        /// At most 24 characters of the value.
        text: String,
    },
    /// `lt < gt` or `lt + 2*st < gt` does not hold.
    #[error("lt, gt and st contradict each other")]
    Thresholds,
    /// `epmin < epmax` does not hold.
    #[error("epmin must be below epmax")]
    EvaluationPeriods,
}

#[derive(Clone, Copy, PartialEq)]
enum Signed {
    Yes,
    No,
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// 1*DIGIT ["." 1*DIGIT], with a leading minus where `signed` allows it.
fn parse_decimal(text: &str, signed: Signed) -> Option<f64> {
    let unsigned = match text.strip_prefix('-') {
        Some(rest) if signed == Signed::Yes => rest,
        Some(_) => return None,
        None => text,
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let legal = match unsigned.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(unsigned),
    };
    legal.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<AttributeUpdate, AttributeError> {
        AttributeUpdate::parse(query.split('&'))
    }

    #[test]
    fn queries_parse_and_print() {
        let query = "pmin=1&pmax=60&gt=50&lt=-42.2&st=0.5&epmin=2&epmax=3&edge=1&con=0&hqmax=4";
        // -42.2 + 2 * 0.5 < 50
        assert_eq!(parse(query).unwrap().as_attributes().unwrap().to_string(), query);
    }

    /// CORE-27, 28, 42.
    #[test]
    fn contradictions_and_bad_values_are_refused() {
        for query in [
            "lt=50&gt=40",
            "lt=10&gt=20&st=5",
            "lt=20&gt=85&st=40",
            "lt=5&gt=5",
            "epmin=5&epmax=5",
            "pmin=",
            "pmin=-1",
            "pmin=1.5",
            "pmin=4294967296",
            "gt=1e3",
            "gt=.5",
            "gt=5.",
            "gt=+5",
            "st=0",
            "st=-1",
            "edge=2",
            "edge=true",
            "con=",
            "dim=2",
            "ver=1.0",
            "pmin=1&pmin=2",
            "pmin&pmin=1",
            "x=1",
            "",
            "=",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
        assert_eq!(parse("pmin=-1").unwrap_err().to_string(), "bad value of pmin: \"-1\"");
        assert!(parse("pmin=20&pmax=10").is_ok(), "pmax below pmin is no contradiction");
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let mut attributes = parse("pmin=5&pmax=60").unwrap().as_attributes().unwrap();
        parse("pmin&gt=7").unwrap().apply(&mut attributes);
        assert_eq!(attributes.to_string(), "pmax=60&gt=7");
        assert_eq!(parse("pmin").unwrap().as_attributes(), None);
    }

    /// CORE-23.
    #[test]
    fn the_lower_level_wins_attribute_by_attribute() {
        let above = parse("pmin=10&pmax=60").unwrap().as_attributes().unwrap();
        let below = parse("pmax=30&gt=4200").unwrap().as_attributes().unwrap();
        assert_eq!(below.or(&above).to_string(), "pmin=10&pmax=30&gt=4200");
    }
}
