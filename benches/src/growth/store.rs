//! By the number of images in the store, of files in a build, and of services in a project.

use std::{fmt::Write as _, fs, path::Path};

use indicatif::ProgressBar;

use super::{
    Result, Series,
    lab::{IMAGE, Lab},
};

/// Images that differ in their configuration, as most of a machine's do: `images`, and a start.
pub(super) fn images(lab: &Lab, sizes: &[u32], bar: &ProgressBar) -> Result<Vec<Series>> {
    const OF: &str = "images";
    let mut list = Series::new("`images`, ms", OF);
    let mut start = Series::new("`run --rm --network none`, ms", OF);
    // One came with the lab.
    let mut there = 1;
    for &size in sizes {
        while there < size {
            bar.set_message(format!("{there} of {size} {OF}"));
            let dockerfile = lab.path("Dockerfile");
            fs::write(&dockerfile, format!("FROM {IMAGE}\nLABEL number={there}\n"))?;
            let context = lab.path("empty");
            fs::create_dir_all(&context)?;
            let [dockerfile, context] = [dockerfile, context].map(|path| path.to_string_lossy().into_owned());
            lab.run(&["build", "-q", "-t", &format!("{IMAGE}:{there}"), "-f", &dockerfile, &context])?;
            there += 1;
        }
        list.points.push((size, lab.median(5, &["images", "-q"])?));
        start.points.push((size, lab.median(9, &["run", "--rm", "--network", "none", IMAGE, "true"])?));
    }
    Ok(vec![list, start])
}

/// A `COPY` of so many files of 200 bytes: cold, all cached, and with one byte changed.
pub(super) fn files(lab: &Lab, sizes: &[u32], bar: &ProgressBar) -> Result<Vec<Series>> {
    const OF: &str = "files";
    let mut cold = Series::new("a build with COPY, s", OF);
    let mut cached = Series::new("a build with COPY, all cached, s", OF);
    let mut changed = Series::new("a build with COPY, one file changed, s", OF);
    for &size in sizes {
        bar.set_message(format!("a build of {size} {OF}"));
        let context = lab.path(&format!("context-{size}"));
        write_files(&context, size)?;
        let text = context.to_string_lossy().into_owned();
        let build = ["build", "-q", text.as_str()];
        cold.points.push((size, lab.time(&build)?.1 / 1e3));
        cached.points.push((size, lab.median(3, &build)? / 1e3));
        fs::write(context.join("files/0/0"), "changed")?;
        changed.points.push((size, lab.time(&build)?.1 / 1e3));
        fs::remove_dir_all(&context)?;
    }
    Ok(vec![cold, cached, changed])
}

fn write_files(context: &Path, count: u32) -> Result<()> {
    for number in 0..count {
        let directory = context.join(format!("files/{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join((number % 100).to_string()), format!("{number:0200}"))?;
    }
    fs::write(context.join("Dockerfile"), format!("FROM {IMAGE}\nCOPY files /files\n"))?;
    Ok(())
}

/// A project of so many services: up, up with nothing to do, and down.
pub(super) fn services(lab: &Lab, sizes: &[u32], bar: &ProgressBar) -> Result<Vec<Series>> {
    const OF: &str = "services";
    let mut up = Series::new("`compose up -d`, s", OF);
    let mut again = Series::new("`compose up -d` with nothing to do, s", OF);
    let mut down = Series::new("`compose down`, s", OF);
    for &size in sizes {
        bar.set_message(format!("{size} {OF}"));
        let mut text = "services:\n".to_owned();
        for number in 0..size {
            writeln!(text, "  s{number}: {{image: {IMAGE}, command: sleep 100000, stop_signal: KILL}}")?;
        }
        let file = lab.path(&format!("{size}.yaml"));
        fs::write(&file, text)?;
        let file = file.to_string_lossy().into_owned();
        let compose = |words: &[&str]| lab.time(&[&["compose", "-p", "growth", "-f", &file], words].concat());
        up.points.push((size, compose(&["up", "-d"])?.1 / 1e3));
        again.points.push((size, compose(&["up", "-d"])?.1 / 1e3));
        down.points.push((size, compose(&["down"])?.1 / 1e3));
    }
    Ok(vec![up, again, down])
}
