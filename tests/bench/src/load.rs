//! The load: reads with a fixed number outstanding.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::channel::Channel;
use crate::request::Request;

/// Makes `reads` reads, `outstanding` of them on the way at any time: each answer
/// lets the next request go. Gives the time it took.
pub(crate) fn run(
    channel: &mut Channel,
    request: &mut Request,
    reads: u32,
    outstanding: u32,
) -> Result<Duration> {
    let window = outstanding.min(reads) as usize;
    let mut buffers = vec![Vec::new(); window];
    let started = Instant::now();
    let (mut to_send, mut to_come) = (reads as usize - window, reads as usize);
    for buffer in &mut buffers {
        request.write_next(buffer);
    }
    channel.send(&buffers)?;
    while to_come > 0 {
        let (mut answers, mut stray) = (0, 0);
        channel.receive(|datagram| {
            if request.is_answered_by(datagram, u64::from(outstanding) * 2) {
                answers += 1;
            } else {
                stray += 1;
            }
        })?;
        if stray > 0 {
            bail!("{stray} datagrams are no answers to the reads");
        }
        to_come -= answers;
        let next = answers.min(to_send);
        to_send -= next;
        for buffer in &mut buffers[..next] {
            request.write_next(buffer);
        }
        channel.send(&buffers[..next])?;
    }
    Ok(started.elapsed())
}
