//! Checks the promises of a scene on many seeds.

use cam_scenes::{Class, Error, MAX_OBJECTS, MAX_SIDE, MIN_SIDE, Mask, Scene};
use image::RgbImage;

fn scene(seed: u64, side: u32) -> Scene {
    Scene::draw(seed, side).expect("a scene")
}

/// The mean over all channels of each of 8 by 8 fields of the image, row by row.
fn coarse(image: &RgbImage) -> Vec<u8> {
    let field = image.width() / 8;
    (0..64)
        .map(|at| {
            let (left, top) = (at % 8 * field, at / 8 * field);
            let mut sum = 0;
            for (x, y) in (0..field).flat_map(|y| (0..field).map(move |x| (left + x, top + y))) {
                sum += image.get_pixel(x, y).0.iter().map(|&level| u32::from(level)).sum::<u32>();
            }
            (sum / (3 * field * field)) as u8
        })
        .collect()
}

/// Resizes a mask to `side` pixels: each pixel is that of `mask` at its center.
fn resized(mask: &Mask, side: u32) -> Mask {
    let at = |place: u32| (2 * place + 1) * mask.width() / (2 * side);
    Mask::from_fn(side, side, |x, y| mask.contains(at(x), at(y)))
}

#[test]
fn the_same_seed_gives_the_same_scene_on_every_thread() {
    let here = scene(11, 96);
    let there: Vec<_> = (0..3).map(|_| std::thread::spawn(|| scene(11, 96))).collect();
    for other in there {
        assert_eq!(other.join().expect("a scene"), here);
    }
}

#[test]
fn different_seeds_give_different_images() {
    let images: Vec<_> = (0..60).map(|seed| scene(seed, 32).image).collect();
    for (at, image) in images.iter().enumerate() {
        assert!(!images[..at].contains(image), "seed {at} repeats an earlier image");
    }
    assert_ne!(scene(1, 32).image, scene(1 << 40 | 1, 32).image, "all bits of the seed count");
}

/// Seed, classes, area of each mask, and the coarse image in hexadecimal, all at 64 pixels.
const STORED: [(u64, &str, &[usize], &str); 4] = [
    (
        0,
        "football pizza",
        &[394, 241],
        "e3e4e0dbe49c624ae3e6e4e4e0e6846de3e2dde3bbb5c2d3e4dfddd6a5a57ee7e4dee0dba8ad76d4e4e4bea1dab4daebe7aa74b1d7ddedecde8a87bee8e3ebeb",
    ),
    (
        1,
        "watermelon football fish",
        &[157, 365, 86],
        "bbbdbdbebe9897bdb4b7aaa7bba49dc1b2ae947bb8a0bdc4a9a2a292aa9dadb49a8084a7a7a699b2977194a2a784a6b9b5a9afc4a6998788b2aaacb3bd9595a5",
    ),
    (
        77,
        "ladybird pizza",
        &[341, 243],
        "5f5c576867838882a1554d618999928a5e784c8897928da29084898b7a719aa76a7082776475a59c5f7076616c90919165686a647d8293996a62666d7c7f9ca2",
    ),
    (
        u64::MAX,
        "butterfly flower",
        &[343, 363],
        "ccd4d6cedae5dcd1c0c8c5c4d3c5c5ceb8c7ced0d69e8f9dacc6bcc9cfa08f79c8c17d759c6f5b9fce96676bca9f8ab7a8c3938cd9c9c7c9a2d8c7ced6b6d3d4",
    ),
];

#[test]
fn the_scenes_of_stored_seeds_never_change() {
    for (seed, classes, areas, image) in STORED {
        let scene = scene(seed, 64);
        let names: Vec<_> = scene.objects.iter().map(|object| object.class.name()).collect();
        assert_eq!(names.join(" "), classes, "the classes of seed {seed}");
        for (object, &area) in scene.objects.iter().zip(areas) {
            assert!(object.mask.area().abs_diff(area) <= 3, "{}: {}", object.class, object.mask.area());
        }
        // Another CPU may round a few pixels differently; another scene differs by far more.
        for (at, level) in coarse(&scene.image).into_iter().enumerate() {
            let stored = u8::from_str_radix(&image[2 * at..2 * at + 2], 16).expect("hexadecimal");
            assert!(level.abs_diff(stored) <= 2, "seed {seed}, field {at}: {level}, stored {stored}");
        }
    }
}

/// For each class alone at 192 pixels, over seeds 0 to 4: the sum of its masks' areas, and the mean red,
/// green and blue on them.
const STORED_CLASSES: [(usize, [usize; 3]); 10] = [
    (10722, [132, 73, 44]),
    (10758, [182, 110, 120]),
    (7887, [164, 122, 105]),
    (6547, [154, 119, 78]),
    (10921, [166, 148, 140]),
    (11960, [199, 111, 99]),
    (6378, [148, 129, 124]),
    (9412, [101, 102, 92]),
    (14114, [145, 147, 141]),
    (7517, [182, 129, 69]),
];

#[test]
fn the_drawing_of_each_class_never_changes() {
    for (class, (area, color)) in Class::ALL.into_iter().zip(STORED_CLASSES) {
        let (mut pixels, mut sums) = (0, [0; 3]);
        for scene in (0..5).map(|seed| Scene::with_classes(seed, 192, &[class]).expect("a scene")) {
            let mask = scene.objects[0].mask.as_slice();
            for (pixel, _) in scene.image.pixels().zip(mask).filter(|&(_, &inside)| inside) {
                pixels += 1;
                sums.iter_mut().zip(pixel.0).for_each(|(sum, level)| *sum += usize::from(level));
            }
        }
        let means = sums.map(|sum| sum / pixels);
        assert!(pixels.abs_diff(area) <= 20, "{class}: {pixels} pixels, stored {area}");
        let close = means.iter().zip(color).all(|(mean, stored)| mean.abs_diff(stored) <= 1);
        assert!(close, "{class}: {means:?}, stored {color:?}");
    }
}

/// Every fourth pixel of the diagonal of the background of seed 5 at 128 pixels, its green.
const STORED_PIXELS: [u8; 32] = [
    176, 186, 185, 175, 177, 182, 180, 187, 187, 200, 198, 189, 157, 159, 157, 158, 142, 158, 174, 175, 163,
    159, 197, 194, 184, 188, 67, 109, 184, 182, 180, 169,
];

#[test]
fn the_grain_of_a_stored_background_never_changes() {
    let image = Scene::background(5, 128).expect("a background");
    let levels = (0..32).map(|at| image.get_pixel(4 * at, 4 * at).0[1]);
    let off: u32 = levels.zip(STORED_PIXELS).map(|(level, stored)| u32::from(level.abs_diff(stored))).sum();
    assert!(off <= 32, "32 pixels are off by {off} levels in all");
}

#[test]
fn a_scene_is_the_same_at_two_sides() {
    for seed in 0..24 {
        let (small, large) = (scene(seed, 128), scene(seed, 448));
        assert_eq!(small.objects.len(), large.objects.len());
        for (a, b) in small.objects.iter().zip(&large.objects) {
            assert_eq!(a.class, b.class);
            let iou = a.mask.iou(&resized(&b.mask, 128));
            assert!(iou > 0.9, "seed {seed}, {}: {iou}", a.class);
            assert!((a.visible - b.visible).abs() < 0.03, "seed {seed}: {} and {}", a.visible, b.visible);
        }
        let fields = coarse(&small.image).into_iter().zip(coarse(&large.image));
        for (a, b) in fields {
            assert!(a.abs_diff(b) <= 6, "seed {seed}: a field of {a} became {b}");
        }
    }
}

#[test]
fn masks_are_disjoint_and_objects_are_mostly_visible() {
    for seed in 0..400 {
        let scene = scene(seed, 64);
        let mut seen = vec![0_u8; 64 * 64];
        for object in &scene.objects {
            let what = format!("seed {seed}, {}", object.class);
            assert!((0.7..=1.0).contains(&object.visible), "{what}: {} is seen", object.visible);
            let share = object.mask.fraction();
            assert!((0.01..0.14).contains(&share), "{what}: {share} of the image");
            for (seen, &inside) in seen.iter_mut().zip(object.mask.as_slice()) {
                *seen += u8::from(inside);
            }
        }
        assert!(seen.iter().all(|&masks| masks <= 1), "seed {seed}: two masks share a pixel");
    }
}

#[test]
fn the_size_of_objects_is_between_a_fifth_and_half_of_the_side() {
    for (seed, class) in (0..20).flat_map(|seed| Class::ALL.map(|class| (seed, class))) {
        let scene = Scene::with_classes(seed, 128, &[class]).expect("a scene");
        let [left, top, right, bottom] = scene.objects[0].mask.bounds().expect("an object");
        let across = (right - left).max(bottom - top) as f32 / 128.0;
        assert!((0.18..0.44).contains(&across), "{class} of seed {seed} is {across} across");
    }
}

#[test]
fn the_image_differs_from_its_background_only_at_and_near_objects() {
    for seed in 0..40 {
        let scene = scene(seed, 96);
        let behind = Scene::background(seed, 96).expect("a background");
        let differs = |x, y| {
            let (a, b) = (scene.image.get_pixel(x, y).0, behind.get_pixel(x, y).0);
            a.iter().zip(b).map(|(&a, b)| u32::from(a.abs_diff(b))).sum::<u32>()
        };
        for object in &scene.objects {
            let inside: Vec<_> = (0..96)
                .flat_map(|y| (0..96).map(move |x| (x, y)))
                .filter(|&(x, y)| object.mask.contains(x, y))
                .collect();
            let changed = inside.iter().filter(|&&(x, y)| differs(x, y) > 24).count();
            let share = changed as f32 / inside.len() as f32;
            assert!(share > 0.75, "seed {seed}, {}: {share} of its pixels changed", object.class);
        }
        // Away from all shadows the image equals its background.
        let near = |x: u32, y: u32| {
            let around = |at: u32| (at.saturating_sub(6)..=at + 6).collect::<Vec<_>>();
            let (columns, rows) = (around(x), around(y));
            rows.iter().any(|&y| columns.iter().any(|&x| scene.objects.iter().any(|o| o.mask.contains(x, y))))
        };
        for (x, y) in (0..96).step_by(7).flat_map(|y| (0..96).step_by(5).map(move |x| (x, y))) {
            assert!(near(x, y) || differs(x, y) == 0, "seed {seed}: ({x}, {y}) changed");
        }
    }
}

#[test]
fn all_classes_are_about_equally_frequent() {
    let mut counts = [0_usize; Class::ALL.len()];
    let mut sizes = [0_usize; 4];
    for seed in 0..1000 {
        let scene = scene(seed, MIN_SIDE);
        sizes[scene.objects.len()] += 1;
        let labels = scene.labels();
        assert_eq!(labels.iter().filter(|&&label| label).count(), scene.objects.len(), "classes differ");
        counts.iter_mut().zip(labels).for_each(|(count, label)| *count += usize::from(label));
    }
    let mean = counts.iter().sum::<usize>() as f32 / counts.len() as f32;
    for (class, count) in Class::ALL.into_iter().zip(counts) {
        assert!((0.8..1.2).contains(&(count as f32 / mean)), "{class}: {count} of a mean {mean}");
    }
    assert!(
        sizes[0] == 0 && sizes[1] > 50 && sizes[1] < 200 && sizes[2] > 300 && sizes[3] > 300,
        "{sizes:?}"
    );
}

#[test]
fn a_side_out_of_range_is_an_error_and_the_minimum_side_is_a_scene() {
    for side in [0, 1, MIN_SIDE - 1, MAX_SIDE + 1, 100_000, u32::MAX] {
        assert_eq!(Scene::draw(1, side), Err(Error::Side { side }));
        assert_eq!(Scene::background(1, side), Err(Error::Side { side }));
    }
    for seed in 0..300 {
        let scene = scene(seed, MIN_SIDE);
        assert_eq!(scene.image.dimensions(), (MIN_SIDE, MIN_SIDE));
        assert!(scene.objects.iter().all(|object| object.mask.area() > 0), "seed {seed}");
    }
}

#[test]
fn no_class_and_too_many_classes_are_errors_but_repeats_are_allowed() {
    assert_eq!(Scene::with_classes(1, 64, &[]), Err(Error::Objects { count: 0 }));
    assert_eq!(Scene::with_classes(1, 64, &Class::ALL), Err(Error::Objects { count: 10 }));
    let twins = Scene::with_classes(1, 64, &[Class::Fish; MAX_OBJECTS]).expect("four fish");
    let total: usize = twins.objects.iter().map(|object| object.mask.area()).sum();
    assert_eq!(twins.mask_of(Class::Fish).area(), total);
    assert_eq!(twins.mask_of(Class::Clock).area(), 0);
}

#[test]
fn given_classes_are_drawn_on_the_background_of_the_seed() {
    for seed in 0..50 {
        let [fish, clock] = [Class::Fish, Class::Clock]
            .map(|class| Scene::with_classes(seed, 64, &[class]).expect("a scene"));
        let boxes = [&fish, &clock].map(|scene| scene.objects[0].mask.bounds().expect("an object"));
        let far = |x, y| boxes.iter().all(|bounds| !near_bounds(bounds, x, y));
        for (x, y) in (0..64).flat_map(|y| (0..64).map(move |x| (x, y))).filter(|&(x, y)| far(x, y)) {
            assert_eq!(fish.image.get_pixel(x, y), clock.image.get_pixel(x, y), "seed {seed}");
        }
    }
}

/// Reports whether a pixel is in the box, or near enough for the shadow of an object in it.
fn near_bounds(&[left, top, right, bottom]: &[u32; 4], x: u32, y: u32) -> bool {
    (left.saturating_sub(6)..right + 6).contains(&x) && (top.saturating_sub(6)..bottom + 6).contains(&y)
}
