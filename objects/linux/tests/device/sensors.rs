//! The sensors of made-up machines: hwmon, thermal zones and IIO.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::{Tree, WINTER, call, changed, execute, read, write};
use lwm2m_engine::{CallOperation, CallReply};
use lwm2m_model::{Arguments, Code, Now, Value};
use lwm2m_objects::{ObjectHost, ObjectMessage, sensors};

const HWMON: &str = "sys/class/hwmon";
const IIO: &str = "sys/bus/iio/devices";

/// A host with the sensors of the tree, at a fixed time.
fn host(tree: &Tree) -> ObjectHost {
    let now = Now { wall: Some(WINTER * 1000), ..Now::default() };
    let mut host = ObjectHost::new(move || now);
    sensors(&tree.roots(), &host.sender()).for_each(|object| host.add(object));
    host
}

fn files(tree: &Tree, folder: &str, files: &[(&str, &str)]) {
    for (file, content) in files {
        tree.write(&format!("{folder}/{file}"), format!("{content}\n"));
    }
}

fn chip(tree: &Tree, number: u32, contents: &[(&str, &str)]) {
    files(tree, &format!("{HWMON}/hwmon{number}"), contents);
}

/// The folder of a device that the kernel has under another name.
fn link(tree: &Tree, target: &str, link: &str) {
    std::fs::create_dir_all(tree.path(target)).unwrap();
    std::fs::create_dir_all(tree.path(link).parent().unwrap()).unwrap();
    symlink(tree.path(target), tree.path(link)).unwrap();
}

/// Value, unit and name of each instance of an object.
async fn shown(host: &mut ObjectHost, object: u16) -> Vec<(String, String, String)> {
    let path = format!("/{object}");
    if call(host, &path, CallOperation::Read).await.is_err() {
        return Vec::new();
    }
    let values = read(host, &path).await;
    let of = |instance: u16, id: u16| {
        let value = values.get(&format!("/{object}/{instance}/{id}"));
        value.map_or("-", |value| value.trim_matches('"')).to_owned()
    };
    let instances = 0..instances(host, object).len();
    instances
        .map(|place| {
            let instance = place.try_into().unwrap();
            (of(instance, 5700), of(instance, 5701), of(instance, 5750))
        })
        .collect()
}

fn instances(host: &ObjectHost, object: u16) -> Vec<u16> {
    let all: BTreeMap<_, _> = host.objects().map(|(def, ids, _)| (def.id, ids)).collect();
    all[&object].clone()
}

async fn expect(host: &mut ObjectHost, object: u16, expected: &[(&str, &str, &str)]) {
    let shown = shown(host, object).await;
    let shown: Vec<_> =
        shown.iter().map(|(v, u, n)| (v.as_str(), u.as_str(), n.as_str())).collect();
    assert_eq!(shown, expected, "/{object}");
}

#[tokio::test]
async fn chips_show_what_they_measure_in_the_units_of_ipso() {
    let tree = Tree::new();
    chip(
        &tree,
        2,
        &[
            ("name", "coretemp"),
            ("temp1_input", "45123"),
            ("temp1_label", "Package id 0"),
            ("temp1_crit", "100000"),
            ("temp10_input", "41000"),
            ("temp2_input", "-1500"),
            ("temp2_label", ""),
        ],
    );
    chip(
        &tree,
        10,
        &[
            ("name", "nct6775"),
            ("in0_input", "1248"),
            ("in1_min", "0"),
            ("intrusion0_alarm", "1"),
            ("curr1_input", "-250"),
            ("power1_input", "1500000"),
            ("power1_average", "9000000"),
            ("power2_average", "2500000"),
            ("humidity1_input", "48200"),
            ("fan1_input", "900"),
        ],
    );
    let mut host = host(&tree);
    let temperatures = [
        ("45.123", "Cel", "coretemp Package id 0"),
        ("-1.5", "Cel", "coretemp temp2"),
        ("41", "Cel", "coretemp temp10"),
    ];
    expect(&mut host, 3303, &temperatures).await;
    expect(&mut host, 3316, &[("1.248", "V", "nct6775 in0")]).await;
    expect(&mut host, 3317, &[("-0.25", "A", "nct6775 curr1")]).await;
    let powers = [("1.5", "W", "nct6775 power1"), ("2.5", "W", "nct6775 power2")];
    expect(&mut host, 3328, &powers).await;
    expect(&mut host, 3304, &[("48.2", "%RH", "nct6775 humidity1")]).await;
    for object in [3301, 3315] {
        expect(&mut host, object, &[]).await;
    }
}

#[tokio::test]
async fn iio_devices_are_read_with_the_scale_and_offset_that_fit() {
    let tree = Tree::new();
    let device = |number: u32, contents: &[(&str, &str)]| {
        files(&tree, &format!("{IIO}/iio:device{number}"), contents);
    };
    device(
        0,
        &[
            ("name", "bme280"),
            ("in_temp_input", "22480"),
            ("in_pressure_input", "101.325"),
            ("in_humidityrelative_input", "41250"),
            ("in_illuminance_input", "312.5"),
        ],
    );
    device(
        1,
        &[
            ("name", "adc"),
            ("in_voltage0_raw", "2048"),
            ("in_voltage0_label", "VBAT"),
            ("in_voltage3_raw", "100"),
            ("in_voltage3_scale", "2"),
            ("in_voltage_scale", "0.5"),
            ("in_voltage0-voltage1_raw", "-4"),
            ("in_voltage-voltage_scale", "250"),
            ("in_temp_object_raw", "1000"),
            ("in_temp_object_offset", "-13657.5"),
            ("in_temp_scale", "20"),
            ("in_current1_raw", "3"),
            ("in_illuminance_raw", "12"),
            ("in_illuminance_mean_raw", "12"),
            ("in_anglvel_x_raw", "1"),
            ("scale", "10"),
        ],
    );
    // Nobody knows what this number means.
    device(2, &[("name", "bare"), ("in_voltage0_raw", "2048")]);
    let mut host = host(&tree);
    let temperatures = [("22.48", "Cel", "bme280 temp"), ("-253.15", "Cel", "adc temp_object")];
    expect(&mut host, 3303, &temperatures).await;
    expect(&mut host, 3315, &[("101325", "Pa", "bme280 pressure")]).await;
    expect(&mut host, 3304, &[("41.25", "%RH", "bme280 humidityrelative")]).await;
    let lights = [("312.5", "lx", "bme280 illuminance"), ("120", "lx", "adc illuminance")];
    expect(&mut host, 3301, &lights).await;
    let voltages = [
        ("-1", "V", "adc voltage0-voltage1"),
        ("1.024", "V", "adc VBAT"),
        ("0.2", "V", "adc voltage3"),
    ];
    expect(&mut host, 3316, &voltages).await;
    expect(&mut host, 3317, &[("0.03", "A", "adc current1")]).await;
}

#[tokio::test]
async fn a_thermal_zone_that_hwmon_shows_is_there_once() {
    let tree = Tree::new();
    let zone = |number: u32, kind: &str, temp: &str| {
        let folder = format!("sys/class/thermal/thermal_zone{number}");
        files(&tree, &folder, &[("type", kind), ("temp", temp)]);
    };
    zone(0, "cpu-thermal", "50000");
    zone(1, "gpu-thermal", "60000");
    zone(2, "cpu-thermal", "51000");
    zone(3, "coretemp", "52000");
    chip(&tree, 0, &[("name", "cpu_thermal"), ("temp1_input", "50000"), ("temp2_input", "51000")]);
    link(&tree, "sys/class/thermal/thermal_zone0", &format!("{HWMON}/hwmon0/device"));
    // The same name, but no zone.
    chip(&tree, 1, &[("name", "coretemp"), ("temp1_input", "53000")]);
    link(&tree, "sys/devices/coretemp.0", &format!("{HWMON}/hwmon1/device"));
    let mut host = host(&tree);
    let expected = [
        ("50", "Cel", "cpu_thermal temp1"),
        ("51", "Cel", "cpu_thermal temp2"),
        ("53", "Cel", "coretemp temp1"),
        ("60", "Cel", "gpu-thermal"),
        ("52", "Cel", "coretemp"),
    ];
    expect(&mut host, 3303, &expected).await;
}

#[tokio::test]
async fn sensors_of_the_same_name_are_told_apart_by_their_device() {
    let tree = Tree::new();
    for number in [0, 1] {
        let contents = [("name", "nvme"), ("temp1_input", "30000"), ("temp1_label", "Composite")];
        chip(&tree, number, &contents);
        let device = format!("sys/devices/pci/nvme{number}");
        link(&tree, &device, &format!("{HWMON}/hwmon{number}/device"));
    }
    let expected =
        [("30", "Cel", "nvme Composite (nvme0)"), ("30", "Cel", "nvme Composite (nvme1)")];
    expect(&mut host(&tree), 3303, &expected).await;
}

#[tokio::test]
async fn what_is_no_measurement_is_no_value() {
    let tree = Tree::new();
    let nonsense: [&[u8]; 13] = [
        b"",
        b"\n",
        b"N/A\n",
        b"inf\n",
        b"nan\n",
        b"1e3\n",
        b"0x10\n",
        b"1 2\n",
        b"\xff\xfe",
        b"-300000\n",
        b"3000001\n",
        b"99999999999999999999999\n",
        &[b'9'; 300],
    ];
    for content in nonsense {
        tree.write(&format!("{HWMON}/hwmon0/temp1_input"), content);
        tree.write(&format!("{IIO}/iio:device0/in_temp_raw"), content);
        files(&tree, &format!("{IIO}/iio:device0"), &[("in_temp_scale", "1")]);
        let expected = [("-", "Cel", "hwmon0 temp1"), ("-", "Cel", "iio:device0 temp")];
        expect(&mut host(&tree), 3303, &expected).await;
    }
    files(&tree, &format!("{IIO}/iio:device0"), &[("in_temp_raw", "9"), ("in_temp_offset", "x")]);
    // EISDIR stands for EIO and EAGAIN.
    std::fs::remove_file(tree.path(&format!("{HWMON}/hwmon0/temp1_input"))).unwrap();
    std::fs::create_dir(tree.path(&format!("{HWMON}/hwmon0/temp1_input"))).unwrap();
    let expected = [("-", "Cel", "hwmon0 temp1"), ("-", "Cel", "iio:device0 temp")];
    expect(&mut host(&tree), 3303, &expected).await;
}

#[tokio::test]
async fn a_faulty_sensor_has_no_value_until_it_is_mended() {
    let tree = Tree::new();
    chip(&tree, 0, &[("name", "max31865"), ("temp1_input", "21000"), ("temp1_fault", "0")]);
    let mut host = host(&tree);
    for (fault, value) in [("1", "-"), ("0", "21"), ("?", "-"), ("0", "21")] {
        chip(&tree, 0, &[("temp1_fault", fault)]);
        expect(&mut host, 3303, &[(value, "Cel", "max31865 temp1")]).await;
    }
}

#[tokio::test]
async fn extremes_last_until_they_are_reset_to_the_value_of_now() {
    let tree = Tree::new();
    let mut host = host_of_one(&tree);
    for (input, lowest, highest) in
        [("20000", "20", "20"), ("35000", "20", "35"), ("-4000", "-4", "35"), ("10000", "-4", "35")]
    {
        chip(&tree, 0, &[("temp1_input", input)]);
        let values = read(&mut host, "/3303/0").await;
        assert_eq!(values["/3303/0/5601"], lowest);
        assert_eq!(values["/3303/0/5602"], highest);
        assert_eq!(values["/3303/0/5518"], WINTER.to_string());
    }
    chip(&tree, 0, &[("temp1_input", "11000")]);
    assert_eq!(execute(&mut host, "/3303/0/5605").await, Ok(CallReply::Done));
    let values = read(&mut host, "/3303/0").await;
    assert_eq!((&*values["/3303/0/5601"], &*values["/3303/0/5602"]), ("11", "11"));
    // A value that is away has no time, but the extremes were measured.
    chip(&tree, 0, &[("temp1_input", "?")]);
    let values = read(&mut host, "/3303/0").await;
    let paths: Vec<&str> = values.keys().map(|path| &path["/3303/0/".len()..]).collect();
    assert_eq!(paths, ["5601", "5602", "5701", "5750"]);
}

fn host_of_one(tree: &Tree) -> ObjectHost {
    chip(tree, 0, &[("name", "lm75"), ("temp1_input", "20000")]);
    host(tree)
}

#[tokio::test]
async fn what_is_not_there_is_4_04_and_what_may_not_be_is_4_05() {
    let tree = Tree::new();
    let mut host = host_of_one(&tree);
    for path in ["/3303/1", "/3303/0/5603", "/3303/0/5604", "/3303/0/9", "/3316/0/5700"] {
        for operation in [CallOperation::Read, CallOperation::Discover] {
            let error = call(&mut host, path, operation).await.unwrap_err();
            assert_eq!(error.code, Code::NOT_FOUND, "{path}");
        }
    }
    // An object of which there is no instance is empty (CORE-127).
    let empty = call(&mut host, "/3304", CallOperation::Read).await;
    assert_eq!(empty, Ok(CallReply::Entries(Vec::new())));
    for path in ["/3303/1/5605", "/3303/0/5700"] {
        let error = execute(&mut host, path).await.unwrap_err();
        assert_eq!(error.code, Code::NOT_FOUND, "{path}");
    }
    // CORE-141: an argument that is not understood.
    let arguments = CallOperation::Execute(Arguments::parse("0").unwrap());
    let error = call(&mut host, "/3303/0/5605", arguments).await.unwrap_err();
    assert_eq!(error.code, Code::BAD_REQUEST);
    let error = write(&mut host, "/3303/0/5750", Value::String("oven".into())).await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    assert!(error.reason.contains("comes from the system"), "{error}");
    let error = call(&mut host, "/3303/0", CallOperation::Delete).await.unwrap_err();
    assert_eq!(error.code, Code::METHOD_NOT_ALLOWED);
    let paths = call(&mut host, "/3303/0", CallOperation::Discover).await.unwrap();
    let expected = ["", "/5518", "/5601", "/5602", "/5605", "/5700", "/5701", "/5750"];
    let expected = expected.map(|path| format!("/3303/0{path}").parse().unwrap());
    assert_eq!(paths, CallReply::Paths(expected.into()));
}

/// Waits for the news that an object has other instances.
async fn listed(host: &mut ObjectHost, object: u16) -> Vec<u16> {
    loop {
        if let ObjectMessage::Object { definition, instances, .. } = host.next().await
            && definition.id == object
        {
            return instances;
        }
    }
}

#[tokio::test]
async fn sensors_that_come_and_go_leave_the_others_their_instances() {
    let tree = Tree::new();
    chip(&tree, 1, &[("name", "a"), ("temp1_input", "1000")]);
    chip(&tree, 2, &[("name", "b"), ("temp1_input", "2000")]);
    let mut host = host(&tree);
    assert_eq!(instances(&host, 3303), [0, 1]);
    // One that is before the others in the order of the kernel, and of another kind too.
    chip(&tree, 0, &[("name", "c"), ("temp1_input", "3000"), ("in0_input", "3000")]);
    assert_eq!(read(&mut host, "/3303").await["/3303/2/5750"], "\"c temp1\"");
    assert_eq!((instances(&host, 3303), instances(&host, 3316)), (vec![0, 1, 2], vec![0]));
    // A sensor that is gone is missed when somebody looks at it.
    std::fs::remove_dir_all(tree.path(&format!("{HWMON}/hwmon1"))).unwrap();
    assert!(!read(&mut host, "/3303/0").await.contains_key("/3303/0/5700"));
    assert_eq!(listed(&mut host, 3303).await, [1, 2]);
    assert_eq!(read(&mut host, "/3303/1").await["/3303/1/5700"], "2");
    // Another chip under the same number is another sensor.
    chip(&tree, 1, &[("name", "d"), ("temp1_input", "4000")]);
    let values = read(&mut host, "/3303").await;
    assert_eq!(values["/3303/0/5700"], "4");
    assert_eq!((&*values["/3303/0/5601"], &*values["/3303/1/5601"]), ("4", "2"));
}

#[tokio::test(start_paused = true)]
async fn an_observed_sensor_is_sampled_and_named_once_per_change() {
    let tree = Tree::new();
    let mut host = host_of_one(&tree);
    let path = "/3303/0/5700".parse().unwrap();
    host.watch(&path, Some(Duration::from_secs(60)));
    // The first sample: what was before it nobody knows.
    changed(&mut host, "/3303/0").await;
    chip(&tree, 0, &[("temp1_input", "21000")]);
    // What somebody else reads is still news for those who observe.
    assert_eq!(read(&mut host, "/3303/0/5700").await["/3303/0/5700"], "21");
    changed(&mut host, "/3303/0").await;
    let silence = Duration::from_secs(630);
    assert!(tokio::time::timeout(silence, host.next()).await.is_err(), "nothing differs");
    host.watch(&path, None);
    chip(&tree, 0, &[("temp1_input", "22000")]);
    assert!(tokio::time::timeout(silence, host.next()).await.is_err(), "nobody observes");
}
