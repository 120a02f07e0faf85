import Foundation
import GlowTestSupport
import Testing

/// What a run held out is held out whenever its images are opened, and what becomes of single images is said.
extension CommandTests {
  @Test("commands on the data of a run hold out what the run did, unless something is said of it")
  func heldOutAgain() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 60 --export images; cp -r images copy").status == 0)
    let trained = try shell("$GLOW train --data images --hold-out 0.3 --out run \(Self.tiny)")
    let count = try #require(
      trained.error.firstMatch(of: /, ([0-9]+) held out/).flatMap { Int($0.output.1) }, "\(trained.error)")
    #expect(count > 0 && count < 60)
    let note = "--hold-out 0.3 as in training (--hold-out 0 takes all images)"
    for (line, images, notes) in [
      ("evaluate run --data images", count, [note]),
      ("evaluate run/model.safetensors --data ./images/", count, [note]),
      ("evaluate run --data images --split train", 60 - count, [note]),
      ("evaluate run --data images --hold-out 0", 60, ["no parts: all images are taken for 'test'"]),
      (
        "evaluate run --data copy", 60,
        [
          "no parts: all images are taken for 'test'",
          "run was trained with --hold-out 0.3: give it where these are",
        ]
      ),
      ("evaluate run --data copy --hold-out 0.3", count, ["\(count) held out of 60 images"]),
      ("encode run --data images --out latents.npy", count, [note]),
      ("detect run --in images --reference known.json", count, [note]),
    ] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 0, "\(line): \(outcome.error)")
      #expect(outcome.output.contains("\(images) images"), "\(line): \(outcome.output)")
      for text in notes { #expect(outcome.output.contains(text), "\(line): \(outcome.output)") }
      #expect(notes.contains(note) || !outcome.output.contains(note), "\(line): \(outcome.output)")
    }
    #expect(try shell("$GLOW evaluate run --data images --split train").error.contains("was trained on"))
    // Scores are of these images, which a comparison finds again.
    for seed in [1, 2] {
      #expect(try shell("$GLOW evaluate run --data images --seed \(seed) --scores \(seed).jsonl").status == 0)
    }
    let compared = try shell("$GLOW compare 1.jsonl 2.jsonl --data images --out changes.png")
    #expect(compared.status == 0 && compared.error.contains("\(count) held out of 60"), "\(compared.error)")
    let none = try shell("$GLOW train --data images --hold-out 0 --out none \(Self.tiny)")
    #expect(none.status == 0 && none.error.contains("none held out"), "\(none.error)")
    #expect(try shell("$GLOW data images --hold-out -1").status == 64)
  }

  @Test("images that are treated otherwise than a model's were are said to be")
  func otherTreatment() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images").status == 0)
    let options = "--crop 24 --image-size 16 --background 0"
    let trained = try shell("$GLOW train --data images --out run \(options) \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    for (line, note) in [
      (
        "evaluate run --data images",
        "run was trained with --crop 24, here none; --background 0,0,0, here none"
      ),
      ("evaluate run --data images --crop 32 --background 0", "run was trained with --crop 24, here 32"),
      (
        "encode run --data images --crop 24 --background 0 --resize crop --out latents.npy",
        "run was trained with --resize box, here crop"
      ),
      ("evaluate run/model.safetensors --data images --crop 24 --background 0,0,0", nil),
    ] as [(String, String?)] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 0, "\(line): \(outcome.error)")
      #expect(outcome.output.contains("was trained with") == (note != nil), "\(line): \(outcome.output)")
      if let note { #expect(outcome.output.contains(note), "\(line): \(outcome.output)") }
    }
  }

  @Test("held-out images of a run are said to be what they are taken for")
  func heldOutNotes() throws {
    defer { clean() }
    try writeImages("data/train", ["cat"])
    try writeImages("data/val", ["cat"])
    let outcome = try shell("$GLOW train --data data --out run \(Self.tiny)")
    #expect(
      outcome.status == 0 && outcome.error.contains("held out: parts train/, val/; val/ is taken for test"),
      "\(outcome.error)")
  }

  @Test(
    "what becomes of single images is said: transparency, which --background lays on a color, and turns",
    .python("PIL.Image"))
  func singleImages() throws {
    defer { clean() }
    try train()
    let program = """
      import sys, PIL.Image
      image = PIL.Image.new("RGBA", (32, 32), (10, 20, 30, 0))
      image.save(sys.argv[1] + "/clear.png")
      exif = PIL.Image.Exif()
      exif[0x0112] = 6
      image.convert("RGB").save(sys.argv[1] + "/turned.jpg", exif=exif)
      """
    let made = try Python.run(program, root)
    #expect(made.status == 0, "\(made.error)")
    let line = "$GLOW interpolate run clear.png turned.jpg --steps 2 --scale 1 --out"
    let plain = try shell("\(line) plain.png")
    #expect(plain.status == 0, "\(plain.error)")
    #expect(
      plain.output.contains("transparency is dropped and the colors below it are taken (clear.png)")
        && plain.output.contains("images are turned as their EXIF orientation says (turned.jpg)"),
      "\(plain.output)")
    let white = try shell("\(line) white.png --background white")
    #expect(white.status == 0 && !white.output.contains("transparency"), "\(white.output)")
    #expect(try bytes("plain.png") != bytes("white.png"))
    #expect(try shell("\(line) no.png --background blue").status == 64)
  }
}
