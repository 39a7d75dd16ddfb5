// What part of the camera's picture is judged, and where it lies on the screen: the largest rectangle
// of the model's proportions in the middle, or less of it by the zoom.

export type Rectangle = [left: number, top: number, width: number, height: number];

/** In the camera's pixels, whole ones. aspect: width by height of what the model takes. */
export function framed(width: number, height: number, aspect: number, zoom: number): Rectangle {
  const across = Math.max(8, Math.round(Math.min(width, height * aspect) / zoom));
  const down = Math.max(8, Math.round(Math.min(height, width / aspect) / zoom));
  return [Math.floor((width - across) / 2), Math.floor((height - down) / 2), across, down];
}

/** Pixels of the page that one pixel of the picture takes, so that the part fills most of the box. */
export function scaleFor([, , width, height]: Rectangle, boxWidth: number, boxHeight: number, fill: number): number {
  return Math.min((boxWidth * fill) / width, (boxHeight * fill) / height);
}

/** Lays an element out so that a rectangle of its picture is in the middle of the box. */
export function place(element: HTMLElement, of: Rectangle, inside: Rectangle, scale: number, box: HTMLElement): void {
  const middle = (from: number, length: number) => from + length / 2;
  const [left, top, width, height] = of;
  const x = box.clientWidth / 2 - (middle(inside[0], inside[2]) - left) * scale;
  const y = box.clientHeight / 2 - (middle(inside[1], inside[3]) - top) * scale;
  element.style.left = `${x}px`;
  element.style.top = `${y}px`;
  element.style.width = `${width * scale}px`;
  element.style.height = `${height * scale}px`;
}
