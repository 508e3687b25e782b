//! What words mean that senders use: which end of a change an event's name says. Data, and the one place to look it up;
//! senders, rules, dashboards and answers read it here.

pub mod ends;
