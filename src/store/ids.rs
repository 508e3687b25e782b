//! The numbers that tenants, clusters and series are known by outside.

/// A tenant's number, dense from 0 in order of first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// A cluster's number within its tenant; 0 is the default one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u16);

/// A series of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId {
    /// Dense from 0; used again after the series was retired.
    pub number: u32,
    /// Which of the series that had this number it is.
    pub generation: u32,
}
