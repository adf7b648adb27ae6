//! `cargo xtask package`: the agent as operators get it, a .deb and an .rpm.
//!
//! What goes where is in `agent/daemon/Cargo.toml`, for cargo-deb and cargo-generate-rpm;
//! here is what they need first: the programs, completions of shells, manual pages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::{self, Purpose};
use crate::run::{self, cargo, output, root, target};

/// The two packages.
pub(crate) struct Built {
    pub(crate) deb: PathBuf,
    pub(crate) rpm: PathBuf,
}

/// Builds both packages and says where they are.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let revision = match arguments {
        [] => "1",
        [option, revision] if option == "--revision" => revision,
        _ => bail!("wrong arguments; there is only --revision REVISION"),
    };
    prepare()?;
    let built = build(revision)?;
    for (path, bytes) in [(&built.deb, deb_size(&built.deb)?), (&built.rpm, rpm_size(&built.rpm)?)]
    {
        eprintln!("package: {}, installed {:.1} MiB", path.display(), bytes as f64 / MIB);
    }
    Ok(())
}

/// Installs what building takes, and makes all that goes into the packages.
pub(crate) fn prepare() -> Result<()> {
    packages::setup(Purpose::Packages)?;
    cargo(&["build", "--release", "--locked", "--package", "lwm2md", "--package", "lwm2mctl"])?;
    // Where the lists of files look for them.
    let parts = target()?.join("release/package");
    let completions = fresh(&parts.join("completions"))?;
    let generate = ["run", "--quiet", "--locked", "--package", "lwm2md", "--example"];
    let generate = [&generate[..], &["completions", "--", &completions.display().to_string()]];
    cargo(&generate.concat())?;
    let pages = fresh(&parts.join("man"))?;
    for entry in fs::read_dir(root().join("packaging/man"))? {
        let page = entry?.path();
        let copy = pages.join(page.file_name().unwrap_or_default());
        fs::copy(&page, &copy).with_context(|| format!("cannot copy {}", page.display()))?;
        run::run("gzip", &["--best", "--no-name", "--force", &copy.display().to_string()])?;
    }
    Ok(())
}

/// Builds both packages of what [`prepare`] has made.
pub(crate) fn build(revision: &str) -> Result<Built> {
    let number =
        revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte));
    if revision.is_empty() || !number {
        bail!("--revision: expected letters, digits and any of .+~, got \"{revision}\"");
    }
    let directory = fresh(&target()?.join("package").join(revision))?;
    let place = directory.display().to_string();
    // The same sources give the same packages.
    let date = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(date) => date,
        Err(_) => output("git", &["log", "-1", "--format=%ct"])?.trim().to_owned(),
    };
    let date = format!("SOURCE_DATE_EPOCH={date}");
    let deb = tool("cargo-deb", "3.8.0")?;
    let options = ["--no-build", "--locked", "--package", "lwm2md", "--deb-revision", revision];
    let into = ["--output", &place];
    run::run("env", &[&[&date, "CARGO_TERM_COLOR=never", &deb][..], &options, &into].concat())?;
    let rpm = tool("cargo-generate-rpm", "0.21.1")?;
    let release = format!("release = \"{revision}\"");
    let options = ["--package", "agent/daemon", "--set-metadata", &release, "--output", &place];
    run::run("env", &[&[&date[..], &rpm][..], &options].concat())?;
    let built = Built { deb: only(&directory, "deb")?, rpm: only(&directory, "rpm")? };
    compare(&built)?;
    Ok(built)
}

/// Bytes of a .deb once it is installed, as dpkg counts them.
fn deb_size(deb: &Path) -> Result<u64> {
    let size = output("dpkg-deb", &["--field", &deb.display().to_string(), "Installed-Size"])?;
    Ok(size.trim().parse::<u64>().context("Installed-Size is no number")? * 1024)
}

fn rpm_size(rpm: &Path) -> Result<u64> {
    let query = ["--query", "--package", "--queryformat", "%{SIZE}", &rpm.display().to_string()];
    output("rpm", &query)?.trim().parse().context("the size is no number")
}

/// Both packages install the same files.
fn compare(built: &Built) -> Result<()> {
    let deb = output("dpkg-deb", &["--contents", &built.deb.display().to_string()])?;
    let deb =
        deb.lines().filter_map(|line| line.split(" ./").nth(1)).filter(|path| !path.ends_with('/'));
    let deb = files(deb);
    let rpm = output("rpm", &["--query", "--list", "--package", &built.rpm.display().to_string()])?;
    let rpm = files(rpm.lines());
    let missing = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|path| !those.contains(path)).cloned().collect()
    };
    let (deb_only, rpm_only) = (missing(&deb, &rpm), missing(&rpm, &deb));
    if deb.is_empty() || !deb_only.is_empty() || !rpm_only.is_empty() {
        bail!("only the .deb has {deb_only:?}, only the .rpm has {rpm_only:?}");
    }
    Ok(())
}

fn files<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let path =
        |path: &str| path.trim_start_matches('/').replace("site-functions", "vendor-completions");
    // Debian wants the licence in a file of this name.
    let mut files: Vec<String> =
        paths.map(path).filter(|path| !path.ends_with("/copyright")).collect();
    files.sort_unstable();
    files
}

/// A cargo command of this version, kept outside of the tree: it takes minutes to build.
fn tool(name: &str, version: &str) -> Result<String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    let place = cache.join("lwm2md").join(format!("{name}-{version}"));
    let program = place.join("bin").join(name);
    if !program.exists() {
        let place = place.display().to_string();
        cargo(&["install", "--locked", "--version", version, "--root", &place, name])?;
    }
    Ok(program.display().to_string())
}

/// An empty directory.
fn fresh(place: &Path) -> Result<PathBuf> {
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    Ok(place.to_owned())
}

/// The file of this kind in a directory that has one.
fn only(directory: &Path, kind: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == kind) {
            return Ok(path);
        }
    }
    bail!("there is no .{kind} in {}", directory.display())
}

const MIB: f64 = 1_048_576.0;
