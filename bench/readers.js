// What mux.js's inspectors and mp4box say of segments, and how long they take: run by bench/readers.py.
// Arguments: a folder with node_modules; on stdin a list of {kind, init, segment} (paths), on stdout a list of
// {reader, version, pts: [ticks], ms}; of transport streams mux.js tells the first and the last picture only.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const RUNS = 200;
const from = createRequire(path.join(process.argv[2], "package.json"));
const rescale = (value, timescale) =>
  Number((2n * BigInt(value) * 90000n + BigInt(timescale)) / (2n * BigInt(timescale)));
const rising = (values) => [...new Set(values)].sort((a, b) => a - b);

function find(boxes, ...kinds) {
  let found = boxes;
  for (const kind of kinds) {
    const box = found.find((one) => one.type === kind);
    if (!box) return undefined;
    found = box.boxes || box;
  }
  return found;
}

function muxFragments(init, segment) {
  const inspect = from("mux.js/lib/tools/mp4-inspector").inspect;
  const trak = find(inspect(init), "moov", "trak");
  const { timescale } = trak.find((box) => box.type === "mdia").boxes.find((box) => box.type === "mdhd");
  const elst = find(trak, "edts", "elst");
  const shift = elst ? elst.edits.find((edit) => edit.mediaTime >= 0).mediaTime : 0;
  const pts = [];
  for (const moof of inspect(segment).filter((box) => box.type === "moof")) {
    const traf = moof.boxes.find((box) => box.type === "traf").boxes;
    const head = traf.find((box) => box.type === "tfhd");
    let dts = Number(traf.find((box) => box.type === "tfdt").baseMediaDecodeTime);
    for (const run of traf.filter((box) => box.type === "trun")) {
      for (const sample of run.samples) {
        pts.push(rescale(dts + (sample.compositionTimeOffset || 0) - shift, timescale));
        dts += sample.duration === undefined ? head.defaultSampleDuration : sample.duration;
      }
    }
  }
  return rising(pts);
}

function boxFragments(init, segment) {
  const file = from("mp4box").createFile();
  let at = 0;
  for (const bytes of [init, segment]) {
    const buffer = new Uint8Array(bytes).buffer;
    buffer.fileStart = at;
    at += buffer.byteLength;
    file.appendBuffer(buffer);
  }
  file.flush();
  const trak = file.moov.traks[0];
  const edit = trak.edts && trak.edts.elst.entries.find((entry) => entry.media_time >= 0);
  const shift = edit ? edit.media_time : 0;
  return rising(trak.samples.map((sample) => rescale(sample.cts - shift, sample.timescale)));
}

function muxTransport(_init, segment) {
  const { video } = from("mux.js/lib/tools/ts-inspector").inspect(segment);
  return [video[0].pts, video[video.length - 1].pts];
}

function measured(reader, package_, read, job) {
  const init = job.init ? fs.readFileSync(job.init) : undefined;
  const segment = fs.readFileSync(job.segment);
  const times = [];
  let pts;
  for (let run = 0; run < RUNS; run += 1) {
    const begun = process.hrtime.bigint();
    pts = read(init, segment);
    times.push(Number(process.hrtime.bigint() - begun) / 1e6);
  }
  const manifest = path.join(process.argv[2], "node_modules", package_, "package.json");
  const { version } = JSON.parse(fs.readFileSync(manifest, "utf8"));
  times.sort((a, b) => a - b);
  return { reader, version, pts, ms: times[RUNS / 2] };
}

const READERS = {
  fmp4: [
    ["mux.js mp4-inspector", "mux.js", muxFragments],
    ["mp4box", "mp4box", boxFragments],
  ],
  mpegts: [["mux.js ts-inspector", "mux.js", muxTransport]],
};
const jobs = JSON.parse(fs.readFileSync(0, "utf8"));
const found = jobs.map((job) => READERS[job.kind].map(([reader, name, read]) => measured(reader, name, read, job)));
process.stdout.write(JSON.stringify(found));
