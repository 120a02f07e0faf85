/// This version of the package.
public enum Release {
  /// What `glow --version`, model files, checkpoints, manual pages and packages say.
  public static let version = "0.3.0"
}
