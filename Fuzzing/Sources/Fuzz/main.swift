import CFuzzer
import Foundation

@testable import GlowFiles

// fuzz list                      names of the targets
// fuzz seeds FOLDER              writes valid files, FOLDER/TARGET/NUMBER
// fuzz TARGET [libFuzzer's options and folders]

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "list":
  for target in targets { print(target.name) }
case "seeds" where arguments.count == 2:
  for target in targets {
    let folder = "\(arguments[1])/\(target.name)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (number, seed) in try target.seeds().enumerated() {
      try AtomicFile.write(seed, to: "\(folder)/\(number)")
    }
  }
case let name?:
  guard let target = targets.first(where: { $0.name == name }) else {
    fatalError("there is no target \(name)")
  }
  exit(fuzz(target, options: Array(arguments.dropFirst())))
case nil:
  fatalError("which target?")
}
