// The libraries that `libraries.py` fetches: what is used of them is plain enough to go without their types.
declare module "*hls.min.mjs" {
  const Hls: any;
  export default Hls;
}
