import Foundation
import Glibc

/// Where the command stands, and what stands beside it.
enum Installation {
  /// The path of the running program.
  static var executable: String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  }

  /// Has fontconfig take the font that a relocatable package brings with it, for machines that have none. To be called before
  /// anything is drawn.
  static func useOwnFont() {
    guard getenv("FONTCONFIG_FILE") == nil, let executable,
      case let prefix = URL(filePath: executable).deletingLastPathComponent().deletingLastPathComponent().path,
      case let file = "\(prefix)/share/glow/fonts.conf", access(file, R_OK) == 0
    else { return }
    setenv("FONTCONFIG_FILE", file, 1)
  }
}
