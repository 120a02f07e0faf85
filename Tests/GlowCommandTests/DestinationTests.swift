import Foundation
import Glibc
import GlowImages
import GlowTestSupport
import Testing

/// Files that must not be replaced, and what is left of a job that ends early.
extension CommandTests {
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
      try shell("$GLOW attribute run --data faces --limit 8 --name Smiling --out v.npy").status == 0)
    #expect(
      try shell("cp images/000001.png notes.npy && ln -s ../images/000002.png run/link.png").status == 0)
    #expect(try shell("cp run/model.safetensors m.safetensors && ln m.safetensors n.safetensors").status == 0)
    try write("kept/complexity.png", Array("mine".utf8))
    try write("d-0002.png", Array("mine".utf8))
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
      (
        "manipulate run images/000001.png --attribute v.npy --out images/000001.png",
        "is what the command reads"
      ),
      ("manipulate run images/000001.png --attribute v.npy --out v.npy", "must end in .png"),
      (
        "manipulate run images/000001.png --attribute v.npy --out x.png --animate ./x.png",
        "both --out and --animate"
      ),
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
      ("detect run --in images --out noise --limit 4 --scores notes.npy", "is a file, expected a folder"),
      ("detect run --in images --out noise --limit 4 --scores images", "is in the images"),
      (
        "detect run --in images --out noise --limit 4 --scores kept",
        "kept/complexity.png: holds something else"
      ),
      ("sample run --count 5 --separate --out d.png", "d-0002.png: holds something else"),
    ] {
      let outcome = try shell("$GLOW \(command)")
      #expect(outcome.status != 0 && outcome.error.contains(reason), "\(command): \(outcome.error)")
    }
    #expect(try shell("find . -type f | sort | xargs sha256sum").output == before)
  }

  @Test("nothing is replaced by way of a link, nor put among the images that are read")
  func linkedDestinations() throws {
    defer { clean() }
    try train()
    let made = try shell(
      "$GLOW data faces --limit 8 --export images && cp -r run other && ln -s other/model.safetensors l.safetensors && "
        + "ln -s o.png a.png && ln -s o.png b.png && ln -s images li && mkdir lk faces && "
        + "ln -s ../images/000001.png lk/a.png && ln -s ../images/000002.png lk/b.png")
    #expect(made.status == 0, "\(made.error)")
    let before = try shell("find . -type f | sort | xargs sha256sum").output
    for (command, reason) in [
      ("export run --to openai --out l.safetensors", "belongs to the run"),
      ("plot run --out a.png --samples b.png", "both --out and --samples"),
      ("reconstruct run --data lk --out images/000002.png", "is in the images"),
      ("reconstruct run --data images --out images/new.png", "is in the images"),
      ("reconstruct run --data li --out images/new.png", "is in the images"),
      ("reconstruct run --data images --out li/new.png", "is in the images"),
      ("evaluate run --data images --scores images/a/b/s.jsonl", "is in the images"),
      ("data images --export images/sub", "is in the images"),
      ("train --data images --out images/run \(Self.tiny)", "is in the images"),
      ("train --data images --out images \(Self.tiny) --resume", "is in the images"),
      ("train --data faces --test images --out images/run \(Self.tiny)", "is in the images"),
    ] {
      let outcome = try shell("$GLOW \(command)")
      #expect(outcome.status == 1 && outcome.error.contains(reason), "\(command): \(outcome.error)")
    }
    #expect(try shell("find . -type f | sort | xargs sha256sum").output == before)
    // The word is not the folder.
    #expect(try shell("$GLOW reconstruct run --data faces --out faces/r.png").status == 0)
  }

  @Test("a file is replaced by one of its own kind alone, whatever ending they share")
  func otherKinds() throws {
    defer { clean() }
    try train()
    let makers = [
      "bytes.npy": "data faces --limit 4 --export", "latents.npy": "encode run --data faces --limit 4 --out",
      "vector.npy": "attribute run --data faces --limit 8 --name Smiling --out",
      "foreign.safetensors": "export run --to openai --out",
      "model.safetensors": "import source.safetensors --from openai --out",
    ]
    #expect(try shell("$GLOW export run --to openai --out source.safetensors").status == 0)
    for (name, maker) in makers {
      let outcome = try shell("$GLOW \(maker) \(name) && $GLOW \(maker) \(name)")
      #expect(outcome.status == 0, "\(maker): \(outcome.error)")
    }
    try FileManager.default.copyItem(
      atPath: "\(root)/run/checkpoint-00000001.safetensors", toPath: "\(root)/checkpoint.safetensors")
    for (name, maker) in makers {
      let ending = name.split(separator: ".")[1]
      for other in makers.keys + ["checkpoint.safetensors"] where other != name && other.hasSuffix(ending) {
        let before = try bytes(other)
        let outcome = try shell("$GLOW \(maker) \(other)")
        #expect(
          outcome.status == 1 && outcome.error.contains("holds something else"),
          "\(maker) \(other): \(outcome.error)")
        #expect(try bytes(other) == before)
      }
    }
  }

  @Test("what a disk has no room for is refused before any work")
  func fullDisk() throws {
    defer { clean() }
    try train()
    for command in [
      "encode run --data noise --limit 100000000 --out z.npy",
      "data noise --limit 100000000 --image-size 1024 --export a.npy",
      "data noise --limit 100000000 --image-size 8192 --export pictures",
    ] {
      let outcome = try shell("timeout 60 $GLOW \(command)")
      #expect(
        outcome.status == 1 && outcome.messages.count == 1 && outcome.error.contains(", and its disk has "),
        "\(command): \(outcome.error)")
    }
    #expect(try names() == ["run"])
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
    .unsanitized("a sanitizer's memory is a file"))
  func endedWriters() throws {
    defer { clean() }
    try train()
    try FileManager.default.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
    let jobs = [
      "encode run --data noise --limit 300000 --out to/z.npy --threads 1",
      "data noise --limit 1000000 --export to/images", "data noise --limit 1000000 --export to/a.npy",
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
    // What is written as it goes stays, each file whole.
    let sampling = try shell(
      "$GLOW sample run --count 20000 --separate --out to/s.png --threads 1 & job=$!; "
        + "for i in $(seq 5000); do [ \"$(ls to)\" ] && break; sleep 0.02; done; kill -TERM $job; wait $job")
    #expect(sampling.status == 128 + SIGTERM, "\(sampling.error)")
    let samples = try names("to")
    #expect(samples.allSatisfy { $0.hasPrefix("s-") } && (1..<20000).contains(samples.count), "\(samples)")
    for name in samples { #expect(throws: Never.self) { try PNG.read("\(root)/to/\(name)") } }
    #expect(try shell("rm to/*").status == 0)
    for job in [jobs[0], jobs[2]] {
      let outcome = try shell("ulimit -f 100; $GLOW \(job)")
      #expect(
        outcome.status == 1 && outcome.error.contains("cannot write: File too large"), "\(outcome.error)")
      #expect(try names("to") == [])
    }
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
    try write("s-2.png", Array("of no sample".utf8))
    #expect(try shell("$GLOW sample run --count 70 --separate --out s.png").status == 0)
    let fewer = try shell("$GLOW sample run --count 3 --separate --out s.png")
    #expect(fewer.status == 1 && fewer.error.contains("s-0003.png: is of more samples"), "\(fewer.error)")
  }
}
