/** How far a command is: a bar or lines for people, unless they want none, and events for a program that watches. */
import { type Meter, makeMeter, type ProgressDisplay, progressDisplay, silentProgress } from "../run/progress.ts";
import { events } from "./events.ts";

const SILENT_METER: Meter = { show() {}, end() {} };

/** Of a pass over tensors. */
export function shownProgress(quiet: boolean): ProgressDisplay {
  const shown = quiet ? silentProgress : progressDisplay(process.stderr);
  return {
    progress(progress) {
      shown.progress(progress);
      const { phase, bytes, totalBytes, earlierBytes, tensor } = progress;
      events()?.progress(phase, { bytes, totalBytes, earlierBytes, item: tensor, waiting: undefined });
    },
    end: () => shown.end(),
  };
}

/** Of anything else that is counted. @param phase what events call it. */
export function shownMeter(phase: string, quiet: boolean): Meter {
  const shown = quiet ? SILENT_METER : makeMeter(process.stderr);
  return {
    show(reading) {
      shown.show(reading);
      events()?.progress(phase, reading);
    },
    end: () => shown.end(),
  };
}
