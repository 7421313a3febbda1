// SPDX-License-Identifier: MIT
// The listener of the whiteboard, compiled once: a change of the server does not compile Beast again.
#include <belay/beast/any_listener_source.hpp>
