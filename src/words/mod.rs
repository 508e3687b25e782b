//! What words mean that senders use: which end of a change an event's name says, and how it ended. Data, and the one place to look it up;
//! senders, rules, dashboards and answers read it here.

pub mod ends;
pub mod outcome;
