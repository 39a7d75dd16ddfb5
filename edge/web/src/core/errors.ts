// Named errors. Each message is one line for a person: what was expected, what came, what to do.

/** A bundle that cannot be used. kind says which page tells what to do about it. */
export class BundleError extends Error {
  override name = "BundleError";
  constructor(
    readonly kind: "missing" | "damaged" | "schema",
    message: string,
  ) {
    super(message);
  }
}

/** A picture that cannot be read or is not of a kind that the model takes. */
export class PictureError extends Error {
  override name = "PictureError";
}

/** Scores from which no threshold can be set. */
export class CalibrationError extends Error {
  override name = "CalibrationError";
}

/** What the browser lacks, or the runtime refuses. */
export class RuntimeError extends Error {
  override name = "RuntimeError";
}
