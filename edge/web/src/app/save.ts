// Files out of the page: saved, or handed to another app.

export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export const canShare = (file: File): boolean => Boolean(navigator.canShare?.({ files: [file] }));

export async function shareFile(file: File): Promise<void> {
  try {
    await navigator.share({ files: [file], title: file.name });
  } catch (error) {
    if ((error as DOMException).name !== "AbortError") throw error; // the user changed their mind
  }
}

export function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture could not be written"))), "image/png");
  });
}

/** A name for a file: what is no letter or digit would not be allowed everywhere. */
export const fileName = (...parts: string[]): string => parts.join("-").replace(/[^A-Za-z0-9._-]+/g, "-");

/** The time of now, for names of files. */
export const stamp = (): string => new Date().toISOString().slice(0, 19).replaceAll(":", "");
