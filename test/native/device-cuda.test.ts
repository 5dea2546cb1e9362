import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { outputOf } from "../support/output-of.ts";
import { CAN_BUILD } from "./fake-cusolver/build.ts";
import { inFolder } from "./workbench.ts";

/*
 * The host's side of native/cuda, built with a runtime that notes what it is asked for (fake-cuda/cuda_runtime.h): no device
 * is there, and nothing is computed.
 */

const CUDA = join(import.meta.dir, "../../native/cuda");
const FAKE = join(import.meta.dir, "fake-cuda");

/** What fake-cuda/check.cc tells in lines `what: answer`. */
const answers: Record<string, string> = !CAN_BUILD
  ? {}
  : await inFolder(async (folder) => {
      const program = join(folder, "check");
      const sources = ["device", "lane", "library", "marks", "status"].map((name) => join(CUDA, `${name}.cc`));
      const flags = ["-std=c++20", "-Wno-psabi", "-DSINTER_TARGET=gpu", '-DSINTER_VERSION="0"', "-I", FAKE];
      await outputOf(["c++", ...flags, "-o", program, join(FAKE, "check.cc"), ...sources]);
      const lines = (await outputOf([program])).trimEnd().split("\n");
      return Object.fromEntries(lines.map((line) => line.split(/: (.*)/).slice(0, 2)));
    });

describe.skipIf(!CAN_BUILD)("a CUDA device", () => {
  test("waits for a mark behind what it stands for, in its own queue, however many came after it", () => {
    expect(answers.marks).toBe("keep to their queues");
  });

  const which = "Fake has compute capability 12.1, for which";
  test.each([
    [209, `${which} this build has no code`],
    [98, `${which} this build has no code`],
    [
      221,
      `${which} the NVIDIA driver has to compile this build's code: its libnvidia-ptxjitcompiler.so.1 is missing, as in ` +
        "containers that are given a part of the driver",
    ],
    [222, `${which} the NVIDIA driver has to compile this build's code: it serves CUDA 12.4, too old for code of 12.8`],
  ])("that cannot run this build's code says why: error %d", (error, line) => {
    expect(answers[`refused ${error}`]).toBe(line);
  });

  test("that shares its memory with the host has half of what is free there", () => {
    expect([answers["free 0"], answers["free 1"]]).toEqual(["1000 of 4000", "500 of 4000"]);
  });

  test("leaves no error of a release to whatever the thread does next", () => {
    for (const what of ["memory", "pinned memory", "a lane"])
      expect([what, answers[`left by ${what}`]]).toEqual([what, "0"]);
  });
});
