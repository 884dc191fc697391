//! `--device` and `cam devices`, as far as this build and this machine go.

use assert_cmd::Command;
use cam_device::{Api, Kind};

/// Runs the tool in an empty folder: its exit code, what it says, and what it complains of.
fn cam(args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::cargo_bin("cam").unwrap().current_dir(&folder).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.code().expect("no signal ends it"), text(run.stdout), text(run.stderr))
}

#[test]
fn every_device_of_the_list_can_be_asked_for_or_says_why_not() {
    let (code, list, _) = cam(&["devices"]);
    assert_eq!(code, 0);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"cpu"), "{list}");
    for listed in cam_device::list() {
        let name = listed.id.to_string();
        assert!(names.contains(&name.as_str()), "{name} is not in {list}");
        // A software driver takes long over eight methods; that it starts is asked for above.
        if listed.opened.is_ok() && listed.id.kind == Kind::Software {
            println!("skipped: a demo on {name}, which is made of software");
            continue;
        }
        let (code, _, told) = cam(&["demo", "--device", &name]);
        assert_eq!(code, if listed.opened.is_ok() { 0 } else { 13 }, "{name}: {told}");
    }
}

#[test]
fn what_is_not_compiled_in_says_how_to_build_it_and_what_is_not_there_what_to_look_for() {
    for api in Api::ALL {
        let (code, _, told) = cam(&["demo", "--device", &format!("{}:99", api.name())]);
        assert_eq!(code, 13, "{told}");
        assert_eq!(told.lines().filter(|line| line.starts_with("cam: ")).count(), 1, "one line: {told}");
        let says = match (api.is_built(), cam_device::list().iter().any(|listed| listed.id.api == api)) {
            (false, _) => {
                format!("`{0}` is not compiled into this build; build with `--features {0}`", api.name())
            }
            (true, false) => format!("`{}` finds no device", api.name()),
            (true, true) => format!("there is no `{}:99`", api.name()),
        };
        assert!(told.contains(&says), "{told}");
    }
}

#[test]
fn auto_works_on_every_machine_and_says_in_one_line_what_it_could_not_take() {
    let (code, _, told) = cam(&["demo", "--device", "auto"]);
    assert_eq!(code, 0, "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("cam: ")).collect();
    let taken = cam_device::open(cam_device::Wanted::Auto).unwrap();
    match &taken.passed_over[..] {
        [] => assert_eq!(lines, [""; 0]),
        reasons => {
            assert_eq!(lines.len(), 1, "{told}");
            assert!(reasons.iter().all(|reason| lines[0].contains(reason.as_str())), "{told}");
            assert!(lines[0].ends_with(&format!("computing on {}", taken.devices[0].id)), "{told}");
        }
    }
}

#[test]
fn a_word_that_is_no_device_is_told_with_those_that_are() {
    let (code, _, told) = cam(&["demo", "--device", "tpu"]);
    assert_eq!(code, 13);
    assert!(
        told.contains("no device is called `tpu`; this build knows auto,") && told.contains("cpu"),
        "{told}"
    );
}
