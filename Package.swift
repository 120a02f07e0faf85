// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "glow",
  products: [
    .executable(name: "glow", targets: ["GlowCommand"]),
    .library(name: "Glow", targets: ["Glow"]),
    // Apart, so that who draws no charts links no cairo.
    .library(name: "GlowPlots", targets: ["GlowPlots"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // Installed C libraries, named by their pkg-config file and Debian package.
    .systemLibrary(
      name: "COpenBLAS", path: "Modules/COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "CPNG", path: "Modules/CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(
      name: "CJPEG", path: "Modules/CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
    .systemLibrary(
      name: "CWebP", path: "Modules/CWebP", pkgConfig: "libwebp", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(
      name: "CZlib", path: "Modules/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
      name: "CCairo", path: "Modules/CCairo", pkgConfig: "cairo", providers: [.apt(["libcairo2-dev"])]),
    // Only its header, where there is one: the library is loaded when it is needed.
    .systemLibrary(name: "CMPI", path: "Modules/CMPI", providers: [.apt(["libopenmpi-dev"])]),

    // A target names every module that it imports, not only those that no other brings along: what is not named is not
    // compiled again when that module changes, and then reads its values at places where they no longer are.
    .target(name: "GlowFiles"),
    // The packed products, whose vectors of registers only C names.
    .target(name: "CGlowKernels"),
    .target(name: "GlowKernels", dependencies: ["CGlowKernels", "COpenBLAS"]),
    .target(name: "GlowFlow", dependencies: ["GlowKernels"]),
    // MPI's constants are macros with casts, which only C has.
    .target(name: "CRanks", dependencies: ["CMPI"]),
    .target(name: "GlowRanks", dependencies: ["CRanks", "GlowKernels"]),
    // libpng and libjpeg report errors by longjmp, which must never cross Swift: the calls stand in C.
    .target(name: "CPNGCodec", dependencies: ["CPNG"]),
    .target(name: "CJPEGCodec", dependencies: ["CJPEG"]),
    .target(
      name: "GlowImages",
      dependencies: ["GlowFiles", "GlowKernels", "CPNGCodec", "CJPEGCodec", "CWebP", "CZlib"]),
    .target(name: "GlowPlots", dependencies: ["GlowImages", "CCairo"]),
    .target(name: "GlowStorage", dependencies: ["GlowFiles", "GlowKernels", "GlowFlow", "CZlib"]),
    .target(
      name: "GlowTraining",
      dependencies: ["GlowFiles", "GlowKernels", "GlowFlow", "GlowStorage", "GlowImages", "GlowRanks"]),
    .target(
      name: "GlowLatents",
      dependencies: ["GlowFiles", "GlowKernels", "GlowFlow", "GlowImages", "GlowTraining"]),
    // What a program that uses this package sees of it.
    .target(
      name: "Glow",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowStorage", "GlowImages", "GlowTraining", "GlowLatents",
      ]),
    .executableTarget(
      name: "GlowCommand",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowRanks", "GlowStorage", "GlowImages", "GlowTraining",
        "GlowLatents", "GlowPlots", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // Not part of the product: measures that stand in docs/gallery.md.
    .executableTarget(
      name: "AttributeStudy",
      dependencies: [
        "GlowKernels", "GlowFlow", "GlowStorage", "GlowImages", "GlowTraining", "GlowLatents", "GlowPlots",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .target(name: "GlowTestSupport", dependencies: ["GlowFiles", "GlowFlow"], path: "Tests/GlowTestSupport"),
    // What GoldenTests runs.
    .executableTarget(
      name: "GoldenList",
      dependencies: ["GlowKernels", "GlowFlow", "GlowStorage", "GlowImages", "GlowTraining", "COpenBLAS"],
      path: "Tests/GoldenList"),
    .testTarget(name: "GlowTestSupportTests", dependencies: ["GlowTestSupport"]),
    .testTarget(name: "GlowFilesTests", dependencies: ["GlowFiles"]),
    .testTarget(name: "GlowKernelsTests", dependencies: ["CGlowKernels", "GlowKernels", "GlowTestSupport"]),
    .testTarget(name: "GlowFlowTests", dependencies: ["GlowKernels", "GlowFlow", "GlowTestSupport"]),
    .testTarget(
      name: "GlowImagesTests",
      dependencies: ["GlowFiles", "GlowKernels", "GlowImages", "CZlib", "GlowTestSupport"]),
    .testTarget(name: "GlowPlotsTests", dependencies: ["GlowImages", "GlowPlots"]),
    .testTarget(
      name: "GlowStorageTests",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowStorage", "GlowTraining", "GlowTestSupport",
      ],
      resources: [.copy("Fixtures")]),
    .testTarget(
      name: "GlowTrainingTests",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowRanks", "GlowStorage", "GlowImages", "GlowTraining",
        "GlowTestSupport",
      ],
      resources: [.copy("Fixtures")]),
    .testTarget(name: "GlowTests", dependencies: ["Glow"]),
    .testTarget(
      name: "GlowLatentsTests",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowImages", "GlowTraining", "GlowLatents",
        "GlowTestSupport",
      ]),
    .testTarget(
      name: "GlowCommandTests",
      dependencies: [
        "GlowFiles", "GlowKernels", "GlowFlow", "GlowStorage", "GlowImages", "GlowTraining", "GlowLatents",
        "GlowPlots", "GlowCommand", "GlowTestSupport",
      ]),
    .testTarget(name: "GoldenTests", dependencies: ["GoldenList", "GlowTestSupport"], exclude: ["Lists"]),
  ],
  swiftLanguageModes: [.v6]
)
