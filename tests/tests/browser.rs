//! The built book, as a reader's browser shows it: `make test-book-browser`. With `SCREENSHOTS=DIRECTORY` each page is
//! photographed too, in both themes, on a telephone and on a desk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tests::{browser::Browser, transcript::WORKSPACE};

const THEMES: [&str; 2] = ["light", "navy"];
/// Widths of windows, in pixels.
const TELEPHONE: u32 = 390;
const DESK: u32 = 1200;
const WINDOWS: [(u32, u32); 2] = [(DESK, 900), (TELEPHONE, 844)];

/// What is wrong with the page's width, and the pictures that do not show.
const LOOK: &str = r#"(() => {
    const wrong = [];
    const page = document.scrollingElement;
    if (page.scrollWidth > innerWidth) wrong.push(`it is ${page.scrollWidth} pixels wide`);
    for (const picture of document.querySelectorAll("main img:not(.img-wrapper img)")) {
        const place = picture.getBoundingClientRect();
        const shows = picture.complete && picture.naturalWidth > 0 && place.width > 100 && place.height > 50;
        if (!shows) wrong.push(`the picture ${picture.src} does not show`);
        if (place.right > innerWidth) wrong.push(`the picture ${picture.src} ends outside`);
    }
    return wrong;
})()"#;

/// Where the pictures are, without their round corners.
const PICTURES: &str = r#"[...document.querySelectorAll("main img:not(.img-wrapper img)")].map(picture => {
    const place = picture.getBoundingClientRect();
    return [place.x + scrollX + 10, place.y + scrollY + 10, Math.max(place.width - 20, 1), Math.max(place.height - 20, 1)];
})"#;

fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(directory).expect("the built book: make book").map(|entry| entry.unwrap().path()) {
        // The table of contents is a part of the others, and print.html all of them.
        let is_part = ["toc.html", "print.html"].iter().any(|name| path.ends_with(name));
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "html") && !is_part {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn photograph(browser: &mut Browser, name: &str) {
    let Some(directory) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("{name}.png")), browser.picture(None)).unwrap();
}

#[test]
#[ignore = "needs chromium and the built book: make test-book-browser"]
fn every_page_shows_in_both_themes_and_on_a_telephone() {
    let book = fs::canonicalize(Path::new(WORKSPACE).join("target/book")).expect("the built book: make book");
    let pages = pages(&book);
    assert!(pages.len() > 30, "{pages:?}");
    let mut browser = Browser::start();
    let (mut wrong, mut pictures) = (Vec::new(), 0);
    for page in &pages {
        let name = page.strip_prefix(&book).unwrap().display().to_string();
        let mut seen = Vec::new();
        for (theme, (width, height)) in THEMES.iter().flat_map(|theme| WINDOWS.map(|window| (theme, window))) {
            let at = format!("{name}, {theme}, {width} pixels");
            browser.resize(width, height);
            remember(&mut browser, page, theme);
            let complaints = browser.load(&format!("file://{}", page.display()));
            wrong.extend(complaints.iter().map(|complaint| format!("{at}: {complaint}")));
            let shown = browser.run("document.documentElement.className");
            assert!(shown.as_str().unwrap_or_default().contains(theme), "{at}: the theme is {shown}");
            let found = browser.run(LOOK);
            wrong.extend(found.as_array().unwrap().iter().map(|what| format!("{at}: {what}")));
            photograph(&mut browser, &format!("{}.{theme}.{width}", name.replace('/', "_")));
            if width == DESK {
                let places: Vec<[f64; 4]> = serde_json::from_value(browser.run(PICTURES)).unwrap();
                seen.push(places.into_iter().map(|place| browser.picture(Some(place))).collect::<Vec<_>>());
            }
        }
        pictures += seen[0].len();
        if seen[0] != seen[1] || seen[0].iter().any(|picture| picture.len() < 1000) {
            wrong.push(format!("{name}: a picture is empty, or another in the dark"));
        }
    }
    assert!(pictures > 30, "{pictures} pictures");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Sets the theme, as a reader would, in the browser's memory, which belongs to pages: those from files share it.
fn remember(browser: &mut Browser, page: &Path, theme: &str) {
    if browser.run("location.protocol") != "file:" {
        browser.load(&format!("file://{}", page.display()));
    }
    // And what was open on a larger window is not on this one.
    browser
        .run(&format!("localStorage.clear(); sessionStorage.clear(); localStorage.setItem('mdbook-theme', '{theme}')"));
}

#[test]
#[ignore = "needs chromium and the built book: make test-book-browser"]
fn the_search_finds_pivot_root() {
    let book = fs::canonicalize(Path::new(WORKSPACE).join("target/book")).expect("the built book: make book");
    let mut browser = Browser::start();
    let complaints = browser.load(&format!("file://{}/introduction.html?search=pivot_root", book.display()));
    assert!(complaints.is_empty(), "{complaints:?}");
    let results = browser.run(
        r##"new Promise(done => {
            const look = () => {
                const links = [...document.querySelectorAll("#mdbook-searchresults a")].map(link => link.getAttribute("href"));
                if (links.length) done(links); else setTimeout(look, 50);
            };
            look();
        })"##,
    );
    let results = results.as_array().unwrap();
    assert!(results.iter().any(|link| link.as_str().unwrap().contains("stages/08-mount.html")), "{results:?}");
}

#[test]
#[ignore = "needs chromium and the built book: make test-book-browser"]
fn each_thing_that_can_be_wrong_is_seen() {
    let directory = tempfile::TempDir::with_prefix("page.").unwrap();
    let mut browser = Browser::start();
    browser.resize(TELEPHONE, 844);
    let mut page = |body: &str| -> String {
        let path = directory.path().join("page.html");
        fs::write(&path, format!("<!doctype html><title>x</title><main>{body}</main>")).unwrap();
        let complaints = browser.load(&format!("file://{}", path.display()));
        format!("{} {}", complaints.join(" "), browser.run(LOOK))
    };
    assert_eq!(page("<p>all is well</p>"), " []");
    for (body, problem) in [
        ("<script>nothing()</script>", "nothing is not defined"),
        ("<script src='missing.js'></script>", "ERR_FILE_NOT_FOUND"),
        ("<p><img src='missing.svg'>", "does not show"),
        ("<p style='width: 500px'>wide</p>", "508 pixels wide"),
        ("<script>console.error('oh')</script>", "oh"),
    ] {
        let found = page(body);
        assert!(found.contains(problem), "{body}: {found}");
    }
}
