'use strict';

// Checks of single options, for both sides: this file is bundled with what route handlers import.

const { invalid } = require('./errors.js');

function integer(value, name, { min = 0, max = 0xffff_ffff } = {}) {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    invalid(`option ${name} must be a whole number from ${min} to ${max}, not ${String(value)}`);
  }
  return value;
}

function oneOf(value, name, choices) {
  if (!choices.includes(value)) {
    invalid(`option ${name} must be one of ${choices.map((choice) => `'${choice}'`).join(', ')}, not ${String(value)}`);
  }
  return value;
}

function flag(value, name) {
  if (typeof value !== 'boolean') invalid(`option ${name} must be true or false, not ${String(value)}`);
  return value;
}

function callback(value, name) {
  if (typeof value !== 'function') invalid(`option ${name} must be a function, not ${String(value)}`);
  return value;
}

module.exports = { integer, oneOf, flag, callback };
