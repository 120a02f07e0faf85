import Foundation
import GlowTestSupport
import Testing

/// What the command says: all of it, or that it could not; and of what is misspelt.
extension CommandTests {
  @Test("an answer that cannot be written is a failure, whatever stands in its way")
  func unwrittenAnswers() throws {
    defer { clean() }
    try train()
    for command in [
      "evaluate run --data faces --limit 4", "evaluate run --data faces --limit 4 --json",
      "data faces --limit 4",
      "inspect run", "bench evaluate --depth 1 --width 8 --batch 1 --runs 1 --json", "--help", "--version",
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
    #expect(try shell("$GLOW encode run --data faces --limit 4 --out a.npy >&- 2>&- <&-").status == 1)
    #expect(try bytes("a.npy") == bytes("z.npy"))
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
      ("train --widht 3", "there is no option '--widht': did you mean '--width'?"),
      ("sample run -o s.png", "there is no option '-o'"), ("--versoin", "did you mean '--version'?"),
      ("evaluate run --dat faces", "did you mean '--data'?"), ("nonsense", "there is no command 'nonsense'"),
      ("bench --batch 100000000", "--batch must be 1 to 1000000, not 100000000"),
      ("bench --runs 9223372036854775807", "--runs must be 1 to 1000000"),
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
