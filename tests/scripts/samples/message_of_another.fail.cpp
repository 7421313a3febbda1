// SPDX-License-Identifier: MIT
// expect-error: Sample: the promise
#ifndef BELAY_CONTROL
static_assert(false, "Sample: another promise is broken");
#endif
// expect-error: Sample: another promise
#ifndef BELAY_CONTROL
static_assert(false, "Sample: the promise is broken");
#endif
