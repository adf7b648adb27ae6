//! What is done to the device, and how it has to end.

use std::pin::Pin;
use std::time::{Duration, Instant};

use lwm2m_test_server::Switch;

use crate::device::{Device, Fault, Standing, is};

/// What was seen, for the report.
type Played<'a> = Pin<Box<dyn Future<Output = Result<String, Fault>> + 'a>>;
type Scenario = (&'static str, for<'a> fn(&'a Device) -> Played<'a>);

/// In this order: what one leaves behind, the next begins with. A package that is still
/// there spares the time to get another.
pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a pushed bundle is confirmed", |device| Box::pin(confirmed(device))),
    ("the power is cut during a push", |device| Box::pin(cut_in_push(device))),
    ("the power is cut during a fetch", |device| Box::pin(cut_in_fetch(device))),
    ("the power is cut in the first boot", |device| Box::pin(cut_in_first_boot(device))),
    ("the power is cut during the installation", |device| Box::pin(cut_in_installation(device))),
    ("the power is cut at the confirmation", |device| Box::pin(cut_at_confirmation(device))),
    ("a new agent without a network is given up", |device| Box::pin(deaf(device))),
    ("a new agent that exits at once is given up", |device| Box::pin(dead(device))),
];

/// OBJ-90, OBJ-92
async fn confirmed(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    let begin = Instant::now();
    let size = device.push("good").await?;
    let pushed = begin.elapsed();
    device.has_package().await?;
    device.update().await?;
    device.restarts(&before, 1).await?;
    device.registers().await?;
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (0, 1))?;
    is("version", end.version.as_str(), "2.0.0")?;
    device.says(&before, "Finished lwm2md-check@factory.service").await?;
    Ok(format!("{}, {} MiB pushed in {} s", shown(&end), size >> 20, pushed.as_secs()))
}

/// Objects 7.2: what came is not enough, and nothing was installed.
async fn cut_in_push(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    let broken_off = async {
        device.has_bytes(8 << 20).await?;
        device.cut_power().await?;
        device.restarts(&before, 1).await?;
        device.registers().await
    };
    // Whatever the server comes to know of its push.
    let (_, broken_off) = tokio::join!(device.push("good"), broken_off);
    broken_off?;
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (0, 4))?;
    Ok(shown(&end))
}

/// What is stored is not fetched again.
async fn cut_in_fetch(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    device.web.stop_after(24 << 20);
    device.name("good").await?;
    device.has_bytes(16 << 20).await?;
    device.web.stop_after(usize::MAX);
    device.cut_power().await?;
    device.restarts(&before, 1).await?;
    device.registers().await?;
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (2, 0))?;
    let begin = device.web.last_begin() >> 20;
    if begin < 8 {
        return Err(Fault::new(format!("it went on after {begin} MiB")));
    }
    Ok(format!("{}, went on after {begin} MiB", shown(&end)))
}

/// The boot loader has counted that boot, which nothing has confirmed.
async fn cut_in_first_boot(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    let boot = device.boot_id().await?;
    if old.state != 2 {
        device.fetch("good").await?;
    }
    device.update().await?;
    // Or it might be confirmed before the power is cut.
    device.silence(Switch::On).await?;
    device.restarts(&before, 1).await?;
    device.boots(Some(&boot)).await?;
    device
        .until(START_LIMIT, "a started agent", async || {
            Ok(device.run("systemctl is-active lwm2md || :").await? == "active")
        })
        .await?;
    device.cut_power().await?;
    device.silence(Switch::Off).await?;
    device.restarts(&before, 2).await?;
    device.registers().await?;
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (2, 8))?;
    Ok(shown(&end))
}

/// OBJ-91: begun again by itself, in the slot that was not touched.
async fn cut_in_installation(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    if old.state != 2 {
        device.fetch("good").await?;
    }
    device.update().await?;
    device.says(&before, "writing data to device").await?;
    device.cut_power().await?;
    device.restarts(&before, 1).await?;
    device.registers().await?;
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (0, 1))?;
    Ok(shown(&end))
}

/// As near after the first answer of the server as can be: it may count or not.
async fn cut_at_confirmation(device: &Device) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    device.fetch("good").await?;
    device.update().await?;
    device.restarts(&before, 1).await?;
    device.registers().await?;
    device.cut_power().await?;
    device.restarts(&before, 2).await?;
    device.registers().await?;
    Ok(shown(&device.end(&before, &old).await?))
}

/// The agent itself gives the new system up.
async fn deaf(device: &Device) -> Result<String, Fault> {
    given_up(device, "deaf").await
}

/// The timer gives the new system up, since there is no agent.
async fn dead(device: &Device) -> Result<String, Fault> {
    given_up(device, "dead").await
}

async fn given_up(device: &Device, bundle: &str) -> Result<String, Fault> {
    let old = device.now().await?;
    let before = device.before()?;
    device.fetch(bundle).await?;
    device.update().await?;
    device.restarts(&before, 1).await?;
    let begin = Instant::now();
    device.registers().await?;
    let gone = begin.elapsed().as_secs();
    let end = device.end(&before, &old).await?;
    is("State and Result", (end.state, end.result), (2, 8))?;
    Ok(format!("{}, back after {gone} s", shown(&end)))
}

fn shown(end: &Standing) -> String {
    let Standing { state, result, slot, version } = end;
    format!("State {state}, Result {result}, slot {slot} with {version}")
}

/// For a service to start, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
