import Foundation
import GlowTestSupport
import Testing

/// Runs that are to take a given time.
extension CommandTests {
  private static let size = "--levels 1 --depth 1 --width 8 --threads 1 --init-images 4"

  @Test("a plan is a command that trains, with what was left open")
  func plan() throws {
    defer { clean() }
    let outcome = try shell(
      "$GLOW plan --data 'faces' --limit 16 --hours 0.002 --depth 1 --width=8 --eval-every 50 --threads 1")
    #expect(outcome.status == 0, "\(outcome.error)")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 3, "\(outcome.output)")
    let found = try #require(
      lines[0].firstMatch(
        of:
          /^glow train --data faces --limit 16 --depth 1 --width=8 --eval-every 50 --threads 1 --levels 3 --batch 16 --lr 0.005 --steps (\d+) --out RUN$/
      ), "\(lines[0])")
    let steps = try #require(Int(found.output.1))
    #expect(steps > 0)
    #expect(lines[1].hasPrefix("\(16 * steps) images, \(steps).0 passes; 0:0"), "\(lines[1])")
    #expect(lines[1].contains("images/s with 1 thread; about") && lines[2].contains("is not known"))
    // With fewer steps, as it stands.
    let short = lines[0].dropFirst(4).replacing("--steps \(steps)", with: "--steps 1")
    #expect(try shell("$GLOW \(short) --init-images 4").status == 0)
    #expect(try names("RUN").contains("model.safetensors"))
  }

  @Test("a plan as JSON, of images whose name a shell would not take for one word")
  func planJSON() throws {
    defer { clean() }
    try writeImages("it's mine", ["a"])
    let outcome = try shell("$GLOW plan --json --data \"it's mine\" --hours=0.001 --threads 1 --quiet")
    #expect(outcome.status == 0 && outcome.error == "", "\(outcome.error)")
    let line = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let command = try #require(line["command"] as? String)
    #expect(
      command.hasPrefix(#"glow train --data 'it'\''s mine' --threads 1 --quiet --levels 3 --depth "#),
      "\(command)")
    #expect(line["expected_of"] as? String == "CIFAR-10" && line["is_extrapolated"] as? Bool == true)
    let bits = try #require(line["expected_bits_per_dim"] as? Double)
    // By the law one step of the smallest model, which a slow machine may have time for, comes to 11.2.
    #expect(bits > 3.5 && bits < 12)
    let (steps, seconds) = (try #require(line["steps"] as? Int), try #require(line["seconds"] as? Double))
    #expect(line["images"] as? Int == 16 * steps && seconds > 0 && seconds <= 3.6)
  }

  @Test("a plan for another machine: more processors are simulated, fewer are used")
  func planCores() throws {
    defer { clean() }
    func plan(_ cores: Int) throws -> [String: Any] {
      let outcome = try shell(
        "$GLOW plan --json --data faces --limit 16 --cores \(cores) --hours=0.001 --depth 1 --width 64 --quiet"
      )
      #expect(outcome.status == 0 && outcome.error == "", "\(outcome.error)")
      let line = try #require(
        try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
      #expect((line["command"] as? String)?.contains("cores") == false)
      #expect(line["threads"] as? Int == cores)
      return line
    }
    let (one, many) = (try plan(1), try plan(1024))
    #expect(one["is_simulated"] as? Bool == false && many["is_simulated"] as? Bool == true)
    for plan in [one, many] { #expect(try #require(plan["images_per_second"] as? Double) > 0) }
  }

  @Test("--budget chooses what was left open, the settings keep it, and a run that goes on keeps its steps")
  func budget() throws {
    defer { clean() }
    let start =
      "$GLOW train --data faces --limit 8 --out run --sample-every 0 --budget 3s --resume \(Self.size)"
    func settings() throws -> [String: Any] {
      let text = try JSONSerialization.jsonObject(with: bytes("run/config.json")) as? [String: Any]
      return try #require(text?["training"] as? [String: Any])
    }
    let first = try shell(start)
    #expect(first.status == 0, "\(first.error)")
    let found = try #require(
      first.error.firstMatch(
        of: /\n--budget chooses --batch 16 --lr 0.005 --steps (\d+) --eval-every (\d+): what bits/),
      "\(first.error)")
    #expect(try settings()["steps"] as? Int == Int(found.output.1))
    #expect(try settings()["evaluateEvery"] as? Int == Int(found.output.2))
    let again = try shell(start)
    #expect(
      again.status == 0 && again.error.contains("--budget: the run keeps the \(found.output.1) steps"),
      "\(again.error)")
    #expect(try settings()["steps"] as? Int == Int(found.output.1))
  }

  @Test("a run from the weights of a model, which do not decay, is none of those that were measured")
  func budgetFromWeights() throws {
    defer { clean() }
    let size = "--depth 4 --width 64 --steps 1 --init-images 4"
    #expect(try shell("$GLOW train --data faces --limit 16 --out first \(size)").status == 0)
    func note(_ options: String) throws -> String {
      let outcome = try shell(
        "$GLOW train --data faces --limit 16 --out run --budget 4s --init-images 4 --eval-every 0 \(options)")
      #expect(outcome.status == 0, "\(outcome.error)")
      let lines = outcome.error.split(separator: "\n").filter { $0.contains("--budget chooses") }
      return try String(#require(lines.first, "\(outcome.error)"))
    }
    let anew = try note("--depth 4 --width 64")
    #expect(anew.contains("CIFAR-10's test images"), "\(anew)")
    #expect(try shell("rm -r run").status == 0)
    let further = try note("--init-from first")
    #expect(further.contains("is not known"), "\(further)")
  }

  @Test("a plan with learned noise names the width of its network")
  func planNoise() throws {
    defer { clean() }
    let outcome = try shell(
      "$GLOW plan --data faces --limit 16 --hours 0.001 --dequantization variational --threads 1")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(
      outcome.output.contains("--dequantizer-width 64 ")
        && outcome.output.contains("bits/dim (learned noise)"),
      "\(outcome.output)")
  }

  @Test("what contradicts a length of time is refused in a line")
  func contradictingTime() throws {
    defer { clean() }
    for (line, reason) in [
      ("train --data faces --out run --budget 3h --steps 5", "give --budget or --steps, not both"),
      ("train --data faces --out run --budget 3h --epochs 5", "give --budget or --epochs, not both"),
      ("train --data faces --out run --budget 3", "--budget"),
      ("plan --data faces --hours 1 --steps 5", "give --hours or --steps, not both"),
      ("plan --data faces --hours 0", "--hours must be above 0"), ("plan --hours 1", "--data"),
      ("plan --data faces --hours 1 --cores 0", "--cores must be from 1 to 4096, not 0"),
      ("plan --data faces --hours 1 --cores 4 --threads 4", "give --cores or --threads, not both"),
    ] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 64 && outcome.error.contains(reason), "\(line): \(outcome.error)")
      #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
    }
    for (line, reason) in [
      ("--limit 8 --budget 3s --batch 0", "--batch must be 1 to 1000000, not 0"),
      ("--limit 8 --budget 3s --width 0", "width must be 1"),
      ("--budget 1s --image-size 64", "before the first step"),
    ] {
      let outcome = try shell("$GLOW train --data faces --out run --threads 1 \(line)")
      #expect(outcome.status == 1 && outcome.error.contains(reason), "\(line): \(outcome.error)")
    }
    #expect(try names() == [])
  }
}
