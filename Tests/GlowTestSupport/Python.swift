import Foundation

/// The Python interpreter of the search path, where there is one.
public enum Python {
  /// Whether there is an interpreter that has these modules.
  public static func has(_ modules: String) -> Bool { (try? run("import \(modules)"))?.status == 0 }

  /// Runs a program with arguments.
  ///
  /// - Returns: what it ends with, and all that it prints.
  public static func run(_ program: String, _ arguments: String...) throws -> (status: Int32, output: String)
  {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}
