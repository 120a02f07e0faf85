import Foundation
import GlowTestSupport
import Testing

/// What the command says: all of it, or that it could not; and of what is misspelt.
extension CommandTests {
  @Test("an answer that cannot be written is a failure, whatever stands in its way")
  func unwrittenAnswers() throws {
    defer { clean() }
    try train()
    let prepared = try shell(
      "$GLOW encode run --data faces --limit 4 --out z.npy && $GLOW export run --to openai --out e.safetensors && "
        + "$GLOW attribute run --data faces --limit 8 --name Smiling --out v.npy && "
        + "$GLOW data faces --limit 8 --export images && $GLOW evaluate run --data images --scores s.jsonl")
    #expect(prepared.status == 0, "\(prepared.error)")
    for command in [
      "decode run --latents z.npy --out d.png", "reconstruct run --data images --out r.png",
      "interpolate run images/000001.png images/000002.png --out i.png",
      "attribute run --data faces --limit 8 --name Smiling --out a.npy",
      "manipulate run images/000001.png --attribute v.npy --out m.png",
      "sheet run --data images --out sheet.png", "compare s.jsonl s.jsonl",
      "import e.safetensors --from openai --out i.safetensors",
      "evaluate run --data faces --limit 4", "evaluate run --data faces --limit 4 --json",
      "data faces --limit 4",
      "inspect run", "bench evaluate --depth 1 --width 8 --batch 1 --runs 1 --json", "--help", "--version",
      "bench evaluate --depth 1 --width 8 --batch 2 --runs 1 --simulate 2",
      "bench train --depth 1 --width 8 "
        + "--batch 2 --runs 1 --simulate 1,3 --bandwidth 100 --json",
      "encode run --data faces --limit 4 --out z.npy", "export run --to openai --out e.safetensors",
      "detect run --in faces --out noise --limit 4 --json",
      "train --data faces --limit 8 --out full --overwrite \(Self.tiny)",
    ] {
      for (redirection, reason) in [
        (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"),
      ] {
        let outcome = try shell("$GLOW \(command) \(redirection)")
        #expect(outcome.status == 1, "\(command) \(redirection): \(outcome.error)")
        #expect(
          outcome.error.contains("standard output: cannot write: \(reason)"), "\(command): \(outcome.error)")
      }
    }
    // A place among the streams that is free must not be taken by a file that is written.
    #expect(try shell("$GLOW encode run --data faces --limit 4 --out b.npy >&- 2>&- <&-").status == 1)
    #expect(try bytes("b.npy") == bytes("z.npy"))
    #expect(try shell("$GLOW data faces --limit 4 2>/dev/full").status == 0)
    #expect(try shell("$GLOW inspect missing 2>/dev/full").status == 1)
  }

  @Test("one image has no standard error")
  func oneImage() throws {
    defer { clean() }
    try train()
    let json = try shell("$GLOW evaluate run --data faces --limit 1 --json")
    #expect(json.output.contains("\"standard_error\":null"), "\(json.output)")
    let text = try shell("$GLOW evaluate run --data faces --limit 1")
    #expect(text.output.contains(" on 1 image,") && !text.output.contains("±"), "\(text.output)")
    #expect(try shell("$GLOW evaluate run --data faces --limit 1 --scores s.jsonl").status == 0)
    let difference = try shell("$GLOW compare s.jsonl s.jsonl --json")
    #expect(difference.output.contains("\"interval95\":null"), "\(difference.output) \(difference.error)")
    let compared = try shell("$GLOW compare s.jsonl s.jsonl")
    #expect(compared.status == 0 && !compared.output.contains("95 %"), "\(compared.output)")
  }

  @Test("one image is not called images")
  func oneIsSingular() throws {
    defer { clean() }
    let trained = try shell(
      "$GLOW train --data faces --limit 8 --out run \(Self.tiny) --batch 1 --init-images 1 --eval-every 1")
    #expect(trained.error.contains("actnorms initialized from 1 image\n"), "\(trained.error)")
    #expect(trained.error.contains("step 1 (1 image): test"), "\(trained.error)")
    let strip = try shell("$GLOW reconstruct run --data faces --count 1 --out r.png")
    #expect(strip.output.contains("of 1 image comes back"), "\(strip.output)")
    let sampled = try shell("$GLOW sample run --count 1 --temperature 1e300 --out s.png")
    #expect(sampled.error.contains("the decoded image has values"), "\(sampled.error)")
  }

  @Test("who scores the images that a run was trained on is told so")
  func trainingImages() throws {
    defer { clean() }
    try train()
    let note = "the images that the model was trained on"
    for (line, isTold) in [
      ("run --data faces --limit 8 --split train", true),
      ("run/model.safetensors --data faces --limit 8 --split train", true),
      ("run --data faces --limit 8", false), ("run --data faces --limit 7 --split train", false),
    ] {
      let outcome = try shell("$GLOW evaluate \(line)")
      #expect(outcome.status == 0 && outcome.error.contains(note) == isTold, "\(line): \(outcome.error)")
    }
  }

  @Test("a misspelt command or option is named, with what may have been meant")
  func misspelt() throws {
    defer { clean() }
    for (line, reason) in [
      ("trian --data faces", "did you mean 'train'?"), ("help trian", "did you mean 'train'?"),
      ("help train --widht", "there is no option '--widht': did you mean '--width'?"),
      ("help --versoin", "there is no option '--versoin': did you mean '--version'?"),
      ("help --widht", "there is no option '--widht'"), ("-v", "there is no option '-v' (glow help"),
      ("data faces --limit 9223372036854775807", "--limit must be 1 to 100000000"),
      ("train --widht 3", "there is no option '--widht': did you mean '--width'?"),
      ("sample run -o s.png", "there is no option '-o'"), ("--versoin", "did you mean '--version'?"),
      ("evaluate run --dat faces", "did you mean '--data'?"), ("nonsense", "there is no command 'nonsense'"),
      ("bench --batch 100000000", "--batch must be 1 to 1000000, not 100000000"),
      ("bench --runs 9223372036854775807", "--runs must be 1 to 1000000"),
      ("bench --bandwidth 100", "--bandwidth is for --simulate"),
      ("bench --simulate 2 --bandwidth 0", "--bandwidth must be a number of GB/s above 0, not 0.0"),
      ("bench --simulate 2,0", "The value '2,0' is invalid"),
    ] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 64 && outcome.error.contains(reason), "\(line): \(outcome.error)")
    }
    let batch = try shell("$GLOW train --data faces --out run --batch 100000000")
    #expect(batch.status == 1 && batch.error.contains("--batch must be 1 to 1000000, not 100000000"))
    for name in ["train", "sample", "help"] {
      #expect(try shell("$GLOW help \(name)").status == 0, "\(name)")
    }
    #expect(try names() == [])
  }

  @Test("the threads are those of the affinity mask", .unsanitized("a sanitizer has threads of its own"))
  func affinity() throws {
    defer { clean() }
    try train()
    let outcome = try shell("taskset -c 0 $GLOW evaluate run --data faces --limit 4 --json")
    if outcome.status == 127 { return }
    #expect(outcome.output.contains("\"threads\":1,"), "\(outcome.output) \(outcome.error)")
  }
}
