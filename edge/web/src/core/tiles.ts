// Pictures larger than the model, looked at in overlapping tiles: `edge/tiles.py` once more.

import { roundHalfEven } from "./round";
import { heights, type Outputs, type ScoreSpec, total } from "./score";

const OVERLAP = 0.25; // of a tile, at least

/** How a picture of height x width is cut into tiles of tileHeight x tileWidth, in pixels. */
export class Tiling {
  readonly corners: [top: number, left: number][];

  constructor(
    readonly height: number,
    readonly width: number,
    readonly tileHeight: number,
    readonly tileWidth: number,
  ) {
    const columns = starts(width, tileWidth);
    this.corners = starts(height, tileHeight).flatMap((y) =>
      columns.map((x): [number, number] => [y, x]),
    );
  }

  /** Copies of the tiles, (tileHeight, tileWidth, channels) each. picture: (height, width, channels). */
  cut(picture: Uint8Array, channels: number): Uint8Array[] {
    if (this.corners.length === 1) return [picture];
    const row = this.tileWidth * channels;
    return this.corners.map(([top, left]) => {
      const tile = new Uint8Array(this.tileHeight * row);
      for (let y = 0; y < this.tileHeight; y++) {
        const from = ((top + y) * this.width + left) * channels;
        tile.set(picture.subarray(from, from + row), y * row);
      }
      return tile;
    });
  }

  /** The whole from its tiles, which fade where they meet. Returns: (height, width, channels). */
  join(tiles: Float32Array[], channels = 1): Float32Array {
    if (this.corners.length === 1) return tiles[0];
    const down = fade(this.tileHeight);
    const across = fade(this.tileWidth);
    const whole = new Float32Array(this.height * this.width * channels);
    const weight = new Float32Array(this.height * this.width);
    this.corners.forEach(([top, left], i) => {
      for (let y = 0, from = 0; y < this.tileHeight; y++) {
        let to = (top + y) * this.width + left;
        for (let x = 0; x < this.tileWidth; x++, to++) {
          const here = Math.fround(down[y] * across[x]);
          weight[to] += here;
          for (let c = 0; c < channels; c++, from++) {
            whole[to * channels + c] += Math.fround(here * tiles[i][from]);
          }
        }
      }
    });
    return whole.map((v, i) => v / weight[Math.floor(i / channels)]);
  }
}

/** The heat map and the score of one picture from what the graph gave for each tile. */
export function judgeTiles(outputs: Outputs[], spec: ScoreSpec, how: Tiling): [Float32Array, number] {
  const parts = outputs.map((tile) => heights(tile, how.tileHeight, how.tileWidth, spec));
  const heatmap = how.join(parts.map(([map]) => map));
  return [heatmap, total(parts.map(([, of]) => of), spec)];
}

/** Evenly spread, from the first to the last, with at least the overlap between neighbours. */
function starts(length: number, tile: number): number[] {
  if (tile > length) throw new RangeError(`expected tiles of at most ${length} pixels, got ${tile}`);
  const steps = Math.ceil((length - tile) / Math.max(1, Math.trunc(tile * (1 - OVERLAP))));
  if (!steps) return [0];
  return Array.from({ length: steps + 1 }, (_, i) => roundHalfEven((i * (length - tile)) / steps));
}

/** Weights along a side: full inside, next to nothing at the border. */
function fade(length: number): Float32Array {
  const margin = Math.max(1, OVERLAP * length);
  return Float32Array.from({ length }, (_, i) =>
    Math.min(Math.min(i + 0.5, length - i - 0.5) / margin, 1),
  );
}
