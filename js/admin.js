'use strict';

// What the app's admin route imports. As index.js it must stay plain JavaScript without an import of Node's or of the
// binary: bundlers copy it into the route, and `next build` evaluates it.

const { createAdminRoute } = require('./admin/route.js');

module.exports = { createAdminRoute };
