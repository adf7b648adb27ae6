//! What a notification costs when many are due at the same time, and an observation
//! while nothing happens.
//!
//! Each observation has a resource instance of its own in one instance of the test
//! object 3442; a Write of all of them makes all due. What that Write costs while
//! nothing is observed is taken off.

use std::path::Path;

use anyhow::{Result, bail};
use coap_lite::{CoapOption, MessageType, RequestType};

use crate::agent::{Added, Agent};
use crate::blocks::{LARGEST, Push};
use crate::floor::Floor;
use crate::measure::Plan;
use crate::process::Process;
use crate::series::Series;
use crate::server::{Server, parse};
use crate::table::Table;

/// Measures 100 and 1000 observations that become due together.
pub(crate) fn measure(device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    for (count, mark) in [(100, "8.7"), (1000, "138")] {
        let mut agent = Agent::start_with(device, TEST_OBJECT)?;
        let mut floor = Floor::start(&agent.server.read("/3/0/0")?.answer)?;
        let process = agent.process();
        let server = &mut agent.server;
        let mut round = 0;
        let mut write = |server: &mut Server, notified: usize| {
            round += 1;
            process.cpu_of(|| write_all(server, count, round, notified))
        };
        // The first makes the resource instances, the next warm up.
        for _ in 0..=plan.rounds {
            write(server, 0)?;
        }
        let mut alone = Series::default();
        for _ in 0..plan.rounds {
            alone.push(write(server, 0)?.as_secs_f64());
        }
        let before = settled(server, process)?;
        for index in 0..count {
            observe(server, &path(count, index))?;
        }
        let grown = process.memory()?.anonymous.saturating_sub(before);
        write(server, count)?;
        let (mut each, mut least) = (Series::default(), Series::default());
        for _ in 0..plan.rounds {
            let cpu = write(server, count)?.as_secs_f64() - alone.median();
            each.push(cpu * 1e6 / count as f64);
            least.push(floor.microseconds(plan.reads / 20)?);
        }
        let name = format!("CPU per notification, {count} due together");
        let ratio = &each / &least;
        table.judge(name.clone(), "µs", each, MICROSECONDS);
        table.note(format!("C client {mark}"));
        table.add(name, "floors", ratio);
        let name = format!("memory per observation, {count} of them");
        let bytes = Series::from(grown as f64 / count as f64);
        if count < ENOUGH_FOR_MEMORY {
            table.add(name, "bytes", bytes);
        } else {
            table.judge(name, "bytes", bytes, BYTES);
        }
        agent.stop()?;
    }
    Ok(())
}

/// Memory when the agent has answered so much that what it keeps of answers is full.
fn settled(server: &mut Server, process: Process) -> Result<u64> {
    for _ in 0..WARM_UP {
        server.read("/3/0/0")?;
    }
    Ok(process.memory()?.anonymous)
}

/// The resource instance of an observation: the resources share them evenly.
pub(crate) fn path(count: usize, index: usize) -> String {
    let share = count / RESOURCES.len();
    format!("/3442/0/{}/{}", RESOURCES[index / share], index % share)
}

pub(crate) fn observe(server: &mut Server, path: &str) -> Result<()> {
    let exchange = server.exchange(RequestType::Get, path, |packet| {
        packet.add_option(CoapOption::Observe, Vec::new());
    })?;
    if parse(&exchange.answer)?.get_option(CoapOption::Observe).is_none() {
        bail!("{path} is not observed");
    }
    Ok(())
}

/// The resources in TLV, with so many instances that all have this value.
fn values(count: usize, value: u8) -> Result<Vec<u8>> {
    let share = count / RESOURCES.len();
    let mut payload = Vec::new();
    for resource in RESOURCES {
        payload.push(MULTIPLE_LONG);
        payload.extend(resource.to_be_bytes());
        payload.extend(u16::try_from(3 * share)?.to_be_bytes());
        payload.extend((0..share).flat_map(|index| [INSTANCE_OF_ONE_BYTE, index as u8, value]));
    }
    Ok(payload)
}

/// Gives all resource instances another value, and waits for as many notifications.
pub(crate) fn write_all(
    server: &mut Server,
    count: usize,
    round: usize,
    notified: usize,
) -> Result<()> {
    let payload = values(count, if round.is_multiple_of(2) { b'a' } else { b'b' })?;
    let (method, path, szx) = (RequestType::Post, "/3442/0", LARGEST);
    let push = Push { method, path, format: TLV, payload: &payload, szx };
    // The answer to the last block comes among the notifications.
    let last = push.blocks() - 1;
    (0..last).try_for_each(|number| push.send(server, number))?;
    let request = push.request(server, last)?;
    server.channel.send(&[request])?;
    let mut done = 0;
    let mut answered = false;
    while !answered || done < notified {
        let mut stray = None;
        server.channel.receive(|datagram| match parse(datagram) {
            Ok(packet) if packet.get_option(CoapOption::Observe).is_some() => done += 1,
            Ok(packet) if packet.header.get_type() == MessageType::Acknowledgement => {
                answered = true;
            }
            _ => stray = Some(datagram.to_vec()),
        })?;
        if let Some(stray) = stray {
            bail!("neither an answer nor a notification: {stray:02x?}");
        }
    }
    Ok(())
}

/// Resources with instances whose values take a byte in TLV: text, integer, unsigned,
/// time.
const RESOURCES: [u16; 4] = [1110, 1120, 1125, 1160];
/// A multiple resource with an identifier and a length of 16 bits (Core 7.5.5).
const MULTIPLE_LONG: u8 = 0b1011_0000;
/// A resource instance with an identifier of 8 bits and a value of one byte.
const INSTANCE_OF_ONE_BYTE: u8 = 0b0100_0001;
const TLV: u16 = 11542;

pub(crate) const TEST_OBJECT: Added =
    Added::InMemory { definition: include_str!("../../registry/3442.xml"), instances: 1 };

/// CPU per notification that we aim at.
const MICROSECONDS: f64 = 10.0;
/// Memory per observation that we aim at.
const BYTES: f64 = 400.0;
/// With fewer observations the pages of the heap say more than they do.
const ENOUGH_FOR_MEMORY: usize = 1000;
/// Reads after which the agent keeps as many answers for duplicates as it ever will.
const WARM_UP: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_observation_has_a_resource_instance_that_is_written() {
        assert_eq!(path(1000, 0), "/3442/0/1110/0");
        assert_eq!(path(1000, 999), "/3442/0/1160/249");
        let payload = values(8, 7).unwrap();
        assert_eq!(payload[..11], [0xb0, 0x04, 0x56, 0, 6, 0x41, 0, 7, 0x41, 1, 7]);
        assert_eq!(payload.len(), 4 * 11);
    }
}
