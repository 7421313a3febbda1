// SPDX-License-Identifier: MIT
// expect-error: Sample: the promise
static_assert(true, "Sample: the promise is broken");
