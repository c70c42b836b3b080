import assert from "node:assert/strict";
import { test } from "node:test";
import { checkOf, NUMBER_BITS, numberOf } from "../../ui/demo/counter.js";

/** @param {number} number */
const cells = (number) => {
  const bits = number * 16 + checkOf(number);
  return Array.from({ length: NUMBER_BITS + 4 }, (_, cell) => Math.floor(bits / 2 ** (NUMBER_BITS + 3 - cell)) % 2 === 1);
};

test("every number is read as it is drawn", () => {
  for (const number of [0, 1, 900, 65_535, 524_288, 2 ** NUMBER_BITS - 1]) assert.equal(numberOf(cells(number)), number);
});

test("a cell that is misread is noticed", () => {
  for (let cell = 0; cell < NUMBER_BITS + 4; cell += 1) {
    const wrong = cells(123_456);
    wrong[cell] = !wrong[cell];
    assert.equal(numberOf(wrong), null, `cell ${cell}`);
  }
});

test("a picture that is all black or all white shows no number", () => {
  assert.equal(numberOf(Array(24).fill(false)), null);
  assert.equal(numberOf(Array(24).fill(true)), null);
});
