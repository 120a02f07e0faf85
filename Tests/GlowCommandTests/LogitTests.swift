import GlowTestSupport
import Testing

/// A logit of the images, which the model begins with.
extension CommandTests {
  @Test("a model that begins with a logit in training, resuming and every command that takes it")
  func logit() throws {
    defer { clean() }
    let data = "--data faces --limit 32"
    let model = "--levels 2 --depth 1 --width 8 --logit 1e-5"
    for line in [
      "train \(data) --out run \(model) --batch 8 --steps 4 --sample-every 2 --eval-every 2",
      "train --out run --steps 6 --resume --logit 1e-5",
      "evaluate run \(data) --scores scores.jsonl --batch 8 --importance-samples 3",
      "sample run --out samples.png --count 4", "encode run \(data) --out latents.npy",
      "decode run --latents latents.npy --out decoded", "reconstruct run \(data) --out reconstruction.png",
      "train \(data) --out more --init-from run --batch 8 --steps 1",
    ] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 0, "\(line): \(outcome.error)")
    }
    #expect(try shell("$GLOW inspect run").output.contains("logit: 1e-05"))
    #expect(
      try shell("$GLOW reconstruct run \(data) --out reconstruction.png").output.contains(
        "12 of 12 images come back bit by bit"))
    let other = try shell("$GLOW train --out run --steps 8 --resume --logit 0.05")
    #expect(
      other.status != 0 && other.error.contains("--logit is 1e-05, asked for 0.05"), "\(other.error)")
    let export = try shell("$GLOW export run --to openai --out there.safetensors")
    #expect(
      export.status != 0
        && export.error.contains("have no logit of the images, and this one was trained with --logit 1e-05"),
      "\(export.error)")
  }

  @Test("the speed of a model is measured with its logit")
  func logitSpeed() throws {
    let line = "$GLOW bench train --levels 1 --depth 1 --width 8 --image-size 8 --batch 2 --runs 1 --json"
    #expect(try !shell(line).output.contains("logit"))
    let bench = try shell("\(line) --logit 0.05")
    #expect(bench.status == 0 && bench.output.contains(#""logit":0.05,"#), "\(bench.output)\(bench.error)")
    for (options, message) in [
      ("--logit 0.3", "--logit must be 1e-5 to 0.25, or 0 for none, not 0.3"),
      ("--architecture realnvp --logit 0.05", "--logit is of --architecture glow"),
    ] {
      let outcome = try shell("$GLOW bench train \(options)")
      #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
    }
  }

  /// 16 images of a side in the IDX format.
  private func writeDigits(_ name: String, side: Int = 8, _ value: (Int) -> UInt8) throws {
    let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, 16, 0, 0, 0, UInt8(side), 0, 0, 0, UInt8(side)]
    try write("\(name)/train-images-idx3-ubyte", header + (0..<16 * side * side).map(value))
  }

  /// Of 64 values 62 at an end.
  private func digit(_ place: Int) -> UInt8 {
    place % 64 < 2 ? UInt8(1 + place / 64 % 200) : place % 2 == 0 ? 0 : 255
  }
  private func gray(_ place: Int) -> UInt8 { UInt8(1 + place % 251) }

  @Test(
    "a plan for images of the shape of digits has it if they are mostly black or white, unless it is given",
    arguments: [
      ("digits", "", true), ("digits", "--dequantization variational", true), ("digits", "--logit 0", false),
      ("grays", "", false),
    ])
  func logitInPlans(data: String, options: String, isChosen: Bool) throws {
    defer { clean() }
    try writeDigits(data, side: 28, data == "digits" ? digit : gray)
    let outcome = try shell("$GLOW plan --data \(data) --hours 0.003 --threads 1 \(options)")
    #expect(
      outcome.status == 0 && outcome.output.contains("--width 64 --logit 1e-05 ") == isChosen,
      "\(outcome.output)\(outcome.error)")
  }

  @Test(
    "images that are mostly black or white, as digits are, get a hint at it; others, and those who know, none"
  )
  func hintAtLogit() throws {
    defer { clean() }
    try writeDigits("digits", digit)
    try writeDigits("grays", gray)
    let model = "--hold-out 0 --levels 1 --depth 1 --width 8 --batch 4 --steps 1"
    for (number, (data, options, isHinted)) in [
      ("digits", "", true), ("digits", "--logit 0", false), ("digits", "--logit 1e-5", false),
      ("grays", "", false),
    ].enumerated() {
      let outcome = try shell("$GLOW train --data \(data) --out run\(number) \(model) \(options)")
      #expect(
        outcome.status == 0
          && outcome.error.contains("most values are black or white: with --logit 1e-5") == isHinted,
        "\(data) \(options): \(outcome.error)")
    }
  }

  @Test(
    "a logit that cannot be is refused in one line",
    arguments: [
      ("--logit 0.3", "--logit must be 1e-5 to 0.25, or 0 for none, not 0.3"),
      ("--architecture realnvp --logit 0.05", "--logit is of --architecture glow"),
      ("--logit high", "high"),
    ])
  func logitRefused(options: String, message: String) throws {
    defer { clean() }
    let outcome = try shell("$GLOW train --data faces --limit 8 --steps 1 --out run \(options)")
    #expect(outcome.status != 0 && outcome.error.contains(message), "\(outcome.error)")
  }
}
