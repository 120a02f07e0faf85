import Foundation
import GlowTestSupport
import Testing

/// The estimate beside what a process really takes.
extension CommandTests {
  @Test(
    "a larger model and batch take as much more memory as the estimate says",
    .unsanitized("a sanitizer's memory counts too"),
    arguments: [["--activations", "keep"], ["--activations", "recompute", "--no-guards"]])
  func estimate(options: [String]) throws {
    defer { clean() }
    /// Megabytes that a run estimates, and those that were resident when it took most.
    func memory(_ name: String, _ size: [String]) throws -> (estimated: Double, taken: Double) {
      let training = try ChildProcess(
        ChildProcess.glow,
        [
          "train", "--data", "faces", "--limit", "64", "--out", name, "--steps", "1000000", "--log-every",
          "1", "--eval-every", "0", "--sample-every", "1", "--checkpoint-every", "0",
          "--init-images", "4", "--threads", "1", "--levels", "2",
        ] + options + size, in: root)
      #expect(training.waits(for: "step 2/"), "\(training.error)")
      let status = try String(contentsOfFile: "/proc/\(training.identifier)/status", encoding: .utf8)
      training.send(SIGKILL)
      training.end()
      func number(after text: String, in whole: String) throws -> Double {
        let start = try #require(whole.range(of: text)).upperBound
        return try #require(Double(whole[start...].drop { $0.isWhitespace }.prefix { $0.isNumber }))
      }
      return (
        try number(after: "memory: about ", in: training.error),
        try number(after: "VmHWM:", in: status) * 1024 / 1e6
      )
    }
    let small = try memory("small", ["--depth", "1", "--width", "8", "--batch", "4"])
    let large = try memory("large", ["--depth", "2", "--width", "640", "--batch", "32"])
    let (estimated, taken) = (large.estimated - small.estimated, large.taken - small.taken)
    #expect(estimated > 100 && abs(taken / estimated - 1) < 0.05, "\(estimated) and \(taken) MB")
  }

  @Test(
    "what does not fit into memory is refused in one line before any work, and nothing hangs",
    .unsanitized("a sanitizer takes more address space"), .timeLimit(.minutes(15)))
  func littleMemory() throws {
    defer { clean() }
    try train()
    for limit in [350_000, 450_000, 600_000] {
      for command in [
        "evaluate run --data faces --limit 4", "sample run --count 1 --out s.png", "inspect run",
        "train --data faces --limit 8 --out new \(Self.tiny)",
        "encode run --data faces --limit 4 --out z.npy",
        "reconstruct run --data faces --out r.png", "bench evaluate --depth 1 --width 8 --runs 1",
      ] {
        let outcome = try shell("ulimit -v \(limit); timeout 60 $GLOW \(command) --threads 2")
        #expect(
          outcome.status == 0
            || (outcome.status == 1
              && outcome.error.split(separator: "\n").last?.hasPrefix("Error: ") == true),
          "\(limit) \(command): \(outcome.status) \(outcome.error)")
        try? FileManager.default.removeItem(atPath: "\(root)/new")
      }
    }
    // There is no room for the threads that OpenBLAS starts when it is loaded.
    for limit in [200_000, 250_000, 300_000] {
      for command in ["data faces --limit 4", "inspect run", "plot run --out p.png", "data faces --limit"] {
        let outcome = try shell("ulimit -v \(limit); timeout -s KILL 60 $GLOW \(command)")
        #expect(
          [command.hasSuffix("--limit") ? 64 : 0, 1].contains(outcome.status),
          "\(limit) \(command): \(outcome.status) \(outcome.error)")
      }
    }
    for (line, reason) in [
      (
        "ulimit -v 3000000; timeout 60 $GLOW train --quiet --data faces --image-size 4096 --out big \(Self.tiny)",
        "training needs about"
      ),
      ("$GLOW sample run --count 250000 --scale 32 --out big.png", "ask for fewer images"),
      ("$GLOW sample run --count 1000000 --out big.png", "ask for fewer images"),
      ("ulimit -v 2000000; $GLOW bench evaluate --batch 1000000", "use a smaller batch"),
      ("ulimit -v 2000000; $GLOW evaluate run --data faces --batch 1000000", "use a smaller batch"),
    ] {
      let outcome = try shell(line)
      #expect(
        outcome.status == 1 && outcome.error.contains(reason) && outcome.messages.count == 1,
        "\(line): \(outcome.status) \(outcome.error)")
    }
    #expect(try !names().contains("big.png"))
  }
}
