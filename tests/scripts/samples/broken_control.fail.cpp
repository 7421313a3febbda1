// SPDX-License-Identifier: MIT
// expect-error: Sample: the promise
static_assert(false, "Sample: the promise is broken");
