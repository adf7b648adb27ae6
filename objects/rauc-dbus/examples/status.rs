//! Prints what RAUC knows about this device:
//! `cargo run -p rauc-dbus --example status`.

use std::error::Error;
use std::io::Write;

use rauc_dbus::Installer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bus = zbus::Connection::system().await?;
    let rauc = Installer::new(&bus);
    let mut out = std::io::stdout().lock();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    writeln!(out, "compatible      {}", rauc.compatible().await?)?;
    writeln!(out, "variant         {}", or_none(rauc.variant().await?))?;
    writeln!(out, "system version  {}", or_none(rauc.system_version().await?))?;
    writeln!(out, "booted from     {}", or_none(rauc.boot_slot().await?))?;
    writeln!(out, "boots next      {}", rauc.primary().await?)?;
    writeln!(out, "operation       {:?}", rauc.operation().await?)?;
    writeln!(out, "last error      {}", or_none(rauc.last_error().await?))?;
    let mut slots = rauc.slots().await?;
    slots.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, slot) in slots {
        writeln!(
            out,
            "{name}: {:?}, {:?}, {} version {}",
            slot.state,
            slot.boot_status,
            or_none(slot.device),
            or_none(slot.bundle.version),
        )?;
    }
    Ok(())
}
