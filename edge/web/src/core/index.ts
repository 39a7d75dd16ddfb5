// All of the core, for the tests that compare it with `edge`.

export * from "./calibration";
export * from "./golden";
export * from "./heatmap";
export * from "./judgement";
export * from "./manifest";
export * from "./npz";
export * from "./parts";
export * from "./preprocess";
export * from "./resize";
export * from "./score";
export * from "./sha256";
export * from "./tiles";
