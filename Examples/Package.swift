// swift-tools-version: 6.0
import PackageDescription

// Small programs that use the library: a package of its own, as that of any user. `make examples` builds and runs it.
let package = Package(
  name: "glow-examples",
  // A package elsewhere names the repository's address and a version here.
  dependencies: [.package(name: "glow", path: "..")],
  targets: ["Score", "Sample", "Train", "OwnData", "Draw"].map {
    .executableTarget(
      name: $0,
      dependencies: [.product(name: "Glow", package: "glow")]
        + ($0 == "Draw" ? [.product(name: "GlowPlots", package: "glow")] : []),
      // What `import Glow` gives must be enough.
      swiftSettings: [.enableUpcomingFeature("MemberImportVisibility")])
  },
  swiftLanguageModes: [.v6]
)
