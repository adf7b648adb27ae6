//! The program: from its arguments to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lwm2m_bus::Exit;
use lwm2m_objects::{ObjectHost, Roots, machine_id};

use crate::cli::{Cli, Command};
use crate::service_user::ServiceUser;
use crate::{check, config, demo, logging, run};

/// Does what the command line says, and gives the exit code of the program.
///
/// `roots` says where the Device object looks for the system; `objects` adds objects
/// to those of the agent, before it starts. The demo has its own.
pub fn start(
    cli: Cli,
    roots: Roots,
    objects: impl FnOnce(&mut ObjectHost) + Send + 'static,
) -> ExitCode {
    if cli.schema {
        return print(&format!("{:#}", config::schema()));
    }
    if cli.check {
        return check(&cli);
    }
    let (target, level) = match &cli.command {
        Some(Command::Demo(demo)) => (Some(logging::Target::Stderr), demo.log_level),
        _ => (cli.log.map(Into::into), cli.log_level),
    };
    if let Err(error) = logging::init(target, level) {
        eprintln!("lwm2md: cannot start logging: {error}");
        return Exit::Failed.into();
    }
    // A device agent waits; one thread is enough for it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(RESOLVER_KEPT)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lwm2md: {error}");
            return Exit::Failed.into();
        }
    };
    let code = if let Some(Command::Demo(arguments)) = &cli.command {
        runtime.block_on(demo::run(arguments))
    } else {
        runtime.block_on(in_a_task(run::run(cli, roots, objects)))
    };
    // A resolver that waits for its own time-out must not delay the exit.
    runtime.shutdown_background();
    code
}

/// Runs the agent in a task. The future of `block_on` itself is woken by way of the kernel,
/// also by a task beside it: two calls more for each answer of an object that works in
/// a task of its own, a package's every block among them.
async fn in_a_task(agent: impl Future<Output = ExitCode> + Send + 'static) -> ExitCode {
    match tokio::spawn(agent).await {
        Ok(code) => code,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn check(cli: &Cli) -> ExitCode {
    let credentials = credentials_directory();
    let service = ServiceUser::beside_root();
    let system = check::System {
        credentials: credentials.as_deref(),
        machine: machine(),
        service: service.as_ref(),
    };
    match check::check(&cli.config, system) {
        Ok(report) => print(report.trim_end()),
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            Exit::Usage.into()
        }
    }
}

/// Prints for a person or a pipe; a pipe that is closed is no failure of ours.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Exit::Done.into(),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done.into(),
        Err(error) => {
            eprintln!("lwm2md: {error}");
            Exit::Failed.into()
        }
    }
}

/// Where systemd has put the credentials of this service.
pub(crate) fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// This machine's identifier for lwm2md, if it has a machine-id.
pub(crate) fn machine() -> Option<[u8; 16]> {
    machine_id::app_specific(&Roots::default(), config::APPLICATION_ID)
}

/// The thread that looks up a name ends so soon after it, since the next name comes
/// in hours; its stack is not worth keeping.
const RESOLVER_KEPT: Duration = Duration::from_secs(1);
