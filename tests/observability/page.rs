//! The status page can be read in light and in dark: each colour of a text has WCAG's contrast (AA) on each background.

use std::collections::BTreeMap;

#[test]
fn every_text_of_the_page_has_enough_contrast_in_light_and_dark() {
    let css = include_str!("../../src/report/page.css");
    let palettes: Vec<BTreeMap<&str, f64>> = css.split(":root{").skip(1).map(palette).collect();
    assert_eq!(palettes.len(), 2, "light and dark");
    for palette in palettes {
        for text in ["fg", "dim", "ok", "bad", "warn", "run"] {
            for background in ["bg", "card"] {
                let (one, other) = (palette[text] + 0.05, palette[background] + 0.05);
                let contrast = (one / other).max(other / one);
                assert!(contrast >= 4.5, "--{text} on --{background}: {contrast:.1}");
            }
        }
    }
}

/// The luminance of each colour that a rule declares.
fn palette(css: &str) -> BTreeMap<&str, f64> {
    let declarations = css.split('}').next().unwrap().split(';');
    let colours = declarations.filter_map(|line| line.strip_prefix("--")?.split_once(":#"));
    colours.map(|(name, colour)| (name, luminance(colour))).collect()
}

fn luminance(colour: &str) -> f64 {
    let digits: String = match colour.len() {
        3 => colour.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => colour.to_owned(),
    };
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}
