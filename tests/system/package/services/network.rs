//! Connectivity Monitoring (4) while networkd or NetworkManager changes the network.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use lwm2m_model::Path;

use super::watch::{Watch, after, span};
use crate::device::{APT, Device};
use crate::passed;

/// The links that are there to be managed; they end with the value.
pub(super) struct Links {
    mesh: Child,
}

impl Links {
    /// An Ethernet, whose other end has a carrier and no address, and a mesh.
    pub(super) fn new() -> Result<Self> {
        ip(&["link", "add", "lan0", "type", "veth", "peer", "name", "far0"])?;
        ip(&["link", "set", "far0", "up"])?;
        let mut mesh = Command::new("python3")
            .args(["-c", MESH])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3")?;
        let said = mesh.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        ensure!(line == "ready\n", "the mesh cannot be made");
        Ok(Self { mesh })
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // It ends by itself where it cannot be killed: its standard input does.
        let _ = self.mesh.kill();
        let _ = self.mesh.wait();
    }
}

/// OBJ-70: links of networkd.
pub(super) async fn networkd(device: &Device) -> Result<()> {
    let set = |link: &str, lines: &str| {
        let text = format!(
            "[Match]\\nName={link}\\n[Network]\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n{lines}"
        );
        format!("printf '{text}' >/etc/systemd/network/{link}.network && networkctl reload")
    };
    let lan = |address: &str, router: &str| {
        set("lan0", &format!("Address={address}/24\\n[Route]\\nGateway={router}\\nMetric=100\\n"))
    };
    device.run("systemctl start systemd-networkd").await?;
    let manager = Manager {
        name: "systemd-networkd",
        connect: lan(ADDRESS, ROUTER),
        address: lan(OTHER_ADDRESS, ROUTER),
        router: lan(OTHER_ADDRESS, OTHER_ROUTER),
        second: set(
            "mesh0",
            &format!(
                "Address={SECOND_ADDRESS}/24\\n[Route]\\nGateway={SECOND_ROUTER}\\nMetric=50\\n"
            ),
        ),
        second_gone: set("mesh0", ""),
        route_lost: set("lan0", &format!("Address={OTHER_ADDRESS}/24\\n")),
        address_lost: set("lan0", ""),
    };
    follow(device, manager).await?;
    device.run("systemctl stop systemd-networkd.socket systemd-networkd").await?;
    Ok(())
}

/// OBJ-70: links of NetworkManager.
pub(super) async fn network_manager(device: &Device) -> Result<()> {
    // It would make connections of its own.
    let settings = "[main]\nno-auto-default=*\n";
    device.run("mkdir -p /etc/NetworkManager/conf.d").await?;
    device.write("/etc/NetworkManager/conf.d/lab.conf", settings)?;
    device.run(&format!("{APT} install network-manager")).await?;
    let own = "autoconnect no ipv4.method disabled ipv6.method disabled";
    for (kind, link) in [("ethernet", "lan0"), ("tun mode tap", "mesh0")] {
        let added = format!("type {kind} con-name {link} ifname {link} {own}");
        device.run(&format!("nmcli connection add {added}")).await?;
    }
    device.run("nmcli connection up lan0 && nmcli connection up mesh0").await?;
    let set = |link: &str, settings: &str| {
        format!("nmcli connection modify {link} {settings} && nmcli device reapply {link}")
    };
    let manual = |address: &str, router: &str, metric: u32| {
        format!(
            "ipv4.method manual ipv4.addresses {address}/24 ipv4.gateway {router} \
             ipv4.route-metric {metric}"
        )
    };
    let manager = Manager {
        name: "NetworkManager",
        connect: set("lan0", &manual(ADDRESS, ROUTER, 100)),
        address: set("lan0", &manual(OTHER_ADDRESS, ROUTER, 100)),
        router: set("lan0", &manual(OTHER_ADDRESS, OTHER_ROUTER, 100)),
        second: set("mesh0", &manual(SECOND_ADDRESS, SECOND_ROUTER, 50)),
        second_gone: "nmcli connection down mesh0".into(),
        route_lost: set("lan0", "ipv4.gateway ''"),
        address_lost: "nmcli connection down lan0".into(),
    };
    follow(device, manager).await
}

/// The commands by which somebody manages the network.
struct Manager {
    name: &'static str,
    /// A link with [`ADDRESS`] and a default route by [`ROUTER`].
    connect: String,
    /// The same with [`OTHER_ADDRESS`].
    address: String,
    /// The same with [`OTHER_ROUTER`].
    router: String,
    /// The mesh, with a better default route.
    second: String,
    second_gone: String,
    route_lost: String,
    address_lost: String,
}

async fn follow(device: &Device, manager: Manager) -> Result<()> {
    let before = device.registration().await.context("not registered")?;
    let mut whole = Watch::new(device, Path::instance(4, 0)).await?;
    whole.until(&[(BEARER, ""), (ADDRESSES, ""), (ROUTERS, "")]).await?;
    device.run(&manager.connect).await?;
    let took = whole.until(&[(BEARER, ETHERNET), (ADDRESSES, ADDRESS), (ROUTERS, ROUTER)]).await?;
    let mut told = vec![took.as_secs_f32()];
    // Each by itself: an observation of the whole is told of everything.
    let resource = |id| Watch::new(device, Path::resource(4, 0, id));
    let mut bearer = resource(BEARER).await?;
    let mut addresses = resource(ADDRESSES).await?;
    let mut routers = resource(ROUTERS).await?;

    let held = (ADDRESSES, OTHER_ADDRESS);
    told.push(after(device, &manager.address, &mut [(&mut addresses, held)]).await?);
    let held = (ROUTERS, OTHER_ROUTER);
    told.push(after(device, &manager.router, &mut [(&mut routers, held)]).await?);
    for (command, used, address, router) in [
        (&manager.second, IEEE_802_15_4, SECOND_ADDRESS, SECOND_ROUTER),
        (&manager.second_gone, ETHERNET, OTHER_ADDRESS, OTHER_ROUTER),
    ] {
        let watches = &mut [
            (&mut bearer, (BEARER, used)),
            (&mut addresses, (ADDRESSES, address)),
            (&mut routers, (ROUTERS, router)),
        ];
        told.push(after(device, command, watches).await?);
    }
    // As a cable is unplugged and plugged in again.
    for (state, bearer, address) in [("down", "", ""), ("up", ETHERNET, OTHER_ADDRESS)] {
        ip(&["link", "set", "far0", state])?;
        let held = [(BEARER, bearer), (ADDRESSES, address)];
        told.push(whole.until(&held).await?.as_secs_f32());
    }
    // Without a router its resource is gone, and the observation of it.
    let held = (ROUTERS, "");
    told.push(after(device, &manager.route_lost, &mut [(&mut whole, held)]).await?);
    whole.until(&[(BEARER, ETHERNET), (ADDRESSES, OTHER_ADDRESS)]).await?;
    let lost = (ADDRESSES, "");
    let watches = &mut [(&mut addresses, lost), (&mut whole, lost)];
    told.push(after(device, &manager.address_lost, watches).await?);
    whole.until(&[(BEARER, "")]).await?;

    let now = device.registration().await.context("not registered")?;
    ensure!(now.registered_at == before.registered_at, "it has registered anew");
    passed(&format!(
        "{}: addresses, routers and bearer are told as they change, {}",
        manager.name,
        span(&told)
    ));
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {said}", arguments.join(" "));
    Ok(())
}

const BEARER: u16 = 0;
const ADDRESSES: u16 = 4;
const ROUTERS: u16 = 5;
const ETHERNET: &str = "41";
const IEEE_802_15_4: &str = "23";
const ADDRESS: &str = "192.0.2.1";
const OTHER_ADDRESS: &str = "192.0.2.2";
const ROUTER: &str = "192.0.2.253";
const OTHER_ROUTER: &str = "192.0.2.254";
const SECOND_ADDRESS: &str = "198.51.100.1";
const SECOND_ROUTER: &str = "198.51.100.254";
/// A link that the kernel takes for one of IEEE 802.15.4 (`ARPHRD_IEEE802154`, 804), for as
/// long as the program runs: a tap device (`IFF_TAP | IFF_NO_PI`, `TUNSETIFF`,
/// `TUNSETLINK`) has the kind it is given.
const MESH: &str = "
import fcntl, os, struct, sys
tap = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH22x', b'mesh0', 0x1002))
fcntl.ioctl(tap, 0x400454cd, 804)
print('ready', flush=True)
sys.stdin.read()
";
