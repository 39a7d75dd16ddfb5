// The formats of the station's page, with types.

import * as shared from "../../../page/static/parts/format.js";

export const number = shared.number as (value: number | null | undefined) => string;
export const count = shared.count as (value: number | null | undefined) => string;
export const milliseconds = shared.milliseconds as (value: number | null | undefined) => string;
export const share = shared.share as (part: number, all: number) => string;
export const time = shared.time as (seconds: number | null | undefined) => string;
