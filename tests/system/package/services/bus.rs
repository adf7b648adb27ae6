//! The bus goes and comes again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lwm2m_model::Path;

use super::system::{ERRORS, FAIL, MALFUNCTION, NO_ERROR, RESET, ZONE};
use super::watch::{Watch, after, span};
use crate::device::Device;
use crate::passed;

/// What did not change with the bus or with systemd is not told anew: it would look as if
/// the errors of the device were over.
pub(super) async fn test(device: &Device) -> Result<()> {
    let before = device.registration().await.context("not registered")?;
    let mut zone = Watch::new(device, Path::resource(3, 0, ZONE)).await?;
    let mut errors = Watch::new(device, Path::resource(3, 0, ERRORS)).await?;
    let (mut again, mut told) = (Vec::new(), Vec::new());
    told.push(after(device, FAIL, &mut [(&mut errors, (ERRORS, MALFUNCTION))]).await?);
    for (ends, name) in [
        ("systemctl restart dbus", "Asia/Tokyo"),
        // The socket stays; the next one who needs the bus has it started.
        ("systemctl kill --signal=KILL dbus", "America/Bogota"),
        ("systemctl daemon-reexec", "Asia/Kolkata"),
    ] {
        device.run(ends).await?;
        again.push(answers(device).await.with_context(|| format!("after {ends}"))?);
        tokio::time::sleep(SETTLED).await;
        for watch in [&mut errors, &mut zone] {
            let news = watch.told();
            ensure!(news.is_empty(), "{ends}: told {news:?}");
        }
        let command = format!("timedatectl set-timezone {name}");
        told.push(after(device, &command, &mut [(&mut zone, (ZONE, name))]).await?);
        for (command, held) in [(RESET, NO_ERROR), (FAIL, MALFUNCTION)] {
            told.push(after(device, command, &mut [(&mut errors, (ERRORS, held))]).await?);
        }
    }
    device.run(RESET).await?;
    let now = device.registration().await.context("not registered")?;
    ensure!(
        (now.registered_at, now.updates) == (before.registered_at, before.updates),
        "the server was told more than the values: {before:?}, {now:?}"
    );
    passed(&format!(
        "dbus restarted and killed, systemd executed anew: answers on the bus {}; nothing is told \
         twice, and what changes then is told, {}",
        span(&again),
        span(&told)
    ));
    Ok(())
}

/// Waits until the agent answers on the bus; the seconds it took.
async fn answers(device: &Device) -> Result<f32> {
    let begun = Instant::now();
    loop {
        let (code, said) = device.status("lwm2mctl status").await?;
        if code == 0 {
            return Ok(begun.elapsed().as_secs_f32());
        }
        ensure!(begun.elapsed() < LIMIT, "lwm2mctl status: exit code {code}: {said}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

const LIMIT: Duration = Duration::from_secs(30);
/// What is told of it has been told by then.
const SETTLED: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
