import Foundation
import Glibc
import GlowFiles
import GlowImages
import GlowTestSupport
import Testing

/// Answers that do not come, files that must not be replaced, folders that must not be mixed.
extension CommandTests {
  /// Runs a line of the shell, in which `$GLOW` is the command.
  func shell(_ line: String) throws -> ChildProcess {
    let child = try ChildProcess.run("/bin/bash", ["-c", "GLOW='\(ChildProcess.glow)'; \(line)"], in: root)
    #expect(!child.wasKilled, "\(line) crashed")
    return child
  }

  private static let tiny =
    "--levels 1 --depth 1 --width 8 --batch 4 --init-images 4 --steps 1 --threads 1 --sample-every 0"

  /// A model in `run`.
  private func train(_ more: String = "", out: String = "run") throws {
    let outcome = try shell("$GLOW train --data faces --limit 8 --out \(out) \(Self.tiny) \(more)")
    #expect(outcome.status == 0, "\(outcome.error)")
  }

  private func names(_ folder: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)").sorted()
  }

  private func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(root)/\(name)")) }

  private func isOneLine(_ text: String) -> Bool { text.split(separator: "\n").count == 1 }

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

  @Test("an output that is an input, is of another kind or belongs to a run is refused, and stays as it is")
  func preciousOutputs() throws {
    defer { clean() }
    try train()
    #expect(
      try shell("$GLOW data faces --limit 4 --export images && $GLOW data faces --limit 4 --export i.npy")
        .status == 0)
    #expect(
      try shell("$GLOW encode run --data images --out z.npy && $GLOW sample run --count 1 --out s.png").status
        == 0)
    #expect(
      try shell("cp images/000001.png notes.npy && ln -s ../images/000002.png run/link.png").status == 0)
    #expect(try shell("cp run/model.safetensors m.safetensors && ln m.safetensors n.safetensors").status == 0)
    let before = try shell("find . -type f | sort | xargs sha256sum").output
    for (command, reason) in [
      ("encode run --data images --out run/model.safetensors", "must end in .npy"),
      ("encode run --data i.npy --out i.npy", "is what the command reads"),
      ("encode run --data images --out notes.npy", "holds something else"),
      ("reconstruct run --data images --out images/000001.png", "is in the images"),
      ("reconstruct run --data images --out run/link.png", "is in the images"),
      (
        "interpolate run images/000001.png images/000002.png --out images/000002.png",
        "is what the command reads"
      ),
      ("manipulate run s.png --attribute z.npy --out s.png", "z.npy"),
      ("manipulate run s.png --attribute z.npy --out x.png --animate ./x.png", "z.npy"),
      ("decode run --latents z.npy --out z.npy", "is what the command reads"),
      ("decode run --latents z.npy --out images", "holds files already"),
      ("import m.safetensors --from y0ast --out m.safetensors", "is what the command reads"),
      ("export m.safetensors --to openai --out n.safetensors", "is what the command reads"),
      ("export m.safetensors --to openai --out run/model.safetensors", "belongs to the run"),
      ("evaluate run --data images --scores run/metrics.jsonl", "belongs to the run"),
      ("evaluate run --data images --scores images", "must end in"),
      ("plot run --out run/metrics.jsonl", "must end in .png"),
      ("plot run --out c.png --samples c.png", "both --out and --samples"),
      ("data images --export images", "is in the images"),
      ("data faces --limit 2 --export images", "holds files already"),
      ("attribute run --data faces --limit 8 --all --out images", "holds files already"),
    ] {
      let outcome = try shell("$GLOW \(command)")
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(command): \(outcome.error)")
    }
    #expect(try shell("find . -type f | sort | xargs sha256sum").output == before)
  }

  @Test(
    "a special file is written through, a link's target replaced with its mode kept, a missing folder made")
  func destinations() throws {
    defer { clean() }
    try train()
    let piped = try shell(
      "mkfifo pipe; (cat pipe > got) & $GLOW encode run --data faces --limit 4 --out pipe; wait")
    #expect(piped.status == 0, "\(piped.error)")
    #expect(try shell("test -p pipe").status == 0)
    #expect(
      try shell("$GLOW encode run --data faces --limit 4 --out /dev/null && test -c /dev/null").status == 0)
    #expect(
      try shell("mkdir real; touch real/z.npy; chmod 640 real/z.npy; ln -s real/z.npy z.npy").status == 0)
    #expect(try shell("$GLOW encode run --data faces --limit 4 --out z.npy").status == 0)
    #expect(try shell("test -L z.npy && stat -c %a real/z.npy").output == "640\n")
    #expect(try bytes("real/z.npy") == bytes("got"))
    #expect(
      try shell(
        "ln -s later/on.npy dangling.npy; mkdir later; $GLOW encode run --data faces --limit 4 --out dangling.npy"
      ).status == 0)
    #expect(try bytes("later/on.npy") == bytes("got"))
    for command in [
      "sample run --count 1 --out a/b/s.png", "encode run --data faces --limit 2 --out c/d/z.npy",
      "evaluate run --data faces --limit 2 --scores e/f/s.csv",
      "reconstruct run --data faces --out g/h/r.png",
      "attribute run --data faces --limit 8 --name Smiling --out i/j/a.npy", "plot run --out k/l/p.png",
      "export run --to openai --out m/n/e.safetensors", "data faces --limit 2 --export o/p/d.npy",
    ] {
      let outcome = try shell("$GLOW \(command)")
      if command.hasPrefix("export") && outcome.error.contains("edge") { continue }
      #expect(outcome.status == 0, "\(command): \(outcome.error)")
    }
  }

  @Test("two writers of one file: each writes a whole one, and a link in the way is not followed")
  func twoWriters() throws {
    defer { clean() }
    try train()
    try write("precious", Array("precious".utf8))
    let line = "$GLOW encode run --data noise --limit 3000 --out z.npy"
    let both = try shell("ln -s precious .z.npy.partial; \(line) & \(line) && wait $!")
    #expect(both.status == 0, "\(both.error)")
    #expect(try shell("\(line.replacing("z.npy", with: "alone.npy")) && cmp z.npy alone.npy").status == 0)
    #expect(try String(contentsOfFile: "\(root)/precious", encoding: .utf8) == "precious")
    #expect(try names() == [".z.npy.partial", "alone.npy", "precious", "run", "z.npy"])
  }

  @Test("an export is whole or not at all")
  func wholeExports() throws {
    defer { clean() }
    #expect(
      try shell("$GLOW data faces --limit 6 --export images && echo no > images/000004.png").status == 0)
    #expect(try shell("$GLOW data images --export copy").status == 1)
    #expect(try names() == ["images"])
    #expect(try shell("mkdir empty; chmod 700 empty; $GLOW data faces --limit 3 --export empty").status == 0)
    #expect(try names("empty").count == 4)
    #expect(try shell("stat -c %a empty").output == "700\n")
  }

  @Test(
    "a signal or a file-size limit leaves no hidden file and no part of a folder",
    .disabled(if: isSanitized, "a sanitizer's memory is a file"))
  func endedWriters() throws {
    defer { clean() }
    try train()
    try FileManager.default.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
    let jobs = [
      "encode run --data noise --limit 1000000 --out to/z.npy --threads 1",
      "data noise --limit 1000000 --export to/images", "data noise --limit 10000000 --export to/a.npy",
    ]
    for job in jobs {
      for signal in ["INT", "TERM", "HUP"] {
        let outcome = try shell(
          "$GLOW \(job) & job=$!; for i in $(seq 5000); do [ \"$(ls -A to)\" ] && break; sleep 0.02; done; "
            + "sleep 0.1; kill -\(signal) $job; wait $job")
        let number = ["INT": SIGINT, "TERM": SIGTERM, "HUP": SIGHUP][signal]!
        #expect(outcome.status == 128 + number, "\(job) \(signal): \(outcome.error)")
        #expect(outcome.error.contains("interrupted by signal \(number)"), "\(outcome.error)")
        #expect(try names("to") == [], "\(job) \(signal)")
      }
    }
    for job in [jobs[0], jobs[2]] {
      let outcome = try shell("ulimit -f 100; $GLOW \(job)")
      #expect(
        outcome.status == 1 && outcome.error.contains("cannot write: File too large"), "\(outcome.error)")
      #expect(try names("to") == [])
    }
  }

  @Test(
    "a folder that is not empty is no place for a new run; --overwrite says what goes, and goes no further")
  func usedFolders() throws {
    defer { clean() }
    try train()
    let others = [
      "run/notes.txt", "run/samples/mine.png", "run/checkpoint-notes.txt", "run/tensorboard/notes.txt",
    ]
    for file in others { try write(file, Array("mine".utf8)) }
    try FileManager.default.createDirectory(
      atPath: "\(root)/mine/samples", withIntermediateDirectories: true)
    try write("mine/model.safetensors", Array("mine".utf8))
    let model = try bytes("run/model.safetensors")
    try FileManager.default.createDirectory(atPath: "\(root)/models", withIntermediateDirectories: true)
    try model.write(to: URL(filePath: "\(root)/models/model.safetensors"))
    let start = "$GLOW train --data faces --limit 8 \(Self.tiny)"
    for (line, reason) in [
      ("\(start) --out run", "--overwrite"), ("\(start) --out models", "model.safetensors"),
      ("\(start) --out models --resume", "model.safetensors"),
      ("\(start) --out run --overwrite --init-from run", "--overwrite would remove it"),
      ("\(start) --out run --overwrite --resume", "not both"),
      ("\(start) --out mine --overwrite", "holds no run"),
      ("$GLOW train --out elsewhere --resume", "--data"), ("$GLOW train --out elsewhere", "--data"),
    ] {
      let outcome = try shell(line)
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(line): \(outcome.error)")
    }
    #expect(try bytes("run/model.safetensors") == model && bytes("models/model.safetensors") == model)
    let again = try shell("\(start) --out run --overwrite --seed 2")
    #expect(again.status == 0 && again.error.contains("--overwrite removes from run: "), "\(again.error)")
    #expect(
      again.error.contains("checkpoint-00000001.safetensors, config.json, metrics.jsonl, model.safetensors"))
    #expect(try bytes("run/model.safetensors") != model)
    for file in others { #expect(try bytes(file) == Data("mine".utf8), "\(file)") }
    #expect(try bytes("mine/model.safetensors") == Data("mine".utf8))
    // What a job writes beside its run is no reason not to start.
    #expect(try shell("mkdir job; \(start) --out job --resume > job/log").status == 0)
  }

  @Test("the best of another run is not taken for the run's own")
  func othersBest() throws {
    defer { clean() }
    let arguments = Self.tiny.replacing("--steps 1", with: "--steps 3") + " --eval-every 1"
    #expect(try shell("$GLOW train --data faces --limit 32 --out good \(arguments)").status == 0)
    #expect(try shell("$GLOW train --data faces --limit 32 --out run \(arguments) --lr 1e-9").status == 0)
    let own = try bytes("run/best.safetensors")
    #expect(
      try shell("cp good/best.safetensors run/best.safetensors; rm run/checkpoint* run/metrics.jsonl").status
        == 0)
    #expect(try shell("$GLOW train --resume --out run").status == 0)
    #expect(try bytes("run/best.safetensors") == own)
  }

  @Test(
    "options that contradict the model to start from, or the run to go on with, are refused with both values")
  func contradictions() throws {
    defer { clean() }
    try train()
    for start in ["--out new --init-from run", "--out run --resume"] {
      let outcome = try shell(
        "$GLOW train --data faces --limit 8 \(start) --depth 5 --bits 5 --coupling additive --no-learn-top")
      #expect(outcome.status == 1, "\(outcome.error)")
      for difference in [
        "depth is 1, asked for 5", "bits is 8, asked for 5", "coupling is affine, asked for additive",
        "learnsTopPrior is true, asked for false",
      ] { #expect(outcome.error.contains(difference), "\(outcome.error)") }
    }
    try writeTwoClasses()
    let conditional = try shell(
      "$GLOW train --data classes --out new --init-from run --conditional --steps 1")
    #expect(
      conditional.status == 1 && conditional.error.contains("classCount is 0, asked for 2"),
      "\(conditional.error)")
    #expect(try names() == ["classes", "run"])
    let agreeing = try shell(
      "$GLOW train --data faces --limit 8 --out new --init-from run --depth 1 --steps 1")
    #expect(agreeing.status == 0, "\(agreeing.error)")
  }

  private func writeTwoClasses(_ names: [String] = ["cat", "frog"]) throws {
    for (place, name) in names.enumerated() {
      for number in 0..<4 {
        let image = try FaceDataset(count: 100, seed: 0, part: .train).image(10 * place + number)
        try write("classes/\(name)/\(number).png", PNG.encode(image))
      }
    }
  }

  @Test("a class is asked for by its name, or by a number, and it says which that is")
  func classByName() throws {
    defer { clean() }
    try writeTwoClasses(["1", "0"])
    let trained = try shell("$GLOW train --data classes --out run --conditional \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    let sample = "$GLOW sample run --count 1 --class"
    #expect(try shell("\(sample) 1 --out named.png").error == "")
    try FileManager.default.removeItem(atPath: "\(root)/classes")
    try writeTwoClasses()
    #expect(try shell("$GLOW train --data classes --out pets --conditional \(Self.tiny)").status == 0)
    let pet = "$GLOW sample pets --count 1 --class"
    #expect(try shell("\(pet) frog --out a.png").error == "")
    #expect(try shell("\(pet) 1 --out b.png").error.contains("number 1 is 'frog'"))
    #expect(try bytes("a.png") == bytes("b.png"))
    let strip = try shell("$GLOW reconstruct pets --data classes --out strip.png")
    #expect(
      strip.status == 0 && strip.output.contains("8 of 8 images come back"), "\(strip.output) \(strip.error)")
    #expect(try shell("\(pet) dog --out c.png").error.contains("one of cat, frog, not dog"))
  }

  @Test("it is said of which classes there are held-out images alone")
  func untrainedClasses() throws {
    defer { clean() }
    func batch(_ labels: [UInt8]) -> [UInt8] {
      labels.flatMap { label in [label] + (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(label)) }
      }
    }
    try write("cifar/data_batch_1.bin", batch([0, 1, 0, 1]))
    try write("cifar/test_batch.bin", batch([0, 1]))
    let line = "$GLOW train --data cifar --conditional \(Self.tiny) --out"
    let same = try shell("\(line) same")
    #expect(same.status == 0 && !same.error.contains("no training image"), "\(same.error)")
    try write("cifar/test_batch.bin", batch([0, 3]))
    let other = try shell("\(line) other")
    #expect(other.status == 0 && other.error.contains("no training image has the class"), "\(other.error)")
  }

  @Test("--resume --out RUN is enough: all else is as it was, and what is given changes it")
  func resumedAlone() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 24 --export images").status == 0)
    let arguments =
      "--levels 1 --depth 2 --width 9 --batch 4 --init-images 4 --threads 1 --sample-every 0 --flip "
      + "--lr 2e-3 --limit 20 --seed 3 --ema 0.5"
    #expect(try shell("$GLOW train --data images --out whole --steps 4 \(arguments)").status == 0)
    #expect(try shell("$GLOW train --data images --out run --steps 2 \(arguments)").status == 0)
    let resumed = try shell("$GLOW train --resume --out run --steps 4 --threads 1")
    #expect(
      resumed.status == 0 && resumed.error.contains("changed: steps was 2, is now 4"), "\(resumed.error)")
    #expect(resumed.error.split(separator: "\n").count { $0.hasPrefix("changed:") } == 1, "\(resumed.error)")
    #expect(try bytes("run/model.safetensors") == bytes("whole/model.safetensors"))
    let done = try shell("$GLOW train --resume --out run")
    #expect(done.status == 0 && done.error.contains("resumed at step 4"), "\(done.error)")
  }

  @Test("other images under the same name are noticed when a run goes on")
  func changedImages() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images").status == 0)
    #expect(try shell("$GLOW train --data images --out run \(Self.tiny)").status == 0)
    let same = try shell("$GLOW train --out run --resume --steps 2")
    #expect(same.status == 0 && !same.error.contains("the training images are not those"), "\(same.error)")
    #expect(try shell("cp images/000002.png images/000003.png").status == 0)
    let changed = try shell("$GLOW train --out run --resume --steps 3")
    #expect(
      changed.error.contains("the training images are not those that the run began with"), "\(changed.error)")
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

  @Test("a misspelt command or option is named, with what may have been meant")
  func misspelt() throws {
    defer { clean() }
    for (line, reason) in [
      ("trian --data faces", "did you mean 'train'?"), ("help trian", "did you mean 'train'?"),
      ("train --widht 3", "there is no option '--widht': did you mean '--width'?"),
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

  @Test(
    "what does not fit into memory is refused in one line before any work, and nothing hangs",
    .disabled(if: isSanitized, "a sanitizer takes more address space"), .timeLimit(.minutes(15)))
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
    for (line, reason) in [
      ("$GLOW sample run --count 250000 --scale 32 --out big.png", "ask for fewer images"),
      ("$GLOW sample run --count 1000000 --out big.png", "ask for fewer images"),
      ("ulimit -v 2000000; $GLOW bench evaluate --batch 1000000", "use a smaller --batch"),
      ("ulimit -v 2000000; $GLOW evaluate run --data faces --batch 1000000", "use a smaller batch"),
    ] {
      let outcome = try shell(line)
      #expect(
        outcome.status == 1 && outcome.error.contains(reason) && isOneLine(outcome.error),
        "\(line): \(outcome.status) \(outcome.error)")
    }
    #expect(try !names().contains("big.png"))
  }

  @Test("samples of their own files are written as they are drawn, and not among those of more")
  func separateSamples() throws {
    defer { clean() }
    try train()
    #expect(
      try shell(
        "$GLOW sample run --count 70 --separate --out s.png && $GLOW sample run --count 70 --separate --out s.png"
      ).status == 0)
    #expect(try names().count == 71)
    let fewer = try shell("$GLOW sample run --count 3 --separate --out s.png")
    #expect(fewer.status == 1 && fewer.error.contains("s-0003.png: is of more samples"), "\(fewer.error)")
  }

  @Test("the threads are those of the affinity mask", .disabled(if: isSanitized))
  func affinity() throws {
    defer { clean() }
    try train()
    let outcome = try shell("taskset -c 0 $GLOW evaluate run --data faces --limit 4 --json")
    if outcome.status == 127 { return }
    #expect(outcome.output.contains("\"threads\":1}"), "\(outcome.output) \(outcome.error)")
  }

  @Test("data that are shortened meanwhile end a run with their name, and the steps so far are saved")
  func shortenedData() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 2000 --export a.npy").status == 0)
    let arguments =
      Self.tiny.replacing("--steps 1", with: "--steps 1000000") + " --log-every 1 --eval-every 0"
    let outcome = try shell(
      "$GLOW train --data a.npy --out run \(arguments) 2>log & job=$!; "
        + "for i in $(seq 5000); do grep -q 'step 3/' log && break; sleep 0.02; done; truncate -s 4096 a.npy; "
        + "wait $job; status=$?; cat log >&2; exit $status")
    #expect(outcome.status == 1 && outcome.error.contains("a.npy#"), "\(outcome.error)")
    #expect(
      outcome.error.contains("was shortened") && outcome.error.contains("saved at step"), "\(outcome.error)")
    #expect(!outcome.error.contains("Crash") && !outcome.error.contains("Backtrace"))
    #expect(try names("run").contains("model.safetensors"))
  }
}
