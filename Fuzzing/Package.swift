// swift-tools-version: 6.0
import PackageDescription

// Fuzz targets for everything that reads a file. A package of its own, because it needs libFuzzer and other compiler
// options: `make fuzz` passes them.
let package = Package(
  name: "glow-fuzzing",
  dependencies: [.package(name: "glow", path: "..")],
  targets: [
    .systemLibrary(name: "CFuzzer", path: "Modules/CFuzzer"),
    .executableTarget(
      name: "Fuzz", dependencies: ["CFuzzer", .product(name: "Glow", package: "glow")]),
  ],
  swiftLanguageModes: [.v6]
)
