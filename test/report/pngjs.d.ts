declare module "pngjs" {
  /** Pixels are RGBA, row by row. */
  export class PNG {
    constructor(size: { width: number; height: number });
    readonly width: number;
    readonly height: number;
    readonly data: Buffer;
    static readonly sync: {
      read(file: Buffer): PNG;
      write(picture: PNG, options?: { deflateLevel?: number; colorType?: 0 | 2 | 4 | 6 }): Buffer;
    };
  }
}
