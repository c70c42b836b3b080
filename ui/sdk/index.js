// What browsers need to stay in lockstep: one class, see docs/sdk.md.

export { Lockstep } from "./lockstep.js";
export { HlsPlayer } from "./hls-player.js";
