//! What reading, unpacking, hashing and the keys of a build's cache take, without a container: `cargo bench -p benches --bench data`, as root.
//!
//! Beside what the engine does stands what the machine can do at most with the same bytes: a copy in memory.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    io::{Cursor, Read, Write},
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};
use mini_docker::{
    compose::project,
    engine::{
        Engine,
        build::{
            self,
            context::Context,
            dockerfile::{Dockerfile, Ignore},
        },
        digest::Digest,
        reference::Reference,
    },
};
use rootfs::{Decompressed, Options, pack, unpack_tar};

/// Bytes that compress as programs do, to a third or so: the same on every machine.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<[u8; 8]> = (0..4096).map(|_| next().to_le_bytes()).collect();
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend(words[next() as usize % words.len()]);
        bytes.push(next() as u8);
    }
    bytes.truncate(count);
    bytes
}

/// An archive of so many files of that size, a hundred a directory.
fn archive(files: usize, size: usize) -> Vec<u8> {
    let content = bytes(size);
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..files {
        if number % 100 == 0 {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, format!("{}/", number / 100), &[][..]).expect("an entry");
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size as u64);
        archive.append_data(&mut header, format!("{}/{number}", number / 100), &content[..]).expect("an entry");
    }
    archive.into_inner().expect("an archive")
}

/// In memory where there is a place: the disk's speed is not ours.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a directory")
}

fn archives(c: &mut Criterion) {
    let mut group = c.benchmark_group("archive");
    group.sample_size(20);
    for (name, files, size) in [("2,000 files of 4 KiB", 2000, 4 << 10), ("16 files of 1 MiB", 16, 1 << 20)] {
        let archive = archive(files, size);
        group.throughput(Throughput::Bytes(archive.len() as u64));
        group.bench_function(format!("unpack {name}"), |b| {
            b.iter_batched(
                directory,
                |directory| {
                    let target = fs::File::open(directory.path()).expect("a directory");
                    unpack_tar(Cursor::new(&archive), target.as_fd(), &Options::default()).expect("unpacked");
                    directory
                },
                BatchSize::PerIteration,
            );
        });
        let directory = directory();
        let target = fs::File::open(directory.path()).expect("a directory");
        unpack_tar(Cursor::new(&archive), target.as_fd(), &Options::default()).expect("unpacked");
        group.bench_function(format!("pack {name}"), |b| {
            b.iter(|| pack(target.as_fd(), std::io::sink(), &Options::default()).expect("packed"));
        });
    }
    group.finish();
}

fn streams(c: &mut Criterion) {
    const COUNT: usize = 16 << 20;
    let plain = bytes(COUNT);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&plain).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::encode_all(&plain[..], 0).expect("memory");
    let mut group = c.benchmark_group("16 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(COUNT as u64));
    let mut copy = vec![0; COUNT];
    group
        .bench_function("copied in memory", |b| b.iter(|| black_box(&mut copy[..]).copy_from_slice(black_box(&plain))));
    group.bench_function("SHA-256", |b| b.iter(|| Digest::of(black_box(&plain))));
    let read = |compressed: &[u8]| {
        let mut reader: Decompressed<_> = rootfs::decompress(compressed).expect("a stream");
        let mut buffer = vec![0; 64 << 10];
        let mut sum = 0;
        while let count @ 1.. = reader.read(&mut buffer).expect("a stream") {
            sum += count;
        }
        assert_eq!(sum, COUNT);
    };
    group.bench_function("out of gzip", |b| b.iter(|| read(&gzip)));
    group.bench_function("out of zstd", |b| b.iter(|| read(&zstd)));
    group.finish();
}

fn languages(c: &mut Criterion) {
    let stage = |number: usize| {
        format!(
            "FROM ${{BASE:-alpine}}:12 AS stage-{number}\nENV PATH=/opt/{number}/bin:$PATH LANG=C.UTF-8\n\
             RUN --mount=type=cache,target=/var/cache/apt apt-get update && \\\n    apt-get install -y python3\n\
             COPY --chown=1000:1000 --exclude=*.o src/ lib/ /srv/\nRUN <<END\nset -e\nmake install\nEND\n"
        )
    };
    let head = "# syntax=docker/dockerfile:1\nARG BASE=debian\n";
    let dockerfile = head.to_owned() + &(0..20).map(stage).collect::<String>();
    let service = |number: usize| {
        format!(
            "  web-{number}:\n    image: \"nginx:${{TAG:-1.25}}\"\n    ports: [\"{}:80\"]\n    \
             environment: {{LEVEL: info, NAME: web}}\n    healthcheck: {{test: [CMD, \"true\"], interval: 5s}}\n    \
             deploy: {{resources: {{limits: {{memory: 64M, cpus: '0.5'}}}}}}\n",
            8000 + number
        )
    };
    let services = "services:\n".to_owned() + &(0..100).map(service).collect::<String>();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("compose.yaml");
    fs::write(&file, services).expect("a file");
    let options = project::Options { files: vec![file], ..project::Options::default() };
    let patterns = "*.o\ntarget\n**/node_modules\n!keep.o\ndocs/**/*.md\n.git\n";
    let mut group = c.benchmark_group("read");
    group.bench_function("a Dockerfile of twenty stages", |b| {
        b.iter(|| Dockerfile::parse(black_box(&dockerfile)).expect("a Dockerfile"));
    });
    group.bench_function("a compose file of a hundred services", |b| {
        b.iter(|| project::Project::load(black_box(&options)).expect("a project"));
    });
    group.bench_function("a reference", |b| {
        b.iter(|| Reference::parse(black_box("registry.example.org:5000/team/app:v1.2.3")).expect("a reference"));
    });
    let ignore = Ignore::parse(patterns).expect("patterns");
    group.bench_function("whether a path is ignored", |b| b.iter(|| ignore.excludes(black_box("src/a/b/c/main.rs"))));
    group.finish();
}

/// A build of nothing but what was built before: its keys are made of all that could change.
fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("cache");
    group.sample_size(20);
    for files in [10, 1000] {
        let (store, context) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let engine = Engine::open(&store.path().join("root"), &store.path().join("run")).expect("a store");
        let target = fs::File::open(context.path()).expect("a directory");
        unpack_tar(Cursor::new(&archive(files, 4 << 10)), target.as_fd(), &Options::default()).expect("unpacked");
        let request = || build::Request {
            dockerfile: "FROM scratch\nCOPY . /\n".to_owned(),
            context: Context::new(context.path(), "").expect("a context"),
            target: None,
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            no_cache: false,
            no_cache_of: Vec::new(),
            environs: build::Environs::default(),
            record: false,
            inline_cache: false,
            keep_steps: false,
            ticks: false,
            debug: false,
            pull: build::Pull { get: Box::new(|name| panic!("{name} is no image of this build")), always: false },
            contexts: BTreeMap::new(),
            agents: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        let built = || engine.build(&request(), &mut |_| {}).map(|(image, _)| image.id).expect("an image");
        let id = built();
        group.bench_function(format!("a COPY of {files} files that has not changed"), |b| {
            b.iter(|| assert_eq!(built(), id));
        });
    }
    group.finish();
}

criterion_group! {
    name = data;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = archives, streams, languages, keys
}
criterion_main!(data);
