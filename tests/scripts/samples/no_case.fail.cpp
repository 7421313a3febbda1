// SPDX-License-Identifier: MIT
static_assert(true);
