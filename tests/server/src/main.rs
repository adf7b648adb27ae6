//! The test server as a program with a prompt.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use lwm2m_model::Version;
use lwm2m_security::Psk;
use lwm2m_test_server::prompt::{self, Session};
use lwm2m_test_server::script::{Script, ScriptError};
use lwm2m_test_server::{AWAKE_TIME, BlockSize, Server, ServerConfig, Timings};

/// An LwM2M server to try devices with.
#[derive(Debug, Parser)]
#[command(name = "lwm2m-test-server", version)]
struct Arguments {
    /// Listen here for CoAP without security; 127.0.0.1:5683 if no address is given.
    #[arg(long, value_name = "ADDRESS")]
    coap: Option<SocketAddr>,
    /// Listen here for CoAP over DTLS with pre-shared keys.
    #[arg(long, value_name = "ADDRESS", requires = "psk")]
    coaps: Option<SocketAddr>,
    /// A pre-shared key; may be given several times.
    // Read by `parse_psk` and not by clap, whose message would show the key.
    #[arg(long, value_name = "IDENTITY:HEXKEY")]
    psk: Vec<String>,
    /// Refuse endpoint names other than the PSK identity.
    #[arg(long)]
    strict_identity: bool,
    /// LwM2M versions to accept; others are answered 4.12.
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', default_value = "1.0,1.1,1.2")]
    accept_versions: Vec<Version>,
    /// Lose this many of a hundred datagrams, each way.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    loss: u8,
    /// Seed of the losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds without a message after which a device in queue mode sleeps.
    #[arg(long, value_name = "SECONDS", default_value_t = AWAKE_TIME.as_secs())]
    awake_time: u64,
    /// Send larger payloads in blocks of this size, and ask devices for it: 16, 32 and
    /// so on up to 1024.
    #[arg(long, value_name = "BYTES", default_value_t = BlockSize::LARGEST)]
    block_size: BlockSize,
    /// Run a script instead of the prompt; 1 is the exit code if it fails.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

impl Arguments {
    fn config(&self, psk: &[Psk]) -> ServerConfig {
        let none = self.coap.is_none() && self.coaps.is_none();
        let default = none.then(|| SocketAddr::from(([127, 0, 0, 1], 5683)));
        let key = |psk: &Psk| (psk.identity().to_vec(), psk.key().expose().to_vec());
        ServerConfig {
            coap: self.coap.or(default),
            coaps: self.coaps,
            psk: psk.iter().map(key).collect(),
            strict_identity: self.strict_identity,
            versions: self.accept_versions.clone(),
            loss: f64::from(self.loss) / 100.0,
            seed: self.seed,
            timings: if self.loss > 0 { Timings::persistent() } else { Timings::default() },
            awake_time: std::time::Duration::from_secs(self.awake_time),
            block_size: self.block_size,
            ..ServerConfig::default()
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done if standard error is gone.
            let _ = writeln!(io::stderr(), "lwm2m-test-server: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut psk = Vec::new();
    for (number, text) in (1..).zip(&arguments.psk) {
        match parse_psk(text) {
            Ok(known) => psk.push(known),
            Err(reason) => {
                writeln!(io::stderr(), "lwm2m-test-server: --psk number {number}: {reason}")?;
                return Ok(ExitCode::from(2));
            }
        }
    }
    let script = match &arguments.script {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            match Script::parse::<Session>(&text) {
                Ok(script) => Some(script),
                Err(error) => {
                    writeln!(io::stderr(), "{}: {error}", path.display())?;
                    return Ok(ExitCode::from(2));
                }
            }
        }
        None => None,
    };
    let server = Server::start(arguments.config(&psk)).await?;
    let mut out = io::stdout();
    for (scheme, address) in [("coap", server.coap_addr()), ("coaps", server.coaps_addr())] {
        if let Some(address) = address {
            writeln!(out, "listening at {scheme}://{address}")?;
        }
    }
    let mut session = Session::new(server.clone())?;
    let code = match script {
        Some(script) => run_script(&script, &mut session).await?,
        None => {
            prompt::interact(&mut session, server.events()?).await?;
            ExitCode::SUCCESS
        }
    };
    drop(session);
    server.stop().await;
    Ok(code)
}

async fn run_script(
    script: &Script<prompt::Command>,
    session: &mut Session,
) -> anyhow::Result<ExitCode> {
    match script.run(session, &mut io::stdout()).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error @ ScriptError::Failed { .. }) => {
            writeln!(io::stderr(), "{error}")?;
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.into()),
    }
}

fn parse_psk(text: &str) -> Result<Psk, String> {
    // The last colon: an identity such as urn:dev:os:1 has colons itself.
    let (identity, key) = text.rsplit_once(':').ok_or("expected IDENTITY:HEXKEY")?;
    let key = lwm2m_security::Secret::from_hex(key).map_err(|error| error.to_string())?;
    Psk::new(identity, key).map_err(|error| error.to_string())
}
