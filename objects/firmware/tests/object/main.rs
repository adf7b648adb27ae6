//! The object in its host, with an installer and a source that are made up: what servers
//! see of it, through restarts of the agent and the machine.

mod agent;
mod pull;
mod push;
