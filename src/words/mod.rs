//! What words mean that senders use: which end of a change an event's name says, how it ended, what it is about. Data, and the one
//! place to look it up; senders, rules, dashboards and answers read it here.

pub mod ends;
pub mod entities;
pub mod outcome;
