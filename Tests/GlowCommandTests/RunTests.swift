import Foundation
import Testing

/// Runs that must not be mixed with others, with other options or with other images.
extension CommandTests {
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

  @Test("held-out images may stand elsewhere; they must fit those to train on, and a run goes on with them")
  func otherTest() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 4 --split test --export held").status == 0)
    try writeImages("classes", ["cat", "frog"])
    try writeImages("frogs", ["frog"])
    try writeImages("dogs", ["dog"])
    let line = "$GLOW train --out"
    let size = Self.tiny + " --eval-every 1"
    let trained = try shell("\(line) run --data faces --limit 8 --test held \(size)")
    #expect(trained.status == 0 && trained.error.contains(", 4 held out"), "\(trained.error)")
    #expect(trained.error.contains("test bits/dim"))
    let resumed = try shell("\(line) run --resume --steps 2")
    #expect(
      resumed.status == 0 && resumed.error.contains(", 4 held out") && !resumed.error.contains("test was"),
      "\(resumed.error)")
    let classes = try shell("\(line) pets --data classes --conditional --test frogs \(size)")
    #expect(classes.status == 0 && classes.error.contains(", 4 held out"), "\(classes.error)")
    for (arguments, reason) in [
      ("--data faces --test missing", "no such file or folder"),
      ("--data classes --conditional --test dogs", "has the class 'dog', which classes does not know"),
      ("--data classes --conditional --test held", "held has no classes, and the model needs"),
      ("--data faces --test held --hold-out 0.1", "give --test or --hold-out, not both"),
    ] {
      let outcome = try shell("\(line) no \(arguments) \(size)")
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(arguments): \(outcome.error)")
    }
    #expect(try !names().contains("no"))
  }

  @Test("images that cannot be read are skipped if asked for, and named and counted")
  func skippedImages() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images").status == 0)
    try write("images/000003.png", Array("no picture".utf8))
    #expect(try shell("truncate -s 60 images/000005.png").status == 0)
    let line = "$GLOW train --data images \(Self.tiny) --steps 4"
    let failed = try shell("\(line) --out no")
    #expect(failed.status == 1 && failed.error.contains("images/000003.png: "), "\(failed.error)")
    let outcome = try shell("\(line) --out run --on-error skip")
    #expect(outcome.status == 0, "\(outcome.error)")
    for name in ["000003", "000005"] {
      #expect(outcome.error.contains("skipped: images/\(name).png: "), "\(outcome.error)")
    }
    #expect(outcome.error.contains("2 images could not be read and were skipped"), "\(outcome.error)")
    let resumed = try shell("$GLOW train --resume --out run --steps 5")
    #expect(
      resumed.status == 0 && !resumed.error.contains("the training images are not those"), "\(resumed.error)")
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
        "--learn-top is true, asked for false",
      ] { #expect(outcome.error.contains(difference), "\(outcome.error)") }
    }
    try writeImages("classes", ["cat", "frog"])
    let conditional = try shell(
      "$GLOW train --data classes --out new --init-from run --conditional --steps 1")
    #expect(
      conditional.status == 1 && conditional.error.contains("the number of classes is 0, asked for 2"),
      "\(conditional.error)")
    #expect(try names() == ["classes", "run"])
    let agreeing = try shell(
      "$GLOW train --data faces --limit 8 --out new --init-from run --depth 1 --steps 1")
    #expect(agreeing.status == 0, "\(agreeing.error)")
  }

  @Test("weight decay follows the length of a run, and a run from a model's weights has none")
  func decayOfNewRuns() throws {
    defer { clean() }
    try train()
    func decay(_ run: String) throws -> [Double?] {
      let object = try JSONSerialization.jsonObject(with: bytes("\(run)/config.json")) as? [String: Any]
      let training = object?["training"] as? [String: Any]
      return ["weightDecay", "decayTimesSteps"].map { training?[$0] as? Double }
    }
    #expect(try decay("run") == [0, 1600])
    let start = "$GLOW train --data faces --limit 8 --steps 1 --init-from run"
    #expect(try shell("\(start) --out more").status == 0)
    #expect(try decay("more") == [0, nil])
    #expect(try shell("\(start) --out given --weight-decay 0.5").status == 0)
    #expect(try decay("given") == [0.5, nil])
    // 1600/steps, at most a hundredth off at an update.
    let line = "$GLOW train --resume --out run --steps"
    let longer = try shell("\(line) 1600")
    #expect(longer.status == 0, "\(longer.error)")
    #expect(longer.error.contains("weight decay: was 2, is now 1\n"), "\(longer.error)")
    let more = try shell("$GLOW train --resume --out more --steps 2")
    #expect(more.status == 0 && !more.error.contains("weight decay"), "\(more.error)")
  }

  @Test("a run that is made longer says how its rate goes on")
  func rateOfLongerRuns() throws {
    defer { clean() }
    let start = "$GLOW train --data faces --limit 8 \(Self.tiny) --steps 2 --out run"
    let rate = "--lr 0.008 --lr-schedule linear --lr-final 0.5 --warmup-steps 0"
    #expect(try shell("\(start) \(rate)").status == 0)
    let same = try shell("$GLOW train --resume --out run")
    #expect(same.status == 0 && !same.error.contains("learning rate"), "\(same.error)")
    // Update 3 had been past the end, at half the rate; of four it is at 1 - 0.5 * 3/4.
    let longer = try shell("$GLOW train --resume --out run --steps 4")
    #expect(longer.status == 0)
    #expect(
      longer.error.contains(
        "learning rate: was to go on with 0.004, goes on with 0.005, and ends at step 4 with 0.004\n"),
      "\(longer.error)")
  }

  @Test("rate and moving average as they are asked for, in images or updates, but not in both")
  func ratesAndAverages() throws {
    defer { clean() }
    func settings(_ run: String) throws -> [String: Any] {
      let object = try JSONSerialization.jsonObject(with: bytes("\(run)/config.json")) as? [String: Any]
      return try #require(object?["training"] as? [String: Any])
    }
    let start = "$GLOW train --data faces --limit 8 \(Self.tiny)"
    #expect(try shell("\(start) --out run --lr-final 0.25 --ema-images 100 --lr-schedule linear").status == 0)
    let run = try settings("run")
    #expect(run["finalRate"] as? Double == 0.25 && run["averageImages"] as? Double == 100)
    #expect(run["schedule"] as? String == "linear")
    // A decay at an update, which a run that goes on with half the batch keeps in images.
    #expect(try shell("\(start) --out updates --ema 0.81 --warmup-epochs 2").status == 0)
    let updates = try settings("updates")
    #expect(updates["averageDecay"] as? Double == 0.81 && updates["averageImages"] == nil)
    #expect(updates["warmupEpochs"] as? Double == 2)
    let halved = try shell("$GLOW train --resume --out updates --batch 2 --steps 3")
    #expect(halved.status == 0, "\(halved.error)")
    let decay = try #require(try settings("updates")["averageDecay"] as? Double)
    #expect(abs(decay - 0.9) < 1e-12)
    for (options, reason) in [
      ("--ema 0.9 --ema-images 100", "give --ema or --ema-images, not both"),
      ("--warmup-epochs 1 --warmup-steps 2", "give --warmup-epochs or --warmup-steps, not both"),
      ("--lr-final 0", "--lr-final must be above 0 and at most 1"), ("--ema 1", "--ema must be in [0, 1)"),
      ("--ema-images 0", "--ema-images must be above 0"),
      ("--lr-final 0.1 --lr-schedule constant", "--lr-final is of a rate that falls"),
    ] {
      let outcome = try shell("\(start) --out refused \(options)")
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(options): \(outcome.error)")
    }
    #expect(try names() == ["run", "updates"])
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
    let late = try shell("$GLOW train --resume --out run --init-images 5")
    #expect(late.status == 0 && late.error.contains("--init-images changes nothing"), "\(late.error)")
    #expect(!late.error.contains("changed: initializationImages"), "\(late.error)")
    let done = try shell("$GLOW train --resume --out run --init-images 4")
    #expect(!done.error.contains("changes nothing"), "\(done.error)")
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
    #expect(!changed.error.contains("the held-out images"))
    let again = "$GLOW train --data faces --limit 8 --out tested \(Self.tiny) --test images"
    #expect(try shell(again).status == 0)
    let kept = try shell("$GLOW train --out tested --resume --steps 2")
    #expect(kept.status == 0 && !kept.error.contains("not those"), "\(kept.error)")
    #expect(try shell("cp images/000001.png images/000003.png").status == 0)
    let test = try shell("$GLOW train --out tested --resume --steps 3")
    #expect(
      test.error.contains("the held-out images are not those that the run began with")
        && !test.error.contains("the training images are not those"), "\(test.error)")
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
