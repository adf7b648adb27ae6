//! Inspects and installs a bundle:
//! `cargo run -p rauc-dbus --example install -- BUNDLE`.

use std::error::Error;
use std::io::Write;

use rauc_dbus::{BundleAccess, Event, InstallOptions, Installer, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bundle = std::env::args().nth(1).ok_or("usage: install BUNDLE")?;
    let bus = zbus::Connection::system().await?;
    let rauc = Installer::new(&bus);
    let mut out = std::io::stdout().lock();
    let info = rauc.inspect(&bundle, &BundleAccess::default()).await?;
    let version = info.version.as_deref().unwrap_or("without version");
    writeln!(out, "{version} for {}", info.compatible)?;
    let mut installation = rauc.install(&bundle, &InstallOptions::default()).await?;
    while let Some(event) = installation.next().await {
        match event {
            Event::Progress(step) => writeln!(out, "{:>3} % {}", step.percent, step.message)?,
            Event::Finished(Outcome::Installed) => writeln!(out, "installed")?,
            Event::Finished(outcome) => return Err(format!("not installed: {outcome:?}").into()),
        }
    }
    Ok(())
}
