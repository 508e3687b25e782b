//! Bodies as typed fields, each wrong one named.

use crate::doors::grafana::wire::field;
use crate::mapping::FormatError;
use crate::mapping::json;
use crate::time::Timestamp;

/// The fields of a body that say something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Never empty.
    pub text: Option<Box<str>>,
    /// When it began.
    pub time: Option<Timestamp>,
    /// When it ended.
    pub time_end: Option<Timestamp>,
    /// As written; `Some` and empty for `[]`.
    pub tags: Option<Vec<Box<str>>>,
    /// The dashboard's number; never 0.
    pub dashboard_id: Option<i64>,
    /// Never empty.
    pub dashboard_uid: Option<Box<str>>,
    /// Never 0.
    pub panel_id: Option<i64>,
    /// Any JSON but `null`, as text.
    pub data: Option<Box<str>>,
}

impl Fields {
    /// Reads a body of `/api/annotations` or of one annotation. Seconds in `when`, which is a field of the other form, count where
    /// there is no `time`: Flux sends them.
    pub fn parse(body: &[u8]) -> Result<Self, FormatError> {
        let (mut fields, mut when) = (Self::default(), None);
        each(body, |name, json| {
            match name {
                "text" => fields.text = field::text(name, json)?,
                "time" => fields.time = field::moment(name, json, 1)?,
                "timeend" => fields.time_end = field::moment("timeEnd", json, 1)?,
                "when" => when = field::moment(name, json, 1000)?,
                "tags" => fields.tags = field::tags(json)?,
                "dashboardid" => fields.dashboard_id = field::number("dashboardId", json)?,
                "dashboarduid" => fields.dashboard_uid = field::text("dashboardUID", json)?,
                "panelid" => fields.panel_id = field::number("panelId", json)?,
                "data" => fields.data = field::data(json)?,
                _ => {}
            }
            Ok(())
        })?;
        fields.time = fields.time.or(when);
        Ok(fields)
    }

    /// Reads a body in the form of Graphite's events.
    pub fn parse_graphite(body: &[u8]) -> Result<Self, FormatError> {
        let (mut what, mut data, mut fields) = (None, None, Self::default());
        each(body, |name, json| {
            match name {
                "what" => what = field::text(name, json)?,
                "data" => data = field::text(name, json)?,
                "when" => fields.time = field::moment(name, json, 1000)?,
                "tags" => fields.tags = field::graphite_tags(json)?,
                _ => {}
            }
            Ok(())
        })?;
        let what = what.ok_or_else(|| FormatError::malformed("what", "must be given, and not be empty"))?;
        if fields.tags.is_none() {
            return Err(FormatError::malformed("tags", "must be given: an array of strings, or a string with blanks between tags"));
        }
        fields.text = Some(match data {
            Some(data) => format!("{what}\n{data}").into(),
            None => what,
        });
        Ok(fields)
    }
}

/// The annotation that a body of `/api/annotations/mass-delete` names.
pub fn parse_mass_delete(body: &[u8]) -> Result<u64, FormatError> {
    let (mut id, mut others) = (None, false);
    each(body, |name, json| {
        match name {
            "annotationid" => id = field::number("annotationId", json)?,
            "dashboardid" | "panelid" => others |= field::number(name, json)?.is_some(),
            "dashboarduid" => others |= field::text(name, json)?.is_some(),
            _ => {}
        }
        Ok(())
    })?;
    match id.map(u64::try_from) {
        Some(Ok(id)) => Ok(id),
        Some(Err(_)) => Err(FormatError::malformed("annotationId", "must not be negative")),
        None if others => {
            Err(FormatError::malformed("annotationId", "must be given: those of a dashboard or a panel are not deleted together here"))
        }
        None => Err(FormatError::malformed("annotationId", "must be given")),
    }
}

/// Reads the members of an object, names in lower case; of one that is there twice the last one counts, as in Go.
fn each(body: &[u8], mut set: impl FnMut(&str, &str) -> Result<(), FormatError>) -> Result<(), FormatError> {
    let members = json::text(body).and_then(json::object).map_err(|rule| FormatError::malformed("body", rule))?;
    members.iter().try_for_each(|member| set(&member.name.to_ascii_lowercase(), member.value))
}
