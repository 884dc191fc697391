//! Sets `cfg`s for the APIs that are compiled in, by their own feature or by `gpu` on a suitable platform.

fn main() {
    let on = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let apple = std::env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple");
    println!("cargo::rustc-check-cfg=cfg(gpu, vulkan, metal)");
    if ["WGPU", "CUDA"].into_iter().any(on) {
        println!("cargo::rustc-cfg=gpu");
    }
    if on("VULKAN") || (on("GPU") && !apple) {
        println!("cargo::rustc-cfg=vulkan");
    }
    if on("METAL") || (on("GPU") && apple) {
        println!("cargo::rustc-cfg=metal");
    }
}
