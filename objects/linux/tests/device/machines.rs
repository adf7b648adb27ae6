//! The Device object of made-up machines: what each has, and what it lacks.

use crate::support::{SUMMER, Tree, WINTER, call, execute, host, read, write};
use lwm2m_engine::{CallOperation, CallReply};
use lwm2m_model::{Arguments, Code, Path, Value};
use lwm2m_objects::{BusHandle, DeviceConfig, ObjectHost};

fn plain_host(tree: &Tree) -> ObjectHost {
    host(tree, DeviceConfig::new("U"), BusHandle::absent(), Some(WINTER))
}

async fn expect(host: &mut ObjectHost, expected: &[(&str, &str)]) {
    let values = read(host, "/3/0").await;
    let expected: Vec<_> =
        expected.iter().map(|(path, value)| (format!("/3/0/{path}"), value.to_string())).collect();
    assert_eq!(
        values.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        expected.into_iter().collect()
    );
}

/// OBJ-60.
#[tokio::test]
async fn a_machine_that_tells_nothing_has_the_mandatory_resources_alone() {
    let tree = Tree::new();
    let mut host = host(&tree, DeviceConfig::new("U"), BusHandle::absent(), None);
    expect(&mut host, &[("11/0", "0"), ("16", "\"U\"")]).await;
    let paths = call(&mut host, "/3/0", CallOperation::Discover).await.unwrap();
    let expected = ["/3/0", "/3/0/4", "/3/0/11", "/3/0/11/0", "/3/0/12", "/3/0/16"];
    assert_eq!(paths, CallReply::Paths(expected.map(|path| path.parse().unwrap()).into()));
}

#[tokio::test]
async fn a_board_speaks_through_its_device_tree() {
    let tree = Tree::new();
    tree.write("proc/device-tree/compatible", b"raspberrypi,4-model-b\0brcm,bcm2711\0");
    tree.write("proc/device-tree/model", b"Raspberry Pi 4 Model B Rev 1.4\0");
    tree.write("proc/device-tree/serial-number", b"10000000abcdef01\0");
    tree.write("proc/meminfo", "MemTotal:  4000000 kB\nMemFree: 1 kB\nMemAvailable: 1000000 kB\n");
    tree.write(
        "usr/lib/os-release",
        "ID=poky\nVERSION_ID=5.0.3\nVERSION=\"5.0.3 (scarthgap)\"\nIMAGE_VERSION=2.7\n",
    );
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    tree.zone("Europe/Berlin");
    let mut host = plain_host(&tree);
    expect(
        &mut host,
        &[
            ("0", "\"raspberrypi\""),
            ("1", "\"Raspberry Pi 4 Model B Rev 1.4\""),
            ("2", "\"10000000abcdef01\""),
            ("3", "\"2.7\""),
            ("10", "1024000"),
            ("11/0", "0"),
            ("13", "1768478400"),
            ("14", "\"+01:00\""),
            ("15", "\"Europe/Berlin\""),
            ("16", "\"U\""),
            ("18", "\"raspberrypi,4-model-b\""),
            ("19", "\"5.0.3 (scarthgap)\""),
            ("21", "4096000"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_pc_speaks_through_its_firmware_but_fillers_are_no_values() {
    let tree = Tree::new();
    for (file, content) in [
        ("sys_vendor", "ACME Computers"),
        ("product_name", "To Be Filled By O.E.M."),
        ("product_serial", "Default string"),
        ("product_version", "Not Specified"),
        ("board_version", "1.02"),
        ("chassis_type", "3"),
    ] {
        tree.write(&format!("sys/class/dmi/id/{file}"), format!("{content}\n"));
    }
    let mut host = host(&tree, DeviceConfig::new("UQ"), BusHandle::absent(), None);
    expect(
        &mut host,
        &[
            ("0", "\"ACME Computers\""),
            ("11/0", "0"),
            ("16", "\"UQ\""),
            ("17", "\"desktop\""),
            ("18", "\"1.02\""),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_configuration_wins_unless_it_is_empty() {
    let tree = Tree::new();
    tree.write("proc/device-tree/compatible", b"vendor,board\0");
    tree.write("proc/device-tree/model", b"Board\0");
    let config = DeviceConfig {
        manufacturer: Some("ACME".into()),
        model: Some(" ".into()),
        serial: Some("4711".into()),
        device_type: Some("gateway".into()),
        hardware_version: Some("C".into()),
        software_version: Some("0.1.0".into()),
        ..DeviceConfig::new("U")
    };
    let mut host = host(&tree, config, BusHandle::absent(), None);
    expect(
        &mut host,
        &[
            ("0", "\"ACME\""),
            ("1", "\"Board\""),
            ("2", "\"4711\""),
            ("11/0", "0"),
            ("16", "\"U\""),
            ("17", "\"gateway\""),
            ("18", "\"C\""),
            ("19", "\"0.1.0\""),
        ],
    )
    .await;
}

/// OBJ-63.
#[tokio::test]
async fn a_laptop_shows_its_supplies_under_the_same_instances() {
    let tree = Tree::new();
    tree.supply("AC", &[("type", "Mains"), ("online", "1")]);
    tree.supply(
        "BAT0",
        &[
            ("type", "Battery"),
            ("present", "1"),
            ("status", "Charging"),
            ("capacity", "57"),
            ("voltage_now", "11834000"),
            ("current_now", "1250999"),
        ],
    );
    tree.supply("hid-mouse", &[("type", "Battery"), ("scope", "Device"), ("capacity", "5")]);
    tree.supply("wireless", &[("type", "Wireless"), ("online", "1")]);
    let mut host = plain_host(&tree);
    let power = [
        ("6/0", "6"),
        ("6/1", "1"),
        ("6/2", "2"),
        ("7/1", "11834"),
        ("8/1", "1250"),
        ("9", "57"),
        ("11/0", "0"),
        ("13", "1768478400"),
        ("16", "\"U\""),
        ("20", "1"),
    ];
    expect(&mut host, &power).await;
    // The mains go: instance 0 is not available, the others keep theirs.
    tree.supply("AC", &[("online", "0")]);
    tree.supply(
        "BAT0",
        &[("status", "Discharging"), ("capacity", "7"), ("current_now", "-900000")],
    );
    let battery = [
        ("6/1", "1"),
        ("6/2", "2"),
        ("7/1", "11834"),
        ("8/1", "-900"),
        ("9", "7"),
        ("11/0", "1"),
        ("11/1", "2"),
        ("13", "1768478400"),
        ("16", "\"U\""),
        ("20", "4"),
    ];
    expect(&mut host, &battery).await;
    assert_eq!(execute(&mut host, "/3/0/12").await, Ok(CallReply::Done));
    // What still holds is there again after the reset (OBJ-62).
    assert_eq!(read(&mut host, "/3/0/11").await.len(), 2);
    tree.supply("AC", &[("online", "1")]);
    tree.supply("BAT0", &[("status", "Charging")]);
    let errors = read(&mut host, "/3/0/11").await;
    assert_eq!(errors.into_iter().collect::<Vec<_>>(), [("/3/0/11/0".into(), "0".into())]);
}

#[tokio::test]
async fn garbage_in_every_file_is_a_machine_that_tells_nothing() {
    let huge = vec![b'9'; 300 * 1024];
    let garbage: [&[u8]; 5] = [b"", b"\0\0\n", b"\xff\xfe\x80", b"a\x01b", &huge];
    for content in garbage {
        let tree = Tree::new();
        for file in [
            "proc/meminfo",
            "proc/device-tree/compatible",
            "proc/device-tree/model",
            "proc/device-tree/serial-number",
            "sys/class/dmi/id/sys_vendor",
            "sys/class/dmi/id/product_name",
            "sys/class/dmi/id/product_serial",
            "sys/class/dmi/id/product_version",
            "sys/class/dmi/id/chassis_type",
            "sys/class/power_supply/BAT0/type",
            "etc/os-release",
            "etc/localtime",
            "usr/lib/os-release",
        ] {
            tree.write(file, content);
        }
        for file in ["present", "status", "capacity", "voltage_now", "current_now", "health"] {
            tree.write(&format!("sys/class/power_supply/BAT1/{file}"), content);
        }
        tree.supply("BAT1", &[("type", "Battery")]);
        tree.supply("AC", &[("type", "Mains")]);
        tree.write("sys/class/power_supply/AC/online", content);
        let mut host = host(&tree, DeviceConfig::new("U"), BusHandle::absent(), None);
        // A battery that says nothing is there all the same, in a state unknown.
        let known = [("6/1", "1"), ("11/0", "0"), ("16", "\"U\""), ("20", "6")];
        expect(&mut host, &known).await;
    }
}

#[tokio::test]
async fn numbers_beyond_all_reason_do_no_harm() {
    let tree = Tree::new();
    tree.supply(
        "BAT0",
        &[
            ("type", "Battery"),
            ("present", "-7"),
            ("capacity", "101"),
            ("voltage_now", "-9223372036854775808"),
            ("current_now", "9223372036854775808"),
            ("energy_full", "0"),
        ],
    );
    tree.write("proc/meminfo", "MemTotal: 18446744073709551615 kB\nMemAvailable: 1e3 kB\n");
    let mut host = host(&tree, DeviceConfig::new("U"), BusHandle::absent(), None);
    let known =
        [("6/0", "1"), ("7/0", "-9223372036854775"), ("11/0", "0"), ("16", "\"U\""), ("20", "6")];
    expect(&mut host, &known).await;
}

#[tokio::test]
async fn hardly_any_memory_left_is_an_error() {
    let tree = Tree::new();
    tree.write("proc/meminfo", "MemTotal: 100000 kB\nMemAvailable: 1999 kB\n");
    let mut host = plain_host(&tree);
    assert_eq!(read(&mut host, "/3/0/11").await["/3/0/11/0"], "5");
    tree.write("proc/meminfo", "MemTotal: 100000 kB\nMemAvailable: 2000 kB\n");
    assert_eq!(read(&mut host, "/3/0/11").await["/3/0/11/0"], "0");
}

#[tokio::test]
async fn the_offset_follows_summer_time_and_a_plain_file_has_no_name() {
    let tree = Tree::new();
    tree.zone_file("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    tree.zone("Europe/Berlin");
    let mut summer = host(&tree, DeviceConfig::new("U"), BusHandle::absent(), Some(SUMMER));
    assert_eq!(read(&mut summer, "/3/0/14").await["/3/0/14"], "\"+02:00\"");
    std::fs::remove_file(tree.path("etc/localtime")).unwrap();
    tree.write("etc/localtime", crate::support::zone_bytes("NST3:30NDT,M3.2.0,M11.1.0"));
    assert_eq!(read(&mut summer, "/3/0/14").await["/3/0/14"], "\"-02:30\"");
    let missing = call(&mut summer, "/3/0/15", CallOperation::Read).await.unwrap_err();
    assert_eq!(missing.code, Code::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_there_is_4_04_and_what_may_not_be_is_4_05() {
    let tree = Tree::new();
    let mut host = plain_host(&tree);
    for path in ["/3/1", "/3/1/13", "/3/0/0", "/3/0/6", "/3/0/11/7", "/3/0/99"] {
        for operation in [CallOperation::Read, CallOperation::Discover] {
            let error = call(&mut host, path, operation).await.unwrap_err();
            assert_eq!(error.code, Code::NOT_FOUND, "{path}");
        }
    }
    for path in ["/3/0/5", "/3/1/4"] {
        let error = execute(&mut host, path).await.unwrap_err();
        assert_eq!(error.code, Code::NOT_FOUND, "{path}");
    }
    // CORE-141: an argument that is not understood.
    for (path, code) in
        [("/3/0/4", Code::BAD_REQUEST), ("/3/0/12", Code::BAD_REQUEST), ("/3/0/5", Code::NOT_FOUND)]
    {
        let arguments = CallOperation::Execute(Arguments::parse("0").unwrap());
        assert_eq!(call(&mut host, path, arguments).await.unwrap_err().code, code, "{path}");
    }
    let error = call(&mut host, "/3/0", CallOperation::Delete).await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(
        call(&mut host, "/3/0/11/0", CallOperation::Discover).await,
        Ok(CallReply::Paths(vec![Path::resource_instance(3, 0, 11, 0)]))
    );
    assert_eq!(call(&mut host, "/5", CallOperation::Read).await.unwrap_err().code, Code::NOT_FOUND);
}

#[tokio::test]
async fn without_a_bus_writes_and_reboot_are_refused_with_the_reason() {
    let tree = Tree::new();
    tree.zone("Etc/UTC");
    let mut host = plain_host(&tree);
    let text = |text: &str| Value::String(text.into());
    let cases = [
        ("/3/0/13", Value::Time(WINTER), Code::METHOD_NOT_ALLOWED, "D-Bus"),
        ("/3/0/15", text("Europe/Berlin"), Code::METHOD_NOT_ALLOWED, "D-Bus"),
        ("/3/0/14", text("+02:00"), Code::METHOD_NOT_ALLOWED, "D-Bus"),
        ("/3/0/13", Value::Time(-1), Code::BAD_REQUEST, "since 1970"),
        ("/3/0/13", Value::Time(i64::MAX), Code::BAD_REQUEST, "age"),
        ("/3/0/14", text("noon"), Code::BAD_REQUEST, "+02:00"),
        ("/3/0/14", text("+05:30"), Code::BAD_REQUEST, "fixed"),
        ("/3/0/15", text("../../etc/passwd"), Code::BAD_REQUEST, "Europe/Berlin"),
        ("/3/0/15", text(""), Code::BAD_REQUEST, "Europe/Berlin"),
    ];
    for (path, value, code, reason) in cases {
        let error = write(&mut host, path, value.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{path} {value}: {error}");
        assert!(error.reason.contains(reason), "{error}");
    }
    let error = execute(&mut host, "/3/0/4").await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert!(error.reason.contains("login1"), "{error}");
    // The offset in force changes nothing, so nobody needs to be asked.
    assert_eq!(write(&mut host, "/3/0/14", text("Z")).await, Ok(CallReply::Done));
}
