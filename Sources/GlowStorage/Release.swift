/// This version of the package.
package enum Release {
  /// What `glow --version`, model files, checkpoints, manual pages and packages say.
  package static let version = "0.3.0"
}
